package bench

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"syscall"
	"time"
)

// clockTick is the unit of /proc/PID/stat: USER_HZ, 100 a second on every
// architecture that Go supports (proc_pid_stat(5)).
const clockTick = 10 * time.Millisecond

// dieWithParent has the kernel kill the child when this process dies without
// having had the time to, by SIGKILL for instance. The signal comes with the
// end of the thread that started the child; Go ends threads only with a
// goroutine that has locked one, and none here does.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// usageOf asks the kernel. The peak comes from VmHWM rather than from the
// child's rusage, since a child's ru_maxrss starts from its parent's.
func usageOf(pid int) (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return usage{}, err
	}
	s, err := parseStat(stat)
	if err != nil {
		return usage{}, err
	}
	peak, err := parseStatus(status)
	return usage{cpu: s.own, peak: peak}, err
}

// stat is what we read of /proc/PID/stat.
type stat struct {
	name   string
	parent int
	own    time.Duration // user and system time of all its threads
	reaped time.Duration // the same of its children that have ended, and of theirs
}

// parseStat reads fields 2, 4 and 14 to 17 of /proc/PID/stat (proc_pid_stat(5)).
// They are counted from the state, field 3, which follows the last parenthesis:
// the name in field 2 may hold anything.
func parseStat(text []byte) (s stat, err error) {
	begin, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	fields := bytes.Fields(text[end+1:])
	if begin < 0 || end < begin || len(fields) < 15 {
		return s, errors.New("/proc/PID/stat has too few fields")
	}
	s.name = string(text[begin+1 : end])
	if s.parent, err = strconv.Atoi(string(fields[1])); err != nil {
		return s, err
	}
	for _, t := range []struct {
		into   *time.Duration
		fields [][]byte
	}{{&s.own, fields[11:13]}, {&s.reaped, fields[13:15]}} {
		n, err := ticks(t.fields...)
		if err == nil && n > math.MaxInt64/int64(clockTick) {
			err = errors.New("/proc/PID/stat has a time past all bounds")
		}
		if err != nil {
			return s, err
		}
		*t.into = time.Duration(n) * clockTick
	}
	return s, nil
}

func statOf(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(text)
}

// parentOf returns the process that has started pid, if both have that name.
func parentOf(pid int, name string) (int, error) {
	child, err := statOf(pid)
	if err != nil {
		return 0, err
	}
	parent, err := statOf(child.parent)
	if err == nil && (child.name != name || parent.name != name) {
		err = fmt.Errorf("process %d is %q, and not of %s", pid, child.name, name)
	}
	return child.parent, err
}

// familyCPU is the user and system time of a process and of its children, of
// those that have ended too.
func familyCPU(pid int) (time.Duration, error) {
	for {
		before, err := statOf(pid)
		if err != nil {
			return 0, err
		}
		sum, err := childrenCPU(pid)
		if err != nil {
			return 0, err
		}
		after, err := statOf(pid)
		// One that ends meanwhile would be in both sums, or in neither.
		if err != nil || after.reaped == before.reaped {
			return after.own + after.reaped + sum, err
		}
	}
}

func childrenCPU(pid int) (sum time.Duration, err error) {
	all, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	for _, entry := range all {
		id, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if child, err := statOf(id); err == nil && child.parent == pid {
			sum += child.own + child.reaped
		}
	}
	return sum, nil
}

// parseStatus returns VmHWM of /proc/PID/status in bytes.
func parseStatus(text []byte) (int64, error) {
	for line := range bytes.Lines(text) {
		if value, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			kib, _, _ := bytes.Cut(bytes.TrimSpace(value), []byte(" "))
			n, err := strconv.ParseUint(string(kib), 10, 48)
			return int64(n << 10), err
		}
	}
	return 0, errors.New("/proc/PID/status has no VmHWM")
}

// machineBusy is how many seconds of CPU time all processes of this machine have
// had, and its host took from it. Interrupts are left out: those for our own
// packets are in the processes' times already.
func machineBusy() (float64, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return parseMachine(text)
}

// parseMachine returns user, nice, system and steal: fields 1, 2, 3 and 8 of the
// first line of /proc/stat (proc_stat(5)). Seconds, since years of many CPUs are
// more than a Duration holds.
func parseMachine(text []byte) (float64, error) {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return 0, errors.New("/proc/stat does not begin with the CPUs' times")
	}
	n, err := ticks(fields[1], fields[2], fields[3], fields[8])
	return float64(n) * clockTick.Seconds(), err
}

// ticks adds at most 8 numbers of clock ticks.
func ticks(fields ...[]byte) (int64, error) {
	var sum int64
	for _, field := range fields {
		n, err := strconv.ParseUint(string(field), 10, 60)
		if err != nil {
			return 0, fmt.Errorf("not a number of clock ticks: %w", err)
		}
		sum += int64(n)
	}
	return sum, nil
}

// inMemory reports whether dir is on a file system that has no disk under it,
// where fsync costs nothing (statfs(2): TMPFS_MAGIC, RAMFS_MAGIC).
func inMemory(dir string) bool {
	var fs syscall.Statfs_t
	if syscall.Statfs(dir, &fs) != nil {
		return false
	}
	return uint32(fs.Type) == 0x01021994 || uint32(fs.Type) == 0x858458f6
}
