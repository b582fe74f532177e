package secret

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCreateFileThenRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	if err := CreateFile(path, "first\n"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := CreateFile(path, "second\n"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second file of the same name: %v", err)
	}
	text, warning, err := ReadFile(path)
	if text != "first" || warning != "" || err != nil {
		t.Errorf("read %q, %q, %v", text, warning, err)
	}
}

func TestCreateFileNeedsItsDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "secret.key")
	if err := CreateFile(path, "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestReadFileWarnsOfExposure(t *testing.T) {
	cases := map[fs.FileMode]bool{0o600: false, 0o400: false, 0o700: false, 0o640: true, 0o440: true, 0o604: true, 0o620: true, 0o644: true}
	for mode, exposed := range cases {
		path := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(path, []byte(" token\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		text, warning, err := ReadFile(path)
		if text != "token" || err != nil {
			t.Errorf("%04o: read %q, %v", mode, text, err)
		}
		if (warning != "") != exposed || exposed && !strings.Contains(warning, "chmod 600 "+path) {
			t.Errorf("%04o: warning %q", mode, warning)
		}
	}
}

// A mounted secret is a symbolic link into a directory that is swapped; the
// link's own mode (0777) must not raise the alarm.
func TestReadFileFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	if err := CreateFile(filepath.Join(dir, "real"), "token"); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "token")
	if err := os.Symlink("real", link); err != nil {
		t.Fatal(err)
	}
	text, warning, err := ReadFile(link)
	if text != "token" || warning != "" || err != nil {
		t.Errorf("read %q, %q, %v", text, warning, err)
	}
}

func TestReadFileRefusals(t *testing.T) {
	dir := t.TempDir()
	cases := map[string]struct{ contents, says string }{
		"empty": {"", "is empty"},
		"blank": {" \n\t\n", "is empty"},
		"large": {strings.Repeat("x", MaxFileSize+1), "is larger than"},
	}
	for name, c := range cases {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(c.contents), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := ReadFile(path)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := ReadFile(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, _, err := ReadFile(dir); err == nil {
		t.Error("a directory was read")
	}
	path := filepath.Join(dir, "largest")
	if err := os.WriteFile(path, []byte(strings.Repeat("x", MaxFileSize)), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, _, err := ReadFile(path); err != nil || len(text) != MaxFileSize {
		t.Errorf("a file of the largest size: %d, %v", len(text), err)
	}
}
