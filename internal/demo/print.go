package demo

// How the demo prints:
//
//   - The table at the end is data, and goes to stdout. Everything else is talk,
//     and goes to stderr: the addresses, how it goes, the gateway's log.
//   - On a terminal the counts are redrawn in place, and taken away before the
//     table comes. Elsewhere there is a line every 5 s.
//   - Lines fit into 79 columns, but for the line every 5 s, which is for files.
//     A narrower terminal cuts the counts off on the right, a lower one at the
//     bottom.
//   - Colour only marks counts that are not 0: delivered is green, waiting
//     yellow, dead red; and red is what does not add up. It is used only on a
//     terminal, and not with NO_COLOR set (no-color.org).
//   - A sum shows its signs: MATCHED = DELIVERED + WAITING + DEAD.

import (
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	green  = "32"
	yellow = "33"
	red    = "31"
)

// painter colours texts, or not.
type painter bool

func (p painter) paint(colour, text string) string {
	if !p {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// count is a count right-aligned in width columns, coloured unless it is 0.
func (p painter) count(colour string, width, n int) string {
	text := fmt.Sprintf("%*d", width, n)
	if n == 0 {
		return text
	}
	return p.paint(colour, text)
}

// introduction says what there is, and how to look inside.
func (d *Demo) introduction() string {
	var b strings.Builder
	fmt.Fprintf(&b, `Grapnel demo: a made-up Okta org, a gateway and four destinations, all on this
machine. Nothing of it stays when it ends.

%s sends some 8 events a second to
%s, which it has verified by Okta's challenge.

`, orgHost, d.org.url)
	fmt.Fprintf(&b, "%-15s  %-15s  %s\n", "HOOK", "DESTINATION", "WHICH")
	for _, h := range d.hooks {
		fmt.Fprintf(&b, "%-15s  %-15s  %s\n", h.name, h.destination.address, h.about)
	}
	fmt.Fprintf(&b, `
Look inside from another terminal while it runs:

URL=%s
AUTH='Authorization: SSWS %s'
curl -H "$AUTH" $URL/v1/stats
curl -H "$AUTH" "$URL/v1/deliveries?state=waiting,dead&limit=5"
curl -H "$AUTH" "$URL/v1/events?limit=5"
curl -H "$AUTH" $URL/api/v1/eventHooks

`, d.gateway.url, d.gateway.app.Token())
	return b.String()
}

// Introduce says what there is, and how to look inside.
func (d *Demo) Introduce() error {
	text := d.introduction()
	if columns, _ := d.screen.Size(); columns == 0 {
		text += "Every 5 s: what came in, and for each hook matched = delivered + waiting + dead.\n\n"
	}
	return d.screen.say(text)
}

// frame is how it goes at one moment.
type frame struct {
	elapsed time.Duration
	phase   string // what happens now; "" while the org sends
	org     orgCounts
	source  sourceCounters
	hooks   []hookFrame
}

type hookFrame struct {
	hookCounters
	name, state string
}

func (d *Demo) frame(s *stats, until time.Time) frame {
	f := frame{elapsed: time.Since(d.started), org: d.org.counts(), source: s.source()}
	switch {
	case !until.IsZero():
		f.phase = fmt.Sprintf("the org has stopped; up to %.0fs more for what waits (Ctrl-C: now)", time.Until(until).Seconds())
	case d.org.spent():
		f.phase = "the org has sent what Okta delivers in a day, and stopped"
	}
	for _, h := range d.hooks {
		f.hooks = append(f.hooks, hookFrame{s.hook(h.id), h.name, h.state()})
	}
	return f
}

const (
	intakeHead = "   SENT = RECEIVED + DUPLICATES   TYPES  CALLS"
	hookHead   = "HOOK            MATCHED = DELIVERED + WAITING +  DEAD  ATTEMPTS"
)

func intakeRow(o *orgCounts, s *sourceCounters) string {
	return fmt.Sprintf("%7d   %8d   %10d  %6d %6d", o.answered, s.Received, s.Duplicates, o.types, o.calls)
}

func (p painter) hookRow(name string, matched, delivered, waiting, dead, attempts int) string {
	return fmt.Sprintf("%-15s %7d   %s   %s   %s  %8d", name, matched,
		p.count(green, 9, delivered), p.count(yellow, 7, waiting), p.count(red, 5, dead), attempts)
}

// lines is the frame for a terminal.
func (f *frame) lines(colour bool) []string {
	now := "latest: " + f.org.latest
	if f.phase != "" {
		now = f.phase
	}
	seconds := int(f.elapsed.Seconds())
	lines := []string{
		fmt.Sprintf("%d:%02d  %s", seconds/60, seconds%60, now), "",
		intakeHead, intakeRow(&f.org, &f.source), "",
		hookHead + "  DESTINATION",
	}
	for _, h := range f.hooks {
		row := painter(colour).hookRow(h.name, h.Matched, h.Delivered, h.Waiting, h.Dead, h.Attempts)
		lines = append(lines, row+"  "+h.state)
	}
	return append(lines, "",
		"SENT        by the org, repeats too     MATCHED    events that the hook wants",
		"RECEIVED    and on disk, each once      DELIVERED  the destination said 2xx",
		"DUPLICATES  here already, so dropped    WAITING    to be tried, or tried again",
		"TYPES       different event types       DEAD       given up, and kept",
		"CALLS       POSTs that the org made     ATTEMPTS   POSTs to the destination",
	)
}

// line is the frame for a file.
func (f *frame) line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%3ds  sent %d = received %d + duplicates %d", int(f.elapsed.Round(time.Second).Seconds()),
		f.org.answered, f.source.Received, f.source.Duplicates)
	for _, h := range f.hooks {
		fmt.Fprintf(&b, " | %s %d = %d + %d + %d", h.name, h.Matched, h.Delivered, h.Waiting, h.Dead)
	}
	if f.phase != "" {
		b.WriteString(" | " + f.phase)
	}
	return b.String() + "\n"
}

// Write writes the table in which every event is accounted for.
func (a *Account) Write(w io.Writer, colour bool) error {
	p := painter(colour)
	var b strings.Builder
	fmt.Fprintf(&b, "After %v:\n\n%s\n%s\n\n%s  GOT  REPEATS\n", a.after.Round(time.Second), intakeHead, intakeRow(&a.org, &a.source), hookHead)
	for _, h := range a.hooks {
		fmt.Fprintf(&b, "%s %5d  %7d\n", p.hookRow(h.name, h.matched, h.delivered, h.waiting, h.dead, h.attempts), h.got, h.repeats)
	}
	b.WriteString(`
SENT, TYPES and CALLS by the org's own books, GOT and REPEATS by those of the
destinations: different events, and events once more. WAITING is counted in the
gateway's list of deliveries; the rest are its counters, held against its lists.
`)
	for _, note := range a.notes {
		b.WriteString("Note: " + note + "\n")
	}
	b.WriteByte('\n')
	if len(a.wrong) == 0 {
		b.WriteString(p.paint(green, "Every event is accounted for.") + "\n")
	} else {
		b.WriteString(p.paint(red, "The sums do not close:") + "\n")
	}
	for _, text := range a.wrong {
		b.WriteString("  " + text + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
