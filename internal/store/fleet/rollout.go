package fleet

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
)

// A Store is the store of packages rollout and target.
type Store struct{ *bound.Store }

func nodeRow(n *rollout.Node) bound.Row {
	return bound.Row{Table: "node", Keys: 2, Rev: &n.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &n.Account),
		bound.Text("name", &n.Name),
		bound.Text("kind", &n.Kind),
		bound.Document("labels", &n.Labels),
		bound.Blob("sign_key", &n.SignKey),
		bound.Blob("seal_key", &n.SealKey),
		bound.Text("token", &n.Token),
		bound.Instant("joined_at", &n.JoinedAt),
		bound.Flag("drained", &n.Drained),
	}}
}

func nodeTokenRow(t *rollout.Token) bound.Row {
	return bound.Row{Table: "node_token", Keys: 2, Rev: &t.Rev, Columns: []bound.Column{
		bound.Text("account", &t.Account),
		bound.Text("id", &t.ID),
		bound.Blob("hash", &t.Hash),
		bound.Text("node", &t.Node),
		bound.Document("labels", &t.Labels),
		bound.Number("uses", &t.Uses),
		bound.Instant("expires_at", &t.ExpiresAt),
		bound.Instant("created_at", &t.CreatedAt),
	}}
}

func rolloutRow(r *rollout.Rollout) bound.Row {
	return bound.Row{Table: "rollout", Keys: 2, Rev: &r.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &r.Account),
		bound.Text("name", &r.Name),
		bound.Text("secret", &r.Secret),
		bound.Document("members", &r.Members),
		bound.Document("waves", &r.Waves),
		bound.Document("now", &r.Now),
		bound.Text("level", &r.Level),
		bound.Text("owner", &r.Owner),
		bound.Instant("created_at", &r.CreatedAt),
		bound.Instant("changed_at", &r.ChangedAt),
	}}
}

// CreateToken implements rollout.Tokens.
func (s Store) CreateToken(ctx context.Context, rec *audit.Record, token *rollout.Token, over []rollout.Token) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		for i := range over {
			if err := t.Remove(ctx, nodeTokenRow(&over[i])); err != nil {
				return err
			}
		}
		return t.Insert(ctx, nodeTokenRow(token))
	})
}

// DeleteToken implements rollout.Tokens.
func (s Store) DeleteToken(ctx context.Context, rec *audit.Record, token *rollout.Token) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error { return t.Remove(ctx, nodeTokenRow(token)) })
}

// Token implements rollout.Tokens.
func (s Store) Token(ctx context.Context, account, id string) (rollout.Token, error) {
	t := rollout.Token{Account: account, ID: id}
	err := s.Load(ctx, nodeTokenRow(&t))
	if errors.Is(err, bound.ErrNoRow) {
		err = fault.ResourceNotFound.New("there is no such token")
	}
	return t, err
}

// Tokens implements rollout.Tokens.
func (s Store) Tokens(ctx context.Context, account string) ([]rollout.Token, error) {
	return bound.List(ctx, s.Store, s.DB, nodeTokenRow, `WHERE account = $1 ORDER BY created_at DESC, id`, account)
}

// Join implements rollout.Registry.
func (s Store) Join(ctx context.Context, rec *audit.Record, token *rollout.Token, n *rollout.Node) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Update(ctx, nodeTokenRow(token)); err != nil {
			return err
		}
		if err := t.Save(ctx, nodeRow(n)); fault.Is(err, fault.ResourceExists) {
			return fault.Changed.New("another machine joined as %s at the same moment", n.Name)
		} else if err != nil {
			return err
		}
		return forgetWords(ctx, t, n.Account, n.Name)
	})
}

// forgetWords forgets what a node said.
func forgetWords(ctx context.Context, t *bound.Tx, account, node string) error {
	if _, err := t.Exec(ctx, `DELETE FROM node_presence WHERE account = $1 AND node = $2`, account, node); err != nil {
		return err
	}
	_, err := t.Exec(ctx, `DELETE FROM node_ack WHERE account = $1 AND node = $2`, account, node)
	return err
}

// UpdateNode implements rollout.Registry.
func (s Store) UpdateNode(ctx context.Context, rec *audit.Record, n *rollout.Node) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error { return t.Update(ctx, nodeRow(n)) })
}

// DeleteNode implements rollout.Registry.
func (s Store) DeleteNode(ctx context.Context, rec *audit.Record, n *rollout.Node) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Remove(ctx, nodeRow(n)); err != nil {
			return err
		}
		return forgetWords(ctx, t, n.Account, n.Name)
	})
}

// Node implements rollout.Registry.
func (s Store) Node(ctx context.Context, account, name string) (rollout.Node, error) {
	n := rollout.Node{Account: account, Name: name}
	err := s.Load(ctx, nodeRow(&n))
	if errors.Is(err, bound.ErrNoRow) {
		return rollout.Node{}, fault.ResourceNotFound.New("there is no such node")
	}
	return n, err
}

// CountNodes implements rollout.Registry.
func (s Store) CountNodes(ctx context.Context, account string) (n int, err error) {
	err = s.DB.QueryRowContext(ctx, `SELECT count(*) FROM node WHERE account = $1`, account).Scan(&n)
	return n, database.Unavailable(err, "counting nodes")
}

// Nodes implements rollout.Registry.
func (s Store) Nodes(ctx context.Context, account string) ([]rollout.Node, error) {
	return bound.List(ctx, s.Store, s.DB, nodeRow, `WHERE account = $1 ORDER BY name`, account)
}

// generations is the floor of the generations of new rollouts.
const generations = "rollout_generation"

// CreateRollout implements rollout.Plans.
func (s Store) CreateRollout(ctx context.Context, rec *audit.Record, r *rollout.Rollout) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		floor, err := t.Floor(ctx, generations, 0)
		if err != nil {
			return err
		}
		for i := range r.Now {
			r.Now[i].Number += floor
		}
		err = t.Insert(ctx, rolloutRow(r))
		if fault.Is(err, fault.ResourceExists) {
			return fault.ResourceExists.New("there is a rollout %s already; choose another name", r.Name)
		}
		return err
	})
}

// UpdateRollout implements rollout.Plans.
func (s Store) UpdateRollout(ctx context.Context, rec *audit.Record, r *rollout.Rollout) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error { return t.Update(ctx, rolloutRow(r)) })
}

// DeleteRollout implements rollout.Plans. Removing first makes whoever is storing a plan that
// names the rollout wait, or be seen: both need the floor of rollouts.
func (s Store) DeleteRollout(ctx context.Context, rec *audit.Record, r *rollout.Rollout) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if _, err := t.Floor(ctx, generations, r.Top()); err != nil { // first, as CreateRollout does: neither waits for the other for ever
			return err
		}
		if err := t.Remove(ctx, rolloutRow(r)); err != nil {
			return err
		}
		plans, err := t.Text(ctx, `SELECT COALESCE(string_agg(name, ', ' ORDER BY name), '') FROM rotation_plan WHERE account = $1 AND rollout = $2`, r.Account, r.Name)
		if err != nil {
			return err
		}
		if plans != "" {
			return fault.ResourceInUse.New("rotation plans bring new keys to nodes over rollout %s: %s; let their rotations end or roll them back, and delete each with keyward rotation plan delete first", r.Name, plans)
		}
		_, err = t.Exec(ctx, `DELETE FROM node_ack WHERE account = $1 AND rollout = $2`, r.Account, r.Name)
		return err
	})
}

// Rollouts implements rollout.Plans.
func (s Store) Rollouts(ctx context.Context, account string) ([]rollout.Rollout, error) {
	return bound.List(ctx, s.Store, s.DB, rolloutRow, `WHERE account = $1 ORDER BY name`, account)
}

// The statements that store what a node said. Who says it must still be the node that
// joined then, so that nothing that a former one said comes after it was forgotten.
const (
	putPresence = `INSERT INTO node_presence (account, node, seen_at, said_at, version, skew, trouble)
		SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($4 AS BIGINT), CAST($5 AS BIGINT), CAST($6 AS TEXT), CAST($7 AS BIGINT), CAST($8 AS TEXT)
		FROM node WHERE account = $1 AND name = $2 AND joined_at = $3
		ON CONFLICT (account, node) DO UPDATE SET seen_at = excluded.seen_at, said_at = excluded.said_at, version = excluded.version,
			skew = excluded.skew, trouble = excluded.trouble
		WHERE excluded.said_at > node_presence.said_at`
	// putAck merges as rollout.Merge does.
	putAck = `INSERT INTO node_ack (account, rollout, node, generation, level, at, used_at, fallback_at, fallbacks, refused, error, said_at)
		SELECT CAST($1 AS TEXT), CAST($4 AS TEXT), CAST($2 AS TEXT), CAST($5 AS BIGINT), CAST($6 AS BIGINT), CAST($7 AS BIGINT), CAST($8 AS BIGINT),
			CAST($9 AS BIGINT), CAST($10 AS BIGINT), CAST($11 AS BIGINT), CAST($12 AS TEXT), CAST($13 AS BIGINT)
		FROM node WHERE account = $1 AND name = $2 AND joined_at = $3
		ON CONFLICT (account, rollout, node) DO UPDATE SET
			generation = excluded.generation,
			level = CASE WHEN excluded.generation > node_ack.generation OR excluded.level > node_ack.level THEN excluded.level ELSE node_ack.level END,
			at = CASE WHEN excluded.generation > node_ack.generation OR excluded.level > node_ack.level THEN excluded.at ELSE node_ack.at END,
			used_at = CASE WHEN excluded.generation > node_ack.generation OR excluded.used_at > node_ack.used_at THEN excluded.used_at ELSE node_ack.used_at END,
			fallback_at = CASE WHEN excluded.generation > node_ack.generation OR excluded.fallback_at > node_ack.fallback_at
				THEN excluded.fallback_at ELSE node_ack.fallback_at END,
			fallbacks = CASE WHEN excluded.generation > node_ack.generation OR excluded.fallbacks > node_ack.fallbacks
				THEN excluded.fallbacks ELSE node_ack.fallbacks END,
			refused = CASE WHEN excluded.generation > node_ack.generation OR excluded.refused > node_ack.refused THEN excluded.refused ELSE node_ack.refused END,
			error = CASE WHEN excluded.generation > node_ack.generation OR excluded.said_at > node_ack.said_at THEN excluded.error ELSE node_ack.error END,
			said_at = CASE WHEN excluded.generation > node_ack.generation OR excluded.said_at > node_ack.said_at THEN excluded.said_at ELSE node_ack.said_at END
		WHERE excluded.generation >= node_ack.generation`
)

// levels is how levels are stored: in their order.
var levels = []rollout.Level{1: rollout.Received, 2: rollout.Applied, 3: rollout.Used}

// rankOf answers the place of a level, 0 for none.
func rankOf(l rollout.Level) int64 { return int64(max(slices.Index(levels, l), 0)) }

// perReports is how many nodes' reports are stored in one transaction: changes wait for it.
const perReports = 250

// SaveReports implements rollout.Reports. It is no mutation: what nodes say is not bound, and
// there is no record of it. If it is stored in part, that does no harm: it is said again.
func (s Store) SaveReports(ctx context.Context, all []rollout.Report) error {
	for some := range slices.Chunk(all, perReports) {
		if err := s.Apart(ctx, func(t *bound.Tx) error { return saveReports(ctx, t, some) }); err != nil {
			return database.Unavailable(err, "storing reports")
		}
	}
	return nil
}

func saveReports(ctx context.Context, t *bound.Tx, all []rollout.Report) error {
	for _, r := range all {
		p, joined := r.Presence, database.Micros(r.JoinedAt)
		if _, err := t.Run(ctx, putPresence, p.Account, p.Node, joined, database.Micros(p.SeenAt), database.Micros(p.SaidAt), p.Version, p.Skew.Milliseconds(), p.Trouble); err != nil {
			return err
		}
		for _, a := range r.Acks {
			if _, err := t.Run(ctx, putAck, a.Account, a.Node, joined, a.Rollout, a.Generation, rankOf(a.Level), database.Micros(a.At), database.Micros(a.UsedAt),
				database.Micros(a.FallbackAt), a.Fallbacks, a.Refused, a.Error, database.Micros(a.SaidAt)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Presences implements rollout.Reports.
func (s Store) Presences(ctx context.Context, account string) (map[string]rollout.Presence, error) {
	rows, err := s.DB.QueryContext(ctx, `SELECT node, seen_at, said_at, version, skew, trouble FROM node_presence WHERE account = $1`, account)
	if err != nil {
		return nil, database.Unavailable(err, "reading presences")
	}
	defer rows.Close()
	out := map[string]rollout.Presence{}
	for rows.Next() {
		p := rollout.Presence{Account: account}
		var skew int64
		if err := rows.Scan(&p.Node, (*database.Moment)(&p.SeenAt), (*database.Moment)(&p.SaidAt), &p.Version, &skew, &p.Trouble); err != nil {
			return nil, database.Unavailable(err, "reading presences")
		}
		p.Skew = time.Duration(skew) * time.Millisecond
		out[p.Node] = p
	}
	return out, database.Unavailable(rows.Err(), "reading presences")
}

// Acks implements rollout.Reports.
func (s Store) Acks(ctx context.Context, account, name string) (map[string]rollout.Ack, error) {
	acks, err := s.acks(ctx, `account = $1 AND rollout = $2`, account, name)
	if err != nil {
		return nil, err
	}
	out := make(map[string]rollout.Ack, len(acks))
	for _, a := range acks {
		out[a.Node] = a
	}
	return out, nil
}

// acks answers the acknowledgements for which a condition holds.
func (s Store) acks(ctx context.Context, where string, args ...any) (out []rollout.Ack, err error) {
	rows, err := s.DB.QueryContext(ctx, `SELECT account, rollout, node, generation, level, at, used_at, fallback_at, fallbacks, refused, error, said_at
		FROM node_ack WHERE `+where, args...)
	if err != nil {
		return nil, database.Unavailable(err, "reading acknowledgements")
	}
	defer rows.Close()
	for rows.Next() {
		var a rollout.Ack
		var level int
		if err := rows.Scan(&a.Account, &a.Rollout, &a.Node, &a.Generation, &level, (*database.Moment)(&a.At), (*database.Moment)(&a.UsedAt), (*database.Moment)(&a.FallbackAt),
			&a.Fallbacks, &a.Refused, &a.Error, (*database.Moment)(&a.SaidAt)); err != nil {
			return nil, database.Unavailable(err, "reading acknowledgements")
		}
		if level > 0 && level < len(levels) {
			a.Level = levels[level]
		}
		out = append(out, a)
	}
	return out, database.Unavailable(rows.Err(), "reading acknowledgements")
}
