package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/grapnel-hooks/grapnel/internal/access"
	"github.com/grapnel-hooks/grapnel/internal/secret"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
)

// Names of the files that a first start makes beside the SQLite file.
const (
	TokenFile = "admin-token"
	KeyFile   = "secret-key"
)

// credentials are the two secrets a gateway runs with, and where they came from.
type credentials struct {
	token     string
	tokenFile string // "" when it was given directly
	key       secret.Key
	keyFile   string
	made      []string // files that were made now
}

// loadCredentials takes the token and the key from where the options say, or
// from files beside the store, which it makes when they are missing.
func (o *Options) loadCredentials(storeFile string) (c credentials, err error) {
	dir := filepath.Dir(storeFile)
	c.token = o.AdminToken
	if c.token == "" {
		c.tokenFile = o.AdminTokenFile
		if c.token, err = o.secretFile(&c.tokenFile, filepath.Join(dir, TokenFile), access.NewToken, &c.made); err != nil {
			return c, fmt.Errorf("admin token: %w", err)
		}
	}
	key := o.SecretKey
	if key == "" {
		c.keyFile = o.SecretKeyFile
		// A store without its key must not get another one: what it has
		// sealed would be lost.
		generate := func() string { return secret.GenerateKey().Encode() }
		if _, err := os.Stat(storeFile); err == nil {
			generate = nil
		}
		if key, err = o.secretFile(&c.keyFile, filepath.Join(dir, KeyFile), generate, &c.made); err != nil {
			return c, fmt.Errorf("secret key: %w", err)
		}
	}
	c.key, err = secret.ParseKey(key)
	return c, err
}

// secretFile reads a secret from a file. It makes the file at fallback when no
// other was named and it does not exist.
func (o *Options) secretFile(path *string, fallback string, generate func() string, made *[]string) (string, error) {
	named := *path != ""
	if !named {
		*path = fallback
	}
	text, warning, err := secret.ReadFile(*path)
	if warning != "" {
		o.Log.Warn(warning)
	}
	if err == nil || named || !errors.Is(err, fs.ErrNotExist) {
		return strings.TrimSpace(text), err
	}
	if generate == nil {
		return "", fmt.Errorf("the store exists, but %s does not; put the file back, or name it with --secret-key-file", *path)
	}
	text = generate()
	if err := sqlite.MakeDir(filepath.Dir(*path)); err != nil {
		return "", err
	}
	if err := secret.CreateFile(*path, text+"\n"); err != nil {
		return "", err
	}
	*made = append(*made, *path)
	return text, nil
}

// checkCanary refuses a key with which the store's secrets were not sealed.
func checkCanary(ctx context.Context, s store.Registry, key secret.Key) error {
	canary, err := s.Canary(ctx)
	if err != nil {
		return err
	}
	if canary == nil {
		return s.SetCanary(ctx, key.Canary())
	}
	return key.CheckCanary(canary)
}
