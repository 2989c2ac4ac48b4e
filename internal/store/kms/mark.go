package kms

import (
	"context"
	"slices"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
)

func secretMarkRow(m *secret.Mark) bound.Row {
	return bound.Row{Table: "secret_mark", Keys: 4, Rev: &m.Rev, Counted: "not bound to the log: who deletes one hides a leak; docs/design/scan.md", Columns: []bound.Column{
		bound.Text("account", &m.Account),
		bound.Text("mark", &m.Mark),
		bound.Text("secret_id", &m.Secret),
		bound.Text("version", &m.Version),
		bound.Text("name", &m.Name),
		bound.Text("key_id", &m.KeyID),
		bound.Flag("strong", &m.Strong),
	}}
}

// mark stores marks; those that are there already stay.
func mark(ctx context.Context, t *bound.Tx, marks []secret.Mark) error {
	for i := range marks {
		if err := t.Insert(ctx, secretMarkRow(&marks[i])); err != nil && !fault.Is(err, fault.ResourceExists) {
			return err
		}
	}
	return nil
}

// unmark removes the marks of a version.
func unmark(ctx context.Context, t *bound.Tx, v *secret.Version) error {
	_, err := t.Run(ctx, `DELETE FROM secret_mark WHERE account = $1 AND secret_id = $2 AND version = $3`, v.Account, v.Secret, v.ID)
	return err
}

// Unmarked implements exposure.Marks.
func (s Store) Unmarked(ctx context.Context, account string, after secret.Version, limit int) ([]secret.Version, error) {
	return bound.List(ctx, s.Store, s.DB, secretVersionRow, `WHERE account = $1 AND (secret_id, id) > ($2, $3)
		AND NOT EXISTS (SELECT 1 FROM secret_mark m WHERE m.account = secret_version.account AND m.secret_id = secret_version.secret_id AND m.version = secret_version.id)
		ORDER BY secret_id, id LIMIT $4`, account, after.Secret, after.ID, limit)
}

// SaveMarks implements exposure.Marks.
func (s Store) SaveMarks(ctx context.Context, marks []secret.Mark) error {
	if len(marks) == 0 {
		return nil
	}
	return database.Unavailable(s.Apart(ctx, func(t *bound.Tx) (err error) {
		there := map[[2]string]int{}
		for _, m := range marks {
			v := [2]string{m.Secret, m.Version}
			if _, asked := there[v]; !asked {
				if there[v], err = t.Count(ctx, `SELECT COUNT(*) FROM secret_version WHERE account = $1 AND secret_id = $2 AND id = $3`, m.Account, m.Secret, m.Version); err != nil {
					return err
				}
			}
		}
		return mark(ctx, t, slices.DeleteFunc(marks, func(m secret.Mark) bool { return there[[2]string{m.Secret, m.Version}] == 0 }))
	}), "storing marks")
}

// asked is how many marks one query asks for.
const asked = 500

// Marks implements exposure.Marks.
func (s Store) Marks(ctx context.Context, account string, marks []string) (out []secret.Mark, err error) {
	for some := range slices.Chunk(marks, asked) {
		args := []any{account}
		for _, mark := range some {
			args = append(args, mark)
		}
		found, err := bound.List(ctx, s.Store, s.DB, secretMarkRow, `WHERE account = $1 AND mark IN (`+database.Places(2, len(some))+`) ORDER BY mark, secret_id, version`, args...)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}
