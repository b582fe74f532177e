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
// from files beside the SQLite file, which it makes when they are missing. Those
// who share a database must have the same, so there they have to be given.
func (o *Options) loadCredentials(at storeAt) (c credentials, err error) {
	var tokenFile, keyFile string
	if !at.shared() {
		tokenFile, keyFile = filepath.Join(filepath.Dir(at.path), TokenFile), filepath.Join(filepath.Dir(at.path), KeyFile)
	}
	c.token = o.AdminToken
	if c.token == "" {
		if o.AdminTokenFile == "" && at.shared() {
			return c, &SettingError{errors.New("a gateway on PostgreSQL needs the admin token that all its nodes share; give it with --admin-token-file or GRAPNEL_ADMIN_TOKEN")}
		}
		c.tokenFile = o.AdminTokenFile
		if c.token, err = o.secretFile(&c.tokenFile, tokenFile, access.NewToken, &c.made); err != nil {
			return c, fmt.Errorf("admin token: %w", err)
		}
	}
	key := o.SecretKey
	if key == "" {
		if o.SecretKeyFile == "" && at.shared() {
			return c, &SettingError{errors.New("a gateway on PostgreSQL needs the key that all its nodes seal secrets with; give it with --secret-key-file or GRAPNEL_SECRET_KEY (openssl rand -base64 32 makes one)")}
		}
		c.keyFile = o.SecretKeyFile
		// A store without its key must not get another one: what it has
		// sealed would be lost.
		generate := func() string { return secret.GenerateKey().Encode() }
		if _, err := os.Stat(at.path); err == nil {
			generate = nil
		}
		if key, err = o.secretFile(&c.keyFile, keyFile, generate, &c.made); err != nil {
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
		err := s.SetCanary(ctx, key.Canary())
		if !errors.Is(err, store.ErrExists) {
			return err
		}
		// Another process was quicker.
		if canary, err = s.Canary(ctx); err != nil {
			return err
		}
	}
	return key.CheckCanary(canary)
}
