package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/durable"
)

// A cache keeps bundles as they were received, sealed, and how far the agent has come
// with each, in one directory. File names follow from the rollout's name by a hash: what
// a server calls a rollout chooses no path.
type cache struct {
	dir     string
	replace func(path string, content []byte) error // durable.Replace
}

const (
	bundleSuffix   = ".bundle"
	progressSuffix = ".progress"
)

func (c cache) path(rollout, suffix string) string {
	sum := sha256.Sum256([]byte(rollout))
	return filepath.Join(c.dir, hex.EncodeToString(sum[:16])+suffix)
}

// keepBundle makes a bundle durable, in place of the one before.
func (c cache) keepBundle(b delivery.Bundle) error {
	content, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("caching a bundle: %w", err)
	}
	return c.replace(c.path(b.Rollout, bundleSuffix), content)
}

// keepProgress makes durable how far the agent has come with a rollout.
func (c cache) keepProgress(rollout string, p progress) error {
	content, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("caching progress: %w", err)
	}
	return c.replace(c.path(rollout, progressSuffix), content)
}

// forgetProgress makes it durable that the agent may have come nowhere with a rollout. It
// works on a full disk.
func (c cache) forgetProgress(rollout string) error {
	if err := os.Remove(c.path(rollout, progressSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("caching progress: %w", err)
	}
	return durable.SyncDirectory(c.dir)
}

// forget removes all of a rollout.
func (c cache) forget(rollout string) error {
	if err := c.forgetProgress(rollout); err != nil {
		return err
	}
	if err := os.Remove(c.path(rollout, bundleSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a bundle: %w", err)
	}
	return durable.SyncDirectory(c.dir)
}

// load answers all bundles, and what was wrong with files that hold none. It removes what
// a crash in the middle of writing left.
func (c cache) load() ([]delivery.Bundle, error) {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, fmt.Errorf("reading the cache: %w", err)
	}
	var all []delivery.Bundle
	var damaged []error
	for _, e := range entries {
		path := filepath.Join(c.dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), ".tmp-"):
			if err := os.Remove(path); err != nil {
				damaged = append(damaged, fmt.Errorf("cleaning the cache: %w", err))
			}
		case filepath.Ext(path) == bundleSuffix:
			var b delivery.Bundle
			content, err := os.ReadFile(path)
			if err == nil {
				err = json.Unmarshal(content, &b)
			}
			if err != nil || c.path(b.Rollout, bundleSuffix) != path {
				damaged = append(damaged, fmt.Errorf("reading the cache: %s is damaged; it will be fetched again", path))
				continue
			}
			all = append(all, b)
		}
	}
	return all, errors.Join(damaged...)
}

// progress answers how far the agent had come with a generation: nowhere, if it is not
// known.
func (c cache) progress(b delivery.Bundle) progress {
	var p progress
	content, err := os.ReadFile(c.path(b.Rollout, progressSuffix))
	if err != nil || json.Unmarshal(content, &p) != nil || p.Generation != b.Generation {
		return progress{Generation: b.Generation}
	}
	return p
}
