package reach

import (
	"sync"
	"time"
)

// versions remembers which places answered in HTTP/1.1 when they could have
// chosen HTTP/2. They are asked again after a while.
type versions struct {
	mu    sync.Mutex
	since map[place]time.Time
}

const (
	versionFor  = 10 * time.Minute
	maxVersions = 4096 // places; what is forgotten is only asked again
)

// old reports whether a place speaks HTTP/1.1.
func (v *versions) old(at place) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	since, ok := v.since[at]
	return ok && time.Since(since) < versionFor
}

func (v *versions) remember(at place) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.since == nil || len(v.since) >= maxVersions {
		v.since = make(map[place]time.Time)
	}
	v.since[at] = time.Now()
}

func (v *versions) forget(at place) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.since, at)
}
