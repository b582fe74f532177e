package sqlite

import (
	"maps"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// lease says who holds a delivery, and until when.
type lease struct {
	epoch int64
	until time.Time
	row   int64 // of the delivery's own row; 0 while it has none
}

// leases are those of all hooks, each hook's by themselves: hooks that hang hold
// a thousand each, and what is looked for in one must not be among all.
type leases map[int64]map[hook.Key]lease

// get returns the zero lease when there is none.
func (l leases) get(key hook.Key) (held lease, ok bool) {
	held, ok = l[key.Hook][key]
	return held, ok
}

func (l leases) set(key hook.Key, to lease) {
	of := l[key.Hook]
	if of == nil {
		of = make(map[hook.Key]lease)
		l[key.Hook] = of
	}
	of[key] = to
}

func (l leases) drop(key hook.Key) {
	delete(l[key.Hook], key)
	if len(l[key.Hook]) == 0 {
		delete(l, key.Hook)
	}
}

// clone copies the leases of one hook, or of all for 0.
func (l leases) clone(number int64) leases {
	copied := make(leases)
	for of, held := range l {
		if number == 0 || number == of {
			copied[of] = maps.Clone(held)
		}
	}
	return copied
}
