package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/bench/fleet"
)

// connect measures agents that are connected to a server, on each database.
func (p plan) connect(ctx context.Context, binary, dir string) error {
	for _, database := range p.databases {
		s, err := startServer(ctx, place{binary: binary, dir: dir, database: database})
		if err != nil {
			return fmt.Errorf("starting keyward on %s: %w", database, err)
		}
		err = fleet.Agents(ctx, fleet.Server{
			Name: database, URL: func() string { return "http://" + s.process.address }, Root: func() *client.Client { return s.root },
			Resident: func() (int64, error) { return s.process.resident() }, CPU: func() (time.Duration, error) { return s.process.cpu() },
			Waiting: func() (int, error) { return s.process.waiting() }, Restart: s.restart,
		}, p.agents)
		if err = errors.Join(err, s.stop()); err != nil {
			return fmt.Errorf("measuring %d agents on %s: %w", p.agents, database, err)
		}
	}
	return nil
}

// rotate measures rotations that are due at once, on each database.
func (p plan) rotate(ctx context.Context, dir string) error {
	for _, database := range p.databases {
		private, url := filepath.Join(dir, database), ""
		if database == "postgres" {
			url = os.Getenv(postgresVariable)
		}
		if err := os.Mkdir(private, 0o700); err != nil {
			return err
		}
		self := process{pid: os.Getpid()}
		if err := fleet.Rotations(ctx, fleet.RotationsOptions{N: p.rotations, Database: database, Dir: private, Postgres: url, CPU: self.cpu, OpenFiles: self.files}); err != nil {
			return fmt.Errorf("measuring %d rotations on %s: %w", p.rotations, database, err)
		}
	}
	return nil
}
