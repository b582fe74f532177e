// Command receiver is a small consumer of event hooks: it answers Okta's
// verification, checks the signature, drops repeats, and prints what it gets.
//
//	go run ./examples/receiver --listen 127.0.0.1:9000 --secret "Bearer s3cret"
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
)

// receiver remembers which deliveries it has acted on.
type receiver struct {
	secret  string // the whole Authorization header
	signing string // "whsec_…", or "" to check no signature
	status  int    // what deliveries are answered with
	out     io.Writer

	mu   sync.Mutex
	seen map[string]bool // by webhook-id; bound it, or keep it in a database
}

func (rc *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != rc.secret {
		http.Error(w, "wrong secret", http.StatusUnauthorized)
		return
	}
	if r.Method == http.MethodGet { // the one-time verification
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"verification": r.Header.Get("X-Okta-Verification-Challenge")})
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 32<<20))
	if err != nil || !rc.signed(r.Header, body) {
		http.Error(w, "bad body or signature", http.StatusBadRequest)
		return
	}
	var delivery struct {
		Data struct {
			Events []struct{ UUID, EventType, DisplayMessage string }
		}
	}
	if err := json.Unmarshal(body, &delivery); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	rc.mu.Lock()
	defer rc.mu.Unlock()
	id := r.Header.Get("webhook-id")
	for _, event := range delivery.Data.Events {
		fmt.Fprintf(rc.out, "%s %s %s repeat=%t answer=%d\n", id, event.EventType, event.UUID, rc.seen[id], rc.status)
	}
	if rc.status < 300 {
		rc.seen[id] = true
	}
	w.WriteHeader(rc.status)
}

// signed checks a Standard Webhooks signature.
func (rc *receiver) signed(header http.Header, body []byte) bool {
	if rc.signing == "" {
		return true
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(rc.signing, "whsec_"))
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", header.Get("webhook-id"), header.Get("webhook-timestamp"), body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, given := range strings.Fields(header.Get("webhook-signature")) {
		if hmac.Equal([]byte(given), []byte(want)) {
			return true
		}
	}
	return false
}

func main() {
	rc := &receiver{out: os.Stdout, seen: make(map[string]bool)}
	listen := flag.String("listen", "127.0.0.1:9000", "address")
	flag.StringVar(&rc.secret, "secret", "Bearer s3cret", "the whole Authorization header to expect")
	flag.StringVar(&rc.signing, "signing", "", "Standard Webhooks secret (whsec_…) to check signatures with")
	flag.IntVar(&rc.status, "status", http.StatusNoContent, "what to answer deliveries with")
	flag.Parse()
	if err := http.ListenAndServe(*listen, rc); err != nil {
		fmt.Fprintln(os.Stderr, "receiver:", err)
		os.Exit(1)
	}
}
