package bench

import (
	"os"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	// proc_pid_stat(5); the name may hold spaces and parentheses.
	const stat = "4242 (a) b (c) S 1 4242 4242 0 -1 4194304 900 0 0 0 123 45 6 7 20 0 9 0 100 0 0\n"
	if got, err := parseStat([]byte(stat)); err != nil || got != 1680*time.Millisecond {
		t.Errorf("%v, %v; want 1.68s", got, err)
	}
	for _, bad := range []string{"", "1 (a", "1 (a) S 1 2 3", "1 (a) S 1 2 3 4 5 6 7 8 9 10 x y 1",
		"0 0 0 0 0 0 0 0 0 0 0 2770000000000 0"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestParseStatus(t *testing.T) {
	if got, err := parseStatus([]byte("Name:\ta\nVmPeak:\t  900 kB\nVmHWM:\t   250 kB\nVmRSS:\t 20 kB\n")); err != nil || got != 250<<10 {
		t.Errorf("%v, %v; want 256000", got, err)
	}
	for _, bad := range []string{"", "VmHWM:", "VmHWM:\tmany kB"} {
		if _, err := parseStatus([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestParseMachine(t *testing.T) {
	const stat = "cpu  100 20 3 9999 88 7 6 50 40 30\ncpu0 1 2 3 4 5 6 7 8 9 10\n"
	if got, err := parseMachine([]byte(stat)); err != nil || got != 1.73 {
		t.Errorf("%v, %v; want 1.73", got, err)
	}
	for _, bad := range []string{"", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8 9", "cpu x 1 1 1 1 1 1 1 1"} {
		if _, err := parseMachine([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	if got, err := machineBusy(); err != nil || got <= 0 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	u, err := usageOf(os.Getpid())
	if err != nil || u.peak < 1<<20 {
		t.Errorf("%+v, %v", u, err)
	}
}

func FuzzProc(f *testing.F) {
	f.Add([]byte("1 (a) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14\n"))
	f.Add([]byte("cpu  100 20 3 9999 88 7 6 50 40 30\n"))
	f.Add([]byte("VmHWM:\t   250 kB\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if cpu, err := parseStat(text); err == nil && cpu < 0 {
			t.Errorf("%v of %q", cpu, text)
		}
		if busy, err := parseMachine(text); err == nil && busy < 0 {
			t.Errorf("%v of %q", busy, text)
		}
		if peak, err := parseStatus(text); err == nil && peak < 0 {
			t.Errorf("%v of %q", peak, text)
		}
	})
}
