package webhook

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/okta"
	"github.com/grapnel-hooks/grapnel/internal/reach"
)

// verifyTimeout bounds each of the two GETs of a handshake (Okta: 3 s, one retry).
const verifyTimeout = 3 * time.Second

// Verify performs Okta's handshake with a hook's destination: a GET with a
// challenge that the answer must repeat, and once more if that fails. The
// error says what the destination did.
func (ch *Channel) Verify(ctx context.Context, h *hook.EventHook) error {
	err := ch.challenge(ctx, h)
	if err != nil && ctx.Err() == nil {
		err = ch.challenge(ctx, h)
	}
	return err
}

func (ch *Channel) challenge(ctx context.Context, h *hook.EventHook) error {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.Channel.URI, nil)
	if err != nil {
		return err
	}
	challenge := rand.Text() + rand.Text()
	ch.setHeaders(request.Header, h)
	request.Header.Set(okta.HeaderChallenge, challenge)
	request.Header.Set(okta.HeaderRequestID, rand.Text())
	response, err := ch.client.Do(request)
	if err != nil {
		return withoutURL(err)
	}
	body, truncated, err := reach.ReadBody(response, 64<<10)
	switch {
	case err != nil:
		return err
	case response.StatusCode < 200 || response.StatusCode > 299:
		return fmt.Errorf("it answered %s", response.Status)
	case truncated:
		return fmt.Errorf("its answer is longer than 64 KiB")
	}
	return okta.CheckVerification(body, challenge)
}
