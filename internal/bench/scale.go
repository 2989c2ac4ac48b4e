package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/bench/figure"
)

const scaleHead = `| database | keys | created/s | database MB | start ms | resident MB | after using 1,000 keys | after a minute of rest |
|---|--:|--:|--:|--:|--:|--:|--:|
`

const (
	creators = 32          // keys or secrets that are made at once
	used     = 1000        // keys that are used after the start
	rest     = time.Minute // before the memory is read once more
)

// scale measures how a server with many keys starts and what it holds in memory. The
// keys are made through the API: 100,000 take minutes.
func (p plan) scale(ctx context.Context, binary, dir string) error {
	fmt.Print(scaleHead)
	for _, database := range p.databases {
		s, err := startServer(ctx, place{binary: binary, dir: dir, database: database})
		if err != nil {
			return fmt.Errorf("starting keyward on %s: %w", database, err)
		}
		made := []string{}
		for _, n := range p.keys {
			if made, err = scaleTo(ctx, s, made, n); err != nil {
				return errors.Join(fmt.Errorf("measuring %d keys on %s: %w", n, database, err), s.stop())
			}
		}
		if err := s.stop(); err != nil {
			return err
		}
	}
	return nil
}

// scaleTo makes as many keys as are missing, restarts the server, and prints a row. It
// answers the ids of all keys.
func scaleTo(ctx context.Context, s *server, made []string, n int) ([]string, error) {
	begun := time.Now()
	more := max(0, n-len(made))
	ids, err := createKeys(ctx, s.root, more)
	if err != nil {
		return made, err
	}
	created := float64(more) / time.Since(begun).Seconds()
	made = append(made, ids...)
	begun = time.Now()
	if err := s.restart(ctx); err != nil {
		return made, err
	}
	start := time.Since(begun)
	idle, err := s.process.resident()
	if err != nil {
		return made, err
	}
	for i := range min(used, len(made)) {
		if _, err := s.root.Encrypt(ctx, api.EncryptRequest{Key: made[i*len(made)/min(used, len(made))], Plaintext: payload}); err != nil {
			return made, err
		}
	}
	busy, err := s.process.resident()
	if err != nil {
		return made, err
	}
	select {
	case <-time.After(rest):
	case <-ctx.Done():
		return made, ctx.Err()
	}
	rested, err := s.process.resident()
	size := "–"
	if info, statErr := os.Stat(filepath.Join(s.dir, s.name, "keyward.db")); statErr == nil {
		size = figure.Megabytes(info.Size())
	}
	fmt.Printf("| %s | %d | %.0f | %s | %d | %s | %s | %s |\n", s.name, n, created, size, start.Milliseconds(), figure.Megabytes(idle), figure.Megabytes(busy), figure.Megabytes(rested))
	return made, err
}

// createKeys makes n symmetric keys and answers their ids.
func createKeys(ctx context.Context, c *client.Client, n int) ([]string, error) {
	ids := make([]string, n)
	return ids, each(ctx, n, func(ctx context.Context, i int) error {
		k, err := c.CreateKey(ctx, api.CreateKeyRequest{Spec: "Aliyun_AES_256"})
		ids[i] = k.ID
		return err
	})
}

// each calls fn with the numbers below n, some at once, until one fails.
func each(ctx context.Context, n int, fn func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(creators)
	for i := range n {
		g.Go(func() error { return fn(ctx, i) })
	}
	return g.Wait()
}

// ready waits until the server can do its work.
func (s *server) ready(ctx context.Context) error {
	for end := time.Now().Add(patience); ctx.Err() == nil && time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		answer, err := http.Get("http://" + s.process.address + "/readyz")
		if err != nil {
			continue // it does not listen yet
		}
		_, err = io.Copy(io.Discard, answer.Body)
		if errors.Join(err, answer.Body.Close()) == nil && answer.StatusCode == http.StatusOK {
			return nil
		}
	}
	return errors.Join(errors.New("the server is not ready in time"), ctx.Err())
}
