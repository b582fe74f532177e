package postgres

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/jackc/pgx/v5"
)

// channel is where processes notify each other.
const channel = "grapnel"

// How long the listener waits before it looks whether its connection is still
// there, and before it connects again.
const (
	listenCheck  = 10 * time.Second
	listenAgain  = 100 * time.Millisecond
	listenAtMost = 5 * time.Second
)

// listen starts the listener, once.
func (c *cluster) listen() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.listener && c.ctx.Err() == nil {
		c.listener = true
		c.work.Go(c.run)
	}
}

// reconnect makes the listener connect anew, as this process has another number.
func (c *cluster) reconnect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.again != nil {
		c.again()
	}
}

// run keeps a connection that listens, and holds the lock that shows the others
// that this process has not ended.
func (c *cluster) run() {
	wait := listenAgain
	for before := false; c.ctx.Err() == nil; {
		ctx, again := context.WithCancel(c.ctx)
		c.mu.Lock()
		c.again = again
		c.mu.Unlock()
		err := c.listenOnce(ctx, func() {
			wait = listenAgain
			if before { // and may have missed something
				c.tell(store.Hint{Changed: true})
			}
			before = true
		})
		if ctx.Err() == nil {
			c.store.log.Warn("the connection on which other processes tell of changes has failed; what they do is seen a little later until it is back", "error", err)
		}
		renumbered := ctx.Err() != nil
		again()
		if renumbered {
			continue
		}
		select {
		case <-time.After(wait):
			wait = min(2*wait, listenAtMost)
		case <-c.ctx.Done():
		}
	}
}

// listenOnce listens until ctx ends or the connection breaks. It calls ready
// once it hears.
func (c *cluster) listenOnce(ctx context.Context, ready func()) error {
	s := c.store
	config := s.pool.Config().ConnConfig.Copy()
	starting, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	conn, err := pgx.ConnectConfig(starting, config)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(closing) // it is not wanted any more
	}()
	if _, err := conn.Exec(starting, "LISTEN "+channel); err != nil {
		return err
	}
	// Nobody else ever has this number, but for a connection of ours that the
	// server has not noticed to be gone: it need not be waited for.
	if _, err := conn.Exec(starting, "SELECT pg_try_advisory_lock_shared($1, $2)", nodeLocks, s.node.Load()); err != nil {
		return err
	}
	ready()
	for {
		waiting, cancel := context.WithTimeout(ctx, listenCheck)
		notice, err := conn.WaitForNotification(waiting)
		cancel()
		switch {
		case err == nil:
			if from, hint, ok := parseNotice(notice.Payload); ok && from != int64(s.node.Load()) {
				c.tell(hint)
			}
		case ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded):
			return err
		default:
			checking, cancel := context.WithTimeout(ctx, commitTime)
			err := conn.Ping(checking)
			cancel()
			if err != nil {
				return err
			}
		}
	}
}

// nodeLocks is the class of the locks that processes hold on their numbers; see
// schema/1-cluster.sql.
const nodeLocks = 1735549187

func (c *cluster) tell(hint store.Hint) {
	c.mu.Lock()
	tell := c.hint
	c.mu.Unlock()
	if tell != nil {
		tell(hint)
	}
}

// A notice is the number of the process that sends it, a space, and "changed", or
// "due" and the numbers of hooks: "7 due 1 2 3".
const (
	changedNotice = "changed"
	dueNotice     = "due"
	// maxNotice is how long one may be; PostgreSQL refuses 8000 bytes and more.
	maxNotice = 7000
)

// dueNotices writes notices of due hooks.
func dueNotices(node int32, hooks map[int64]bool) (notices []string) {
	begin := strconv.Itoa(int(node)) + " " + dueNotice
	text := begin
	for _, number := range slices.Sorted(maps.Keys(hooks)) {
		if len(text) > maxNotice {
			notices = append(notices, text)
			text = begin
		}
		text += " " + strconv.FormatInt(number, 10)
	}
	if len(text) > len(begin) {
		notices = append(notices, text)
	}
	return notices
}

// parseNotice reads a notice. Anybody who may use the database can write one.
func parseNotice(text string) (from int64, hint store.Hint, ok bool) {
	words := strings.Split(text, " ")
	if len(words) < 2 {
		return 0, hint, false
	}
	from, err := strconv.ParseInt(words[0], 10, 32)
	if err != nil || from <= 0 {
		return 0, hint, false
	}
	switch words[1] {
	case changedNotice:
		return from, store.Hint{Changed: true}, len(words) == 2
	case dueNotice:
		for _, word := range words[2:] {
			number, err := strconv.ParseInt(word, 10, 64)
			if err != nil || number <= 0 {
				return 0, store.Hint{}, false
			}
			hint.Due = append(hint.Due, number)
		}
		return from, hint, len(hint.Due) > 0
	default:
		return 0, hint, false
	}
}
