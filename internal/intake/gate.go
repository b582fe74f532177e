package intake

import "sync"

// gate lets a change of the hooks wait until no call that came before it is
// under way. Calls that come meanwhile pass: a change never holds up intake.
type gate struct {
	mu      sync.Mutex
	emptied *sync.Cond
	era     int64         // how many changes there were
	inside  map[int64]int // calls under way, by the era in which they came
}

func newGate() *gate {
	g := &gate{inside: make(map[int64]int)}
	g.emptied = sync.NewCond(&g.mu)
	return g
}

// enter lets a call in. It must leave with the era it is given.
func (g *gate) enter() (era int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside[g.era]++
	return g.era
}

func (g *gate) leave(era int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside[era]--; g.inside[era] == 0 {
		delete(g.inside, era)
		g.emptied.Broadcast()
	}
}

// pass returns when every call that entered before it has left.
func (g *gate) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.era++
	for barrier := g.era; g.occupied(barrier); {
		g.emptied.Wait()
	}
}

// occupied reports whether a call is inside that came before an era.
func (g *gate) occupied(before int64) bool {
	for era := range g.inside {
		if era < before {
			return true
		}
	}
	return false
}
