package test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// TestFullDisk fills the disk under a gateway and makes room again. A disk of
// its own is closest to life, but takes the right to mount; a limit on the size
// of files works everywhere.
func TestFullDisk(t *testing.T) {
	t.Run("file size limit", func(t *testing.T) {
		newFullDisk(t, t.TempDir()).trial(limitFiles, unlimitFiles, false)
	})
	t.Run("small file system", func(t *testing.T) {
		dir := t.TempDir()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m,mode=0700"); err != nil {
			t.Logf("nothing can be mounted here, the other half has to do: %v", err)
			return
		}
		t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
		filler := filepath.Join(dir, "filler")
		fill := func(l *life) { fillDisk(l, filler) }
		free := func(l *life) {
			if err := os.Remove(filler); err != nil {
				l.Fatal(err)
			}
		}
		newFullDisk(t, dir).trial(fill, free, true)
	})
}

// fillDisk writes a file until there is no room for another byte.
func fillDisk(l *life, path string) {
	file, err := os.Create(path)
	if err != nil {
		l.Fatal(err)
	}
	defer file.Close()
	for size := 64 << 10; size > 0; {
		if _, err := file.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 4
		} else if err != nil {
			l.Fatal(err)
		}
	}
}

// limitFiles lets none of the gateway's files grow.
func limitFiles(l *life) {
	var largest int64
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if info, err := os.Stat(filepath.Join(l.dir, "grapnel.db"+suffix)); err == nil {
			largest = max(largest, info.Size())
		}
	}
	l.setFileLimit(uint64(largest))
}

func unlimitFiles(l *life) { l.setFileLimit(^uint64(0)) }

// setFileLimit sets the soft RLIMIT_FSIZE of the running process (prlimit(2)).
func (l *life) setFileLimit(size uint64) {
	limit := syscall.Rlimit{Cur: size, Max: ^uint64(0)}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(l.process.Process.Pid), syscall.RLIMIT_FSIZE,
		uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 {
		l.Fatalf("prlimit: %v", errno)
	}
}

// fullDisk is the trial of one gateway whose disk is filled.
type fullDisk struct {
	*life
	sinks []*sink
	books *ledger
	sent  int

	mu   sync.Mutex
	hold chan struct{} // closed when the held destination answers; nil when it does not wait
	held chan struct{} // tells of each delivery that is held
}

// diskHooks are the hooks of the trial. Each tries inFlight deliveries at once.
var diskHooks = []string{"plain", "held", "failing"}

const inFlight = 4

func newFullDisk(t *testing.T, dir string) *fullDisk {
	d := &fullDisk{held: make(chan struct{}, 1000)}
	d.books = newLedger(t, func(string, *posted) bool { return true })
	d.life = newSite(t, filepath.Join(dir, "data"), program(t)).serve()
	d.createSource()
	for i, handle := range []func(parcel, http.ResponseWriter, *http.Request){d.plain, d.holding, d.failing} {
		s := newSink(t, handle)
		d.sinks = append(d.sinks, s)
		d.createHook(diskHooks[i], s.url, everything, fmt.Sprintf(
			`{"verification":"none","concurrency":%d,"retry":{"initial":"100ms","max":"200ms","for":"72h"}}`, inFlight))
	}
	return d
}

func (d *fullDisk) everythingIsThere() bool { return d.books.owed(diskHooks) == 0 }

// trial fills the disk while some deliveries are in flight and others wait. If
// restart is set, the gateway is killed on the full disk and starts there again.
func (d *fullDisk) trial(fill, free func(*life), restart bool) {
	for range 5 {
		d.offer(http.StatusOK)
	}
	d.books.wait("the first events delivered", d.everythingIsThere)
	release := d.holdDeliveries()
	fill(d.life)
	refused := d.untilRefused()
	release()
	refused = append(refused, d.whileFull()...)
	if restart {
		d.kill()
		for _, s := range d.sinks {
			s.drain()
		}
		d.books.end(true)
		d.life = d.serve()
		refused = append(refused, d.whileFull()...)
	} else {
		d.untilCountersWait()
	}
	free(d.life)
	d.untilAccepted()
	// What was refused comes again, as Okta would send it; every second is lost.
	for i, e := range refused {
		if i%2 == 0 {
			d.send(e.json)
			d.books.acknowledge([]*posted{e})
		}
	}
	d.books.wait("everything acknowledged delivered", d.everythingIsThere)
	if !restart {
		d.sums(len(refused))
	}
	d.stop()
	d.books.judge()
	d.books.look(func() { d.judgeArrivals(restart) })
}

// holdDeliveries makes one destination hold its answers, and returns when it
// holds as many as there can be, with more waiting behind them.
func (d *fullDisk) holdDeliveries() (release func()) {
	d.Helper()
	hold := make(chan struct{})
	set := func(c chan struct{}) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.hold = c
	}
	set(hold)
	for range 3 * inFlight {
		d.offer(http.StatusOK)
	}
	for range inFlight {
		select {
		case <-d.held:
		case <-time.After(patience):
			d.Fatal("the held destination is not delivered to")
		}
	}
	return func() {
		set(nil)
		close(hold)
	}
}

func (d *fullDisk) plain(p parcel, w http.ResponseWriter, _ *http.Request) {
	d.books.arrive("plain", p)
	d.books.succeed("plain", p)
	w.WriteHeader(http.StatusOK)
}

// holding answers only when it is let.
func (d *fullDisk) holding(p parcel, w http.ResponseWriter, r *http.Request) {
	d.books.arrive("held", p)
	d.mu.Lock()
	hold := d.hold
	d.mu.Unlock()
	if hold != nil {
		d.held <- struct{}{}
		select {
		case <-hold:
		case <-r.Context().Done():
			return
		}
	}
	d.books.succeed("held", p)
	w.WriteHeader(http.StatusOK)
}

// failing fails the first attempt of each delivery.
func (d *fullDisk) failing(p parcel, w http.ResponseWriter, _ *http.Request) {
	d.books.arrive("failing", p)
	first := false
	d.books.look(func() { first = d.books.events[p.uuid] != nil && d.books.events[p.uuid].fates["failing"].arrivals == 1 })
	if first {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	d.books.succeed("failing", p)
	w.WriteHeader(http.StatusOK)
}

// offer sends a new event, which must be answered with the status, if one is given.
func (d *fullDisk) offer(want int) (e *posted, status int) {
	d.Helper()
	d.sent++
	uuid := fmt.Sprintf("%08x-5a7e-11f1-9c3d-2b7e4d10a6f3", d.sent)
	e = &posted{uuid: uuid, kind: "user.session.start", json: event(uuid, "user.session.start")}
	d.books.post([]*posted{e})
	status, header, err := d.post(context.Background(), e.json)
	switch {
	case err != nil:
		d.Fatalf("%v\n%s", err, d.log.String())
	case want != 0 && status != want, status != http.StatusOK && status != http.StatusServiceUnavailable:
		d.Fatalf("event %d was answered %d\n%s", d.sent, status, d.log.String())
	case status == http.StatusOK:
		d.books.acknowledge([]*posted{e})
	case header.Get("Retry-After") == "":
		d.Error("503 without Retry-After")
	}
	return e, status
}

// untilRefused sends events until one is refused: what is left of pages and
// files may still take some.
func (d *fullDisk) untilRefused() []*posted {
	d.Helper()
	for range 1000 {
		if e, status := d.offer(0); status != http.StatusOK {
			return []*posted{e}
		}
	}
	d.Fatal("the disk is full, and still everything is acknowledged")
	return nil
}

// whileFull lives on a full disk for a while: long enough for a loop that sends
// what cannot be settled to go round many times.
func (d *fullDisk) whileFull() (refused []*posted) {
	d.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for range 50 {
		<-ticker.C
		e, _ := d.offer(http.StatusServiceUnavailable)
		refused = append(refused, e)
	}
	status, answer, err := d.try("POST", "/v1/sources", `{"name":"other","auth":{"key":"Authorization","value":"x"}}`)
	if err != nil || status < 500 {
		d.Errorf("a source was created on a full disk: %d %s, %v", status, answer, err)
	}
	if status, answer, err := d.try("GET", "/v1/deliveries", ""); err != nil || status != http.StatusOK {
		d.Errorf("nothing can be read on a full disk: %d %s, %v", status, answer, err)
	}
	return refused
}

// untilCountersWait waits until refusals have failed to be counted, and are to
// be counted later.
func (d *fullDisk) untilCountersWait() {
	d.Helper()
	until(d, "counters wait", func() bool { return strings.Contains(d.log.String(), "counters could not be stored") })
}

// untilAccepted sends new events until one is acknowledged.
func (d *fullDisk) untilAccepted() {
	d.Helper()
	until(d, "events are acknowledged again", func() bool {
		_, status := d.offer(0)
		return status == http.StatusOK
	})
}

// sums holds the gateway's counters against the books.
func (d *fullDisk) sums(refused int) {
	d.Helper()
	acked := 0
	d.books.look(func() {
		for _, e := range d.books.events {
			if e.acked {
				acked++
			}
		}
	})
	until(d, "the counters are right", func() bool {
		stats := d.stats()
		ok := stats.Sources[0].Received == int64(acked) && stats.Sources[0].Unavailable >= int64(refused)
		for _, h := range stats.Hooks {
			ok = ok && h.Matched == int64(acked) && h.Delivered == h.Matched
		}
		return ok
	})
}

// judgeArrivals looks for deliveries that came too often, or without being owed.
func (d *fullDisk) judgeArrivals(restarted bool) {
	repeats := 0
	for uuid, e := range d.books.events {
		for hook, f := range e.fates {
			want := 1
			if hook == "failing" {
				want = 2
			}
			// What could not be settled is known to the gateway as long as it lives.
			most := want
			if restarted {
				most++
			}
			if f.arrivals < want || f.arrivals > most {
				d.Errorf("%s got %s %d times, want %d to %d", hook, uuid, f.arrivals, want, most)
			}
			repeats += f.arrivals - want
		}
		if !e.acked && len(e.fates) > 0 {
			d.Errorf("%s was refused and delivered", uuid)
		}
	}
	d.Logf("%d events, %d repeats", len(d.books.events), repeats)
}
