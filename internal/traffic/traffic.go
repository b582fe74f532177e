// Package traffic invents what a made-up Okta org's people do all day, as the
// events that the org's event hook would deliver: for the demo, for load, for
// tests, and for playing Okta.
//
// It makes events and decides their order and wording. Putting them into
// envelopes is package okta's part; when and where to send them, and how often
// to repeat one, is the caller's.
//
// Everyone and everything in it is invented: people, ids, companies; domains
// end in .example, addresses are those that RFC 5737 and RFC 3849 reserve for
// documentation, AS numbers those of RFC 5398.
package traffic

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/okta"
)

// MinPeople is the smallest staff that keeps the stories apart.
const MinPeople = 20

// Options describe an org. The zero value is a usable one.
type Options struct {
	// Seed decides everything but the times: the same seed and the same
	// readings of Now give the same events.
	Seed uint64
	// Org is the host of the org, for URLs inside events; acme-dev.okta.example
	// if empty.
	Org string
	// HookID is what events give as targetEventHookIds; they have none if it is
	// empty.
	HookID string
	// Now is the time at which the next event happens; time.Now if nil. If it
	// stands still or goes back, events are 100 ns apart.
	Now func() time.Time
	// People is how many work there, on average; 200 if 0, and never fewer than
	// MinPeople.
	People int
}

// An Event is one LogEvent in the form of an event hook delivery.
type Event struct {
	// UUID is a version 1 UUID made from Published, as Okta's are: unique, and
	// in the order of time once its parts are.
	UUID      string
	EventType string
	Published time.Time
	// JSON is the event, an object, without white space; the caller's to keep.
	JSON []byte
}

// A Generator tells the stories of an org event by event, several at a time as
// they would happen. What its events say holds together: a session starts
// before it is used and is not used after its end, the events of one operation
// share a transaction, and a person keeps id, login and name.
//
// It needs memory for the org only, however many events it makes. It is not
// safe for concurrent use; make several with different seeds instead.
type Generator struct {
	random *rand.Rand
	now    func() time.Time
	clock  clock
	org    org
	quoted struct{ org, hookID string }
	active []*story
	buffer []byte // what the last event was encoded in
}

// concurrent is how many stories are under way at once.
const concurrent = 8

// New hires the people and opens the office.
func New(o Options) *Generator {
	if o.Org == "" {
		o.Org = "acme-dev.okta.example"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.People == 0 {
		o.People = 200
	}
	g := &Generator{random: rand.New(rand.NewPCG(o.Seed, 0x6f6b7461)), now: o.Now}
	g.quoted.org, g.quoted.hookID = escape(o.Org), escape(o.HookID)
	g.clock.init(g.random)
	g.org = g.newOrg(max(o.People, MinPeople))
	return g
}

// escape makes s fit between the quotes of a JSON string.
func escape(s string) string {
	b, err := okta.Marshal(s)
	if err != nil {
		return ""
	}
	return strings.Trim(string(b), `"`)
}

// Next returns the next event of the day.
func (g *Generator) Next() Event {
	for len(g.active) < concurrent {
		if s := g.begin(); s != nil {
			g.active = append(g.active, s)
		} else if len(g.active) > 0 {
			break
		}
	}
	i := g.random.IntN(len(g.active))
	s := g.active[i]
	e := g.event(s.steps[0])
	if s.steps = s.steps[1:]; len(s.steps) == 0 {
		s.end()
		g.active = append(g.active[:i], g.active[i+1:]...)
	}
	return e
}

// Sized returns a sign-in event of n bytes, for load; it is no part of any
// story. It is plainer than what Next returns, about 2 KB as Okta's events are
// today: nulls are left out, as Okta did until 2022, and so are places. The
// smallest possible has about 1000 bytes; a smaller n gives that.
func (g *Generator) Sized(n int) Event {
	p := pick(g.random, g.org.people)
	s := step{
		eventType: "user.session.start", sparse: true, kind: "WEB", result: "SUCCESS",
		actor: p.user(), client: p.desk.plain, transaction: g.text(27), session: "trs" + g.text(22),
		uri: "/idp/idx/identify", targets: []target{{principal: dashboard}},
	}
	s.uuid, s.published = g.clock.stamp(g.now(), g.random)
	g.buffer = g.encode(g.buffer[:0], &s)
	if missing := n - len(g.buffer) - len(`,"logOnlySecurityData":""`); missing >= 0 {
		s.note("logOnlySecurityData", padding(missing))
		g.buffer = g.encode(g.buffer[:0], &s)
	}
	return Event{s.uuid, s.eventType, s.published, bytes.Clone(g.buffer)}
}

func padding(n int) string {
	const text = "risk=low; behaviour=known; "
	return strings.Repeat(text, n/len(text)+1)[:n]
}

// A story is a run of events in which some people have a part. Nobody is in two
// stories at once, so what a story assumes about them holds until it ends.
type story struct {
	g     *Generator
	steps []*step
	cast  []*person
	// after, if set, makes what the story has brought about usable by others.
	after func()
}

func (s *story) end() {
	for _, p := range s.cast {
		p.busy = false
	}
	if s.after != nil {
		s.after()
	}
}

// begin plans a story; nil if the chosen one has no free people.
func (g *Generator) begin() *story {
	total := 0
	for _, p := range plots {
		total += p.weight
	}
	n := g.random.IntN(total)
	for _, p := range plots {
		if n -= p.weight; n < 0 {
			s := &story{g: g}
			if !p.plan(s) {
				for _, one := range s.cast {
					one.busy = false
				}
				return nil
			}
			return s
		}
	}
	panic(fmt.Sprintf("traffic: no plot for %d of %d", n, total))
}

// chance is true in percent of all cases.
func (s *story) chance(percent int) bool { return s.g.random.IntN(100) < percent }

// find takes a free person into the story: an administrator or not. It returns
// nil if it finds none quickly.
func (s *story) find(admin bool) *person {
	from := s.g.org.people
	if admin {
		from = s.g.org.admins
	}
	for range 8 {
		if p := pick(s.g.random, from); !p.busy {
			return s.take(p)
		}
	}
	return nil
}

func (s *story) take(p *person) *person {
	p.busy = true
	s.cast = append(s.cast, p)
	return p
}

// pick chooses one of a list that is not empty.
func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }
