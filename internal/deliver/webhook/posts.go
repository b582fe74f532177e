package webhook

import (
	"net/http"
	"sync"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/reach"
)

// posts keeps what the deliveries of a hook have in common, made once. A hook is
// replaced when it changes, and never changed.
type posts struct {
	mu   sync.RWMutex
	made map[int64]post // by the hook's number
}

type post struct {
	hook *hook.EventHook
	*reach.Post
}

// maxPosts bounds what is kept: hooks that are deleted are not told of.
const maxPosts = 4096

// post returns how deliveries are sent to a hook.
func (ch *Channel) post(h *hook.EventHook) (*reach.Post, error) {
	ch.posts.mu.RLock()
	p := ch.posts.made[h.Number]
	ch.posts.mu.RUnlock()
	if p.hook == h {
		return p.Post, nil
	}
	header := http.Header{"Content-Type": {"application/json"}}
	ch.setHeaders(header, h)
	made, err := ch.Reach.NewPost(h.Channel.URI, header)
	if err != nil {
		return nil, err
	}
	ch.posts.mu.Lock()
	defer ch.posts.mu.Unlock()
	if ch.posts.made == nil || len(ch.posts.made) >= maxPosts {
		ch.posts.made = make(map[int64]post)
	}
	ch.posts.made[h.Number] = post{h, made}
	return made, nil
}
