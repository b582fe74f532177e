package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopGrace is how long a process has to end by itself before it is killed; the
// gateway gives its attempts under way 20 s.
const stopGrace = 25 * time.Second

const (
	// readyTimeout bounds the start of a process under test, which is asked every
	// readyInterval whether it is ready.
	readyTimeout  = 2 * time.Minute
	readyInterval = 5 * time.Millisecond
)

// process is the process under test. It is a child of ours in our own process
// group: an interrupt typed at the terminal reaches it as well, and it is
// always waited for.
type process struct {
	name   string
	cmd    *exec.Cmd
	output *tail
	cancel context.CancelFunc
	ended  context.Context // until the process has ended
	err    error           // how; to be read after that
}

// startProcess runs executable with args, with our environment apart from
// everything that configures Grapnel. It ends with ctx at the latest.
func startProcess(ctx context.Context, name, executable string, args []string) (*process, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &process{name: name, cancel: cancel, output: new(tail)}
	p.cmd = exec.CommandContext(ctx, executable, args...)
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "GRAPNEL_") {
			p.cmd.Env = append(p.cmd.Env, variable)
		}
	}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = stopGrace
	p.cmd.SysProcAttr = dieWithParent()
	if err := p.cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("the %s cannot be started: %w", name, err)
	}
	ended, end := context.WithCancel(context.WithoutCancel(ctx))
	p.ended = ended
	go func() {
		p.err = p.cmd.Wait()
		end()
	}()
	return p, nil
}

// untilReady asks until ready returns nil, the process ends, or time is up.
func (p *process) untilReady(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(readyInterval)
	defer tick.Stop()
	var last error
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-p.ended.Done():
			return errors.New("it did not start")
		case <-ctx.Done():
			return fmt.Errorf("it was not ready in time: %w", last)
		case <-tick.C:
		}
	}
}

var errEnded = errors.New("it ended by itself")

// during does something with the process, and stops it. When the process ends
// before, what is done is to end with its context; an error says what the process
// said last, unless ctx has ended.
func (p *process) during(ctx context.Context, do func(context.Context) error) error {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := context.AfterFunc(p.ended, func() { cancel(errEnded) })
	defer watch()
	err := do(inner)
	p.stop()
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w; %s", err, p.last())
	}
	return err
}

// stop ends the process and returns when it is gone; may be called twice.
func (p *process) stop() {
	p.cancel()
	<-p.ended.Done()
}

// last says how the process ended and what it said last, to go with an error;
// call it after stop.
func (p *process) last() string {
	how := "exit status 0"
	if p.err != nil {
		how = p.err.Error()
	}
	return fmt.Sprintf("the %s ended with %s and said last:\n%s", p.name, how, p.output)
}

// tail keeps the end of what a process says.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailLength = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p[max(0, len(p)-tailLength):]...)
	t.text = t.text[max(0, len(t.text)-tailLength):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// usage is what a process has used so far.
type usage struct {
	cpu      time.Duration // user and system time of all its threads, and of its database
	database time.Duration // of the database alone
	peak     int64         // bytes of its largest resident set
}
