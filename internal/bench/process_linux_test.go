package bench

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	// proc_pid_stat(5); the name may hold spaces and parentheses.
	const line = "4242 (a) b (c) S 1 4242 4242 0 -1 4194304 900 0 0 0 123 45 6 7 20 0 9 0 100 0 0\n"
	want := stat{"a) b (c", 1, 1680 * time.Millisecond, 130 * time.Millisecond}
	if got, err := parseStat([]byte(line)); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "1 (a", "1 (a) S 1 2 3", "1 (a) S 1 2 3 4 5 6 7 8 9 10 x y 1 1",
		"1 )a( S 1 2 3 4 5 6 7 8 9 10 1 1 1 1", "1 (a) S x 2 3 4 5 6 7 8 9 10 1 1 1 1",
		"1 (a) S 1 2 3 4 5 6 7 8 9 10 2770000000000000000 0 0 0", "1 (a) S 1 2 3 4 5 6 7 8 9 10 0 0 0 2770000000000000"} {
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

func TestAFamilysCPUOutlivesItsChildren(t *testing.T) {
	before, err := familyCPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), "sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo; read end")
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // it has done its work
		t.Fatal(err)
	}
	running, err := familyCPU(os.Getpid())
	if err != nil || running-before < 20*time.Millisecond {
		t.Errorf("%v more while the child runs, %v", running-before, err)
	}
	in.Close()
	if err := child.Wait(); err == nil {
		t.Error("read did not see the end of its input")
	}
	if after, err := familyCPU(os.Getpid()); err != nil || after < running {
		t.Errorf("%v when the child has ended, %v before; %v", after, running, err)
	}
}

func TestParentOfAsksForTheName(t *testing.T) {
	self, err := statOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parentOf(os.Getpid(), "postgres"); err == nil {
		t.Errorf("%q passes for postgres", self.name)
	}
	parent, err := statOf(self.parent)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parentOf(os.Getpid(), self.name); (err == nil) != (parent.name == self.name) || got != self.parent {
		t.Errorf("%d, %v; want %d", got, err, self.parent)
	}
}

func FuzzProc(f *testing.F) {
	f.Add([]byte("1 (a) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14\n"))
	f.Add([]byte("cpu  100 20 3 9999 88 7 6 50 40 30\n"))
	f.Add([]byte("VmHWM:\t   250 kB\n"))
	f.Add([]byte("VmHWM:-1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := parseStat(text); err == nil && (s.own < 0 || s.reaped < 0) {
			t.Errorf("%+v of %q", s, text)
		}
		if busy, err := parseMachine(text); err == nil && busy < 0 {
			t.Errorf("%v of %q", busy, text)
		}
		if peak, err := parseStatus(text); err == nil && peak < 0 {
			t.Errorf("%v of %q", peak, text)
		}
	})
}
