package postgrestest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server's first process, the postmaster.
type process struct {
	*exec.Cmd
	exited chan struct{} // closed when it has ended
}

func (s *Server) running() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

// command prepares a program of PostgreSQL, run as a user who may run it.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), filepath.Join(place.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	// A Ctrl-C in the terminal is the test's to handle.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: place.user}
	return cmd
}

func (s *Server) run(name string, args ...string) error {
	if out, err := s.command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// start starts the server and waits until it takes connections.
func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		return fmt.Errorf("PostgreSQL %s runs already", s.name)
	}
	if err := s.configure(); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	p := &process{Cmd: s.command("postgres", "-D", s.data()), exited: make(chan struct{})}
	p.Stdout, p.Stderr = log, log
	if err := p.Start(); err != nil {
		return err
	}
	go func() {
		_ = p.Wait()
		close(p.exited)
	}()
	s.process = p
	return poll("PostgreSQL takes connections", func() (bool, error) {
		select {
		case <-p.exited:
			s.process = nil
			text, _ := os.ReadFile(log.Name())
			return false, fmt.Errorf("PostgreSQL does not start:\n%s", text[max(0, len(text)-4096):])
		default:
			return s.ready(), nil
		}
	})
}

// ready reads what the postmaster says about itself: in the eighth line of its
// lock file, which pg_ctl reads too.
func (s *Server) ready() bool {
	text, _ := os.ReadFile(s.lockFile())
	lines := strings.Split(string(text), "\n")
	return len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready"
}

func (s *Server) lockFile() string { return filepath.Join(s.data(), "postmaster.pid") }

// end asks the server to end and waits until it has.
func (s *Server) end(signal syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.process
	if p == nil {
		return fmt.Errorf("PostgreSQL %s does not run", s.name)
	}
	if err := p.Process.Signal(signal); err != nil {
		return err
	}
	select {
	case <-p.exited:
		s.process = nil
		return nil
	case <-time.After(patience):
		return fmt.Errorf("PostgreSQL %s does not end after %v", s.name, signal)
	}
}

// pause stops all processes as they are and returns who they are.
func (s *Server) pause() (family []int, err error) {
	p := s.running()
	if p == nil {
		return nil, fmt.Errorf("PostgreSQL %s does not run", s.name)
	}
	// A postmaster that is stopped starts no more children, nor does it tell
	// them to finish when one of them dies.
	if err := syscall.Kill(p.Process.Pid, syscall.SIGSTOP); err != nil {
		return nil, err
	}
	if family, err = children(p.Process.Pid); err != nil {
		return nil, err
	}
	family = append(family, p.Process.Pid)
	return family, signal(family, syscall.SIGSTOP)
}

func (s *Server) resume() error {
	p := s.running()
	if p == nil {
		return fmt.Errorf("PostgreSQL %s does not run", s.name)
	}
	family, err := children(p.Process.Pid)
	if err != nil {
		return err
	}
	return signal(append(family, p.Process.Pid), syscall.SIGCONT)
}

// signal sends a signal to those of some processes that there still are.
func signal(pids []int, signal syscall.Signal) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, signal); err != nil && err != syscall.ESRCH {
			return err
		}
	}
	return nil
}

func (s *Server) kill() error {
	family, err := s.pause()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := signal(family, syscall.SIGKILL); err != nil {
		return err
	}
	<-s.process.exited
	s.process = nil
	err = poll("the children of PostgreSQL are gone", func() (bool, error) {
		for _, pid := range family {
			if state, _ := stat(pid); state != "" && state != "Z" {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	// By then the number in it may be somebody else's.
	return os.Remove(s.lockFile())
}

// children lists the processes that a process has started, by /proc.
func children(parent int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if _, of := stat(pid); of == parent {
				found = append(found, pid)
			}
		}
	}
	return found, nil
}

// stat tells a process's state and parent (proc(5), /proc/PID/stat); no state
// when there is no such process.
func stat(pid int) (state string, parent int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	// The name before may hold anything, parentheses too.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 2 {
		return "", 0
	}
	parent, _ = strconv.Atoi(fields[1])
	return fields[0], parent
}
