package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// parse reads a command line as run does, without running the command.
func parse(t *testing.T, args ...string) (commands, error) {
	t.Helper()
	var c commands
	parser, err := kong.New(&c, defaults, kong.Vars{"token_file": tokenFile})
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(args)
	return c, err
}

func configure(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "grapnel.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigFileSets(t *testing.T) {
	file := configure(t, `
listen: 127.0.0.1:18080
admin-listen: 127.0.0.1:18081 # a name with a hyphen
allow-destination:
  - 10.0.0.0/8
  - fd00::/8
allow-http: true
retention: 100h
retention-size: 50GB
body-limit: 1048576
admin-token: 0123
public-url:
`)
	c, err := parse(t, "serve", "--config", file)
	if err != nil {
		t.Fatal(err)
	}
	s := c.Serve
	if s.Listen != "127.0.0.1:18080" || s.AdminListen != "127.0.0.1:18081" || !s.AllowHTTP ||
		!slices.Equal(s.AllowDestination, []string{"10.0.0.0/8", "fd00::/8"}) ||
		s.Retention != 100*time.Hour || s.RetentionSize != 50e9 || s.BodyLimit != 1<<20 ||
		s.AdminToken != "0123" || s.PublicURL != "" {
		t.Errorf("got %+v", s)
	}
}

// TestConfigFileGivesWay: a flag wins over the environment, which wins over
// the file.
func TestConfigFileGivesWay(t *testing.T) {
	t.Setenv("GRAPNEL_CONFIG", configure(t, "listen: file:1\nadmin-listen: file:2\npublic-url: https://file.example\n"))
	t.Setenv("GRAPNEL_LISTEN", "environment:1")
	t.Setenv("GRAPNEL_ADMIN_LISTEN", "environment:2")
	c, err := parse(t, "serve", "--listen", "flag:1")
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Serve; s.Listen != "flag:1" || s.AdminListen != "environment:2" || s.PublicURL != "https://file.example" {
		t.Errorf("got %+v", s)
	}
	if _, err := parse(t, "hooks", "list"); err != nil {
		t.Errorf("a client command minds the gateway's file: %v", err)
	}
}

func TestConfigFileIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"admin_listen: x":         `there is no setting "admin_listen"`,
		"help: true":              `there is no setting "help"`,
		"config: other.yaml":      `there is no setting "config"`,
		"- listen":                "write a setting a line",
		"listen: [1":              "write a setting a line",
		"listen: {port: 1}":       "listen: expected a value or a list of values",
		"allow-destination: [[]]": "allow-destination: the list may only hold single values",
		"allow-http: maybe":       "--allow-http",
		"retention: 90":           "--retention",
		"log-level: loud":         "--log-level",
	} {
		_, err := parse(t, "serve", "--config", configure(t, text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
