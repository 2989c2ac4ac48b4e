package app

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyward/keyward/internal/config"
	"github.com/keyward/keyward/internal/store/database"
)

// A database that is away while the server waits for its token does not end the server.
func TestTokenIsWaitedForWithoutTheDatabase(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := database.Open(t.Context(), "sqlite:"+filepath.Join(dir, "keyward.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		a := New(Options{Config: config.Config{Seal: config.Seal{HSM: true}}, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
		a.db = db
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := a.unsealByToken(ctx); err != nil || ctx.Err() == nil {
			t.Errorf("it ended: %v", err)
		}
	})
}
