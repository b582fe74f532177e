package test

import (
	"fmt"
	"net"
	"testing"
	"time"
)

// Attempts under way when the gateway is told to stop may end, and are not
// repeated; what had not begun is sent after the next start.
func TestStoppingRepeatsNothing(t *testing.T) {
	story(t, func(w *world) {
		d := w.busy("slow.example", "192.0.0.11", 8*time.Second)
		id := w.createHook("slow", "http://slow.example/hook", `"*"`, `{"verification":"none","concurrency":4}`)
		w.sendMany("event", 20)
		w.wait(3 * time.Second)
		begun := time.Now()
		w.stop()
		if took := time.Since(begun); took > 6*time.Second {
			t.Errorf("stopping took %v, the attempts under way 5s", took)
		}
		if n := len(d.arrivals()); n != 4 {
			t.Errorf("%d attempts began, want 4", n)
		}
		w.start()
		w.wait(time.Minute)
		d.once(names("event", 20)...)
		if h := w.hook(id); h.Delivered != 20 || h.Attempts != 20 {
			t.Errorf("counters %+v", h)
		}
	})
}

// names are those of events that sendMany sends.
func names(name string, n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("%s-%d", name, i))
	}
	return list
}

// An attempt that outlasts the time there is to stop is broken off. It goes
// again after the next start, with the same ids, as nobody knows how it ended.
func TestStoppingDoesNotWaitForEver(t *testing.T) {
	story(t, func(w *world) {
		d := w.busy("slow.example", "192.0.0.11", 29*time.Second)
		id := w.createHook("slow", "http://slow.example/hook", `"*"`, noHandshake)
		w.sendMany("event", 3)
		w.wait(time.Second)
		begun := time.Now()
		w.stop()
		if took := time.Since(begun); took < 19*time.Second || took > 21*time.Second {
			t.Errorf("stopping took %v, want 20s", took)
		}
		d.take(0)
		w.start()
		w.wait(time.Second)
		if n := len(d.arrivals()); n != 6 || len(d.distinct) != 3 {
			t.Errorf("%d attempts of %d deliveries", n, len(d.distinct))
		}
		if h := w.hook(id); h.Delivered != 3 || h.Attempts != 3 {
			t.Errorf("counters %+v", h) // one that was broken off does not count
		}
	})
}

// A caller who is slow to send his request does not take the time that attempts
// under way have to end.
func TestASlowCallerDoesNotCostAttemptsTheirTime(t *testing.T) {
	story(t, func(w *world) {
		d := w.busy("slow.example", "192.0.0.11", 10*time.Second)
		w.createHook("slow", "http://slow.example/hook", `"*"`, `{"verification":"none","concurrency":2}`)
		w.sendMany("event", 10)
		conn, err := w.net.Dial(w.Context(), "tcp", publicAddr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go drip(conn, "POST /in/acme HTTP/1.1\r\nHost: x\r\nAuthorization: "+secret+"\r\nContent-Length: 1000\r\n\r\n", "{")
		w.wait(3 * time.Second)
		begun := time.Now()
		w.stop()
		if took := time.Since(begun); took > 21*time.Second {
			t.Errorf("stopping took %v", took)
		}
		w.start()
		w.wait(2 * time.Minute)
		d.once(names("event", 10)...)
	})
}

// drip writes a beginning, and then the same every second until it cannot.
func drip(conn net.Conn, begin, again string) {
	_, err := conn.Write([]byte(begin))
	for err == nil {
		<-time.After(time.Second)
		_, err = conn.Write([]byte(again))
	}
}

// What arrives until the very end is acknowledged and kept, or neither.
func TestStoppingUnderLoad(t *testing.T) {
	story(t, func(w *world) {
		d := w.busy("good.example", "192.0.0.11", 20*time.Millisecond)
		w.createHook("good", "http://good.example/hook", `"*"`, noHandshake)
		acknowledged := make(chan string, 10_000)
		ended := make(chan struct{})
		const callers = 4
		for c := range callers {
			go func() {
				defer func() { ended <- struct{}{} }()
				for n := 0; ; n++ {
					<-time.After(time.Millisecond)
					uuid := fmt.Sprintf("%d-%d", c, n)
					status, _, err := w.tryPost("acme", delivery(event(uuid, start)))
					if err != nil || status != 200 {
						return
					}
					acknowledged <- uuid
				}
			}()
		}
		w.wait(50 * time.Millisecond)
		w.stop()
		for range callers {
			<-ended
		}
		close(acknowledged)
		w.start()
		w.wait(time.Minute)
		var want []string
		for uuid := range acknowledged {
			want = append(want, uuid)
		}
		if len(want) < 10 {
			t.Errorf("only %d events were acknowledged", len(want))
		}
		arrived := map[string]int{}
		for _, a := range d.arrivals() {
			arrived[a.uuid]++
		}
		for _, uuid := range want {
			if arrived[uuid] != 1 {
				t.Errorf("event %s was acknowledged, and arrived %d times", uuid, arrived[uuid])
			}
		}
		for uuid, n := range arrived {
			if n != 1 {
				t.Errorf("event %s arrived %d times", uuid, n)
			}
		}
	})
}
