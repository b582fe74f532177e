package test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeSession types the session of the README, line by line, on other
// ports, with the answers a reader would wait for between them.
func TestReadmeSession(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(readme), "<!-- session -->\n```sh\n")
	session, _, found := strings.Cut(after, "\n```\n")
	if !found {
		t.Fatal("the README has no session any more")
	}
	dir := t.TempDir()
	public, private, receiver := freePort(t), freePort(t), freePort(t)
	session = strings.NewReplacer(
		"127.0.0.1:8080", public, "127.0.0.1:8081", private, "127.0.0.1:9000", receiver,
		"./grapnel serve", program(t)+" serve --listen "+public+" --admin-listen "+private,
		"./grapnel ", program(t)+" ",
		"go build -o receiver", "go build -C "+source(t)+" -o "+dir+"/receiver",
	).Replace(session)
	// A person sees that a program is up before typing on.
	up := regexp.MustCompile(`(?m)^.*& (GATEWAY|RECEIVER)=\$!$`)
	session = up.ReplaceAllStringFunc(session, func(line string) string {
		address := receiver
		if strings.HasSuffix(line, "GATEWAY=$!") {
			address = private
		}
		return line + fmt.Sprintf("\nuntil curl -s -o /dev/null http://%s/livez; do :; done", address)
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	bash := exec.CommandContext(ctx, "bash", "-c", session)
	bash.Dir = dir
	bash.Env = append(os.Environ(), "GRAPNEL_URL=http://"+private)
	log, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	bash.Stdout, bash.Stderr = log, log
	failed := bash.Run()
	raw, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	out := string(raw)
	if failed != nil {
		t.Errorf("the session ended with %v", failed)
	}
	for _, want := range []string{
		`{"verification":"are-you-there"}`,
		`"verificationStatus":"UNVERIFIED"`,
		`"verificationStatus":"VERIFIED"`,
		"HTTP/1.1 200 OK",
		"user.session.start 0f6a1c53-5a7e-11f1-9c3d-2b7e4d10a6f3 repeat=false answer=204",
		"user.lifecycle.create one-more repeat=false answer=500",
		"retries_exhausted",
		`"created":1`,
		"user.lifecycle.create one-more repeat=false answer=204",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the session does not show %s", want)
		}
	}
	if strings.Contains(out, "0f6a1c52-") {
		t.Error("the filter let the successful sign-in through")
	}
	if t.Failed() {
		t.Log(out)
	}
}

// freePort returns an address on this machine that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// source is where the module is.
func source(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
