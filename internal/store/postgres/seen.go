package postgres

import "github.com/grapnel-hooks/grapnel/internal/store/pack"

// dedupeKey is a uuid as the dedupe keys have it.
func dedupeKey(uuid string) [16]byte { return pack.KeyOf(uuid) }
