package auditcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/export"
	"github.com/keyward/keyward/internal/tiles"
)

// exportTiles writes all logs as tiles below a directory, or adds what is new. What is
// written was verified against the key that each log claims and continues what is there.
func (s *logSource) exportTiles(ctx context.Context, cmd *cobra.Command, dir string) error {
	pr, pw := io.Pipe()
	defer func() { _ = pr.Close() }() // so that the other side ends when this one failed
	go func() { pw.CloseWithError(s.export(ctx, cmd, pw)) }()
	w := tiles.NewWriter(dir)
	var refused error
	reports, err := export.Verify(pr, func(log, claimed string) audit.Trust {
		trust := audit.Trust{PublicKey: claimed}
		before, err := w.Remembered(log)
		if err == nil && before != nil {
			if _, err = audit.OpenCheckpoint(before, claimed); err == nil {
				trust.Remembered = [][]byte{before}
			}
		}
		refused = errors.Join(refused, err)
		return trust
	}, guarded{w, &refused})
	if refused != nil {
		return fmt.Errorf("%s: %w", dir, refused)
	}
	if err != nil {
		return err
	}
	for _, r := range reports {
		s.Say("%s: %d records", "%s：%d 条记录", r.Log, r.Size)
	}
	s.Say("%d files added to %s", "已向 %[2]s 增加 %[1]d 个文件", w.Added(), dir)
	return nil
}

// guarded writes nothing of a log whose trust could not be settled.
type guarded struct {
	*tiles.Writer
	refused *error
}

// Begin implements export.Sink.
func (g guarded) Begin(log string) error {
	if *g.refused != nil {
		return *g.refused
	}
	return g.Writer.Begin(log)
}

// verifyTiles verifies a directory of tiles. It claims no key, so each must be given.
func (v *verification) verifyTiles(cmd *cobra.Command, dir string) ([]audit.Report, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	reports, err := tiles.Verify(os.DirFS(dir), func(log string) (audit.Trust, error) {
		key, given := v.keys[log]
		if !given {
			return audit.Trust{}, v.Usage(cmd, "tiles name no public key; give that of log %q with --public-key", "tile 目录不含公钥；请用 --public-key 给出日志 %q 的公钥", log)
		}
		return v.trust(log, key)
	})
	if err == nil && len(reports) == 0 && len(v.keys) == 0 {
		return nil, v.Usage(cmd, "there are no tiles in %s", "%s 中没有 tile 文件", dir)
	}
	return reports, err
}
