package secret

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// MaxFileSize bounds a key or token file, in bytes.
const MaxFileSize = 4 << 10

// ReadFile reads a file that holds one key or token and returns its text
// without the white space around it. An empty file and one larger than
// MaxFileSize are errors.
//
// The warning, when not empty, says that people other than the file's owner
// can read or change it, and what to do. It is no error on purpose: secrets
// that Kubernetes or Docker mount are 0644 or 0440 by default and cannot be
// narrowed from inside, so refusing them would only push the secret into the
// environment. The mode is taken from the open file, hence of what was read.
// Windows has no such mode and never warns.
func ReadFile(path string) (text, warning string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return "", "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", "", err
	}
	contents, err := io.ReadAll(io.LimitReader(file, MaxFileSize+1))
	if err != nil {
		return "", "", err
	}
	if len(contents) > MaxFileSize {
		return "", "", fmt.Errorf("%s is larger than %d bytes; it must hold one key or token and nothing else", path, MaxFileSize)
	}
	text = strings.TrimSpace(string(contents))
	if text == "" {
		return "", "", fmt.Errorf("%s is empty; write the key or token into it, or delete it to have a new one made", path)
	}
	return text, exposure(path, info.Mode()), nil
}

func exposure(path string, mode fs.FileMode) string {
	if runtime.GOOS == "windows" || mode.Perm()&0o077 == 0 {
		return ""
	}
	return fmt.Sprintf("%s has mode %04o, so others than its owner have access to it; run `chmod 600 %s`", path, mode.Perm(), path)
}

// CreateFile writes contents to a new file that only its owner can read
// (0600). It returns once the file and its name in the directory are on disk
// (fsync of both). The directory must exist. A file already there is left
// alone and the error matches fs.ErrExist; after any other error no file is
// left behind. Whoever is killed in the middle leaves no half of a file either,
// but perhaps one with a longer name.
func CreateFile(path, contents string) error {
	draft := path + "." + rand.Text()
	if err := writeFile(draft, contents); err != nil {
		return err
	}
	err := os.Link(draft, path)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		err = writeFile(path, contents) // a file system that has no links
	}
	if err != nil {
		return errors.Join(err, os.Remove(draft))
	}
	if err := errors.Join(os.Remove(draft), syncDir(filepath.Dir(path))); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// writeFile writes contents to a new file and syncs it. After an error there is
// none, unless there was one before.
func writeFile(path, contents string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(contents)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil // a directory cannot be synced there
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
