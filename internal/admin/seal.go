package admin

import (
	"encoding/json"
	"fmt"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/secret"
)

// The contexts of sealed values name their place: a value copied into another
// row does not open. Neither a hook's id nor a source's name is ever used again.
func hookContext(id string) string     { return "eventHook/" + id + "/channel" }
func sourceContext(name string) string { return "source/" + name + "/auth" }

// OpenEventHook fills h.Channel from h.Sealed, as delivering needs it. The
// context it opens in is made from h.ID alone. After an error it is empty.
func OpenEventHook(key secret.Key, h *hook.EventHook) error {
	h.Channel = hook.Channel{}
	if err := open(key, hookContext(h.ID), h.Sealed, &h.Channel); err != nil {
		return fmt.Errorf("channel of event hook %s: %w", h.ID, err)
	}
	return nil
}

func sealChannel(key secret.Key, id string, channel hook.Channel) []byte {
	return seal(key, hookContext(id), channel)
}

// OpenSource returns what requests of the source must show.
func OpenSource(key secret.Key, s *hook.Source) (hook.SourceAuth, error) {
	var auth hook.SourceAuth
	if err := open(key, sourceContext(s.Name), s.Sealed, &auth); err != nil {
		return hook.SourceAuth{}, fmt.Errorf("secrets of source %s: %w", s.Name, err)
	}
	return auth, nil
}

func sealSource(key secret.Key, name string, auth hook.SourceAuth) []byte {
	return seal(key, sourceContext(name), auth)
}

func open(key secret.Key, context string, sealed []byte, v any) error {
	plain, err := key.Open(context, sealed)
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, v)
}

func seal(key secret.Key, context string, v any) []byte {
	plain, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain strings always marshal
	}
	return key.Seal(context, plain)
}
