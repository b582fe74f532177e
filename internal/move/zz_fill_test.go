package move

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

func logEvent(uuid string, at time.Time) []byte {
	person, ip := rand.IntN(20_000), rand.Uint32()
	agents := []string{"Windows NT 10.0; Win64; x64) AppleWebKit/537.36", "Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15", "iPhone; CPU iPhone OS 19_1 like Mac OS X)"}
	towns := []string{"Lyon", "Springfield", "Osaka", "Recife", "Gdynia", "Pune"}
	return fmt.Appendf(nil, `{"uuid":%q,"published":%q,"eventType":"user.session.start","version":"0","displayMessage":"User login to Okta","severity":"INFO",`+
		`"client":{"userAgent":{"rawUserAgent":"Mozilla/5.0 (%s","os":"Unknown","browser":"UNKNOWN"},"zone":"null","device":"Computer","id":null,"ipAddress":"%d.%d.%d.%d",`+
		`"geographicalContext":{"city":%q,"state":"S%d","country":"C%d","postalCode":"%05d","geolocation":{"lat":%.4f,"lon":%.4f}},"ipChain":[]},`+
		`"actor":{"id":"00u%017x","type":"User","alternateId":"person.%d@example.com","displayName":"Person %d","detailEntry":null},`+
		`"outcome":{"result":"SUCCESS","reason":null},"target":[{"id":"0oa%017x","type":"AppInstance","alternateId":"App %d","displayName":"App %d","detailEntry":null}],`+
		`"transaction":{"type":"WEB","id":"X%022x","detail":{}},"debugContext":{"debugData":{"requestId":"X%022x","dtHash":"%016x%016x","requestUri":"/api/v1/authn","threatSuspected":"false","url":"/api/v1/authn?"}},`+
		`"legacyEventType":"core.user_auth.login_success","authenticationContext":{"authenticationStep":0,"externalSessionId":"102%020x","interface":null},"securityContext":{"asNumber":%d,"isProxy":false}}`,
		uuid, at.UTC().Format("2006-01-02T15:04:05.000Z"), agents[rand.IntN(len(agents))], byte(ip>>24), byte(ip>>16), byte(ip>>8), byte(ip),
		towns[rand.IntN(len(towns))], rand.IntN(50), rand.IntN(90), rand.IntN(99999), rand.Float64()*180-90, rand.Float64()*360-180,
		uint64(person)*0x9e3779b97f4a7c15, person, person, rand.Uint64N(300)*0x9e3779b97f4a7c15, rand.IntN(300), rand.IntN(300),
		rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.IntN(64000))
}

func TestZZFill(t *testing.T) {
	path := os.Getenv("FILL")
	n, _ := strconv.Atoi(os.Getenv("FILL_N"))
	if path == "" {
		return
	}
	group := 64
	s := file(path).mustOpen(t)
	ctx := context.Background()
	src := hook.Source{Name: "acme"}
	s.CreateSource(ctx, &src)
	h := hook.EventHook{ID: "who1", Status: hook.Active, Verified: true, EverVerified: true, Policy: hook.DefaultPolicy()}
	if err := s.CreateEventHook(ctx, &h, func([]hook.EventHook) error { return nil }); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-24 * time.Hour)
	for done := 0; done < n; {
		size := 16 + rand.IntN(group)
		g := &store.Group{Received: at, Revision: h.Revision, LeaseFor: time.Minute, Lease: func(int64, *store.Event) bool { return true }}
		for range size {
			ticks := uint64(at.UnixNano()/100) + 0x01b21dd213814000
			uuid := fmt.Sprintf("%08x-%04x-1%03x-%04x-%012x", uint32(ticks), uint16(ticks>>32), ticks>>48&0xfff, 0x8000|rand.IntN(0x4000), rand.Uint64N(1<<48))
			at = at.Add(80 * time.Microsecond)
			g.Events = append(g.Events, &store.Event{Event: hook.Event{Source: 1, UUID: uuid, Type: "user.session.start", Published: at, JSON: logEvent(uuid, at)}, Hooks: []int64{h.Number}})
		}
		claims, err := s.Commit(ctx, g)
		if err != nil {
			t.Fatal(err)
		}
		var out []store.Outcome
		for _, c := range claims {
			o := store.Outcome{Key: c.Key, Epoch: c.Epoch, State: hook.Delivered, Attempt: &hook.Attempt{At: at, Duration: 20 * time.Millisecond, Status: 200}}
			switch rand.IntN(100) {
			case 0:
				o.State, o.Reason, o.Attempt.Status, o.Attempt.Reason = hook.Dead, hook.ReasonExhausted, 500, hook.ReasonStatus
				o.Response = &hook.Response{Status: 500, Body: []byte("sorry, we have a problem here")}
			case 1, 2:
				o.State, o.Reason, o.Attempt.Status, o.Attempt.Reason, o.Due = hook.Waiting, hook.ReasonStatus, 503, hook.ReasonStatus, at.Add(100*time.Hour)
				o.Response = &hook.Response{Status: 503, Body: []byte("try again later")}
			}
			out = append(out, o)
		}
		if _, err := s.Settle(ctx, out); err != nil {
			t.Fatal(err)
		}
		done += size
	}
	s.Close()
}
