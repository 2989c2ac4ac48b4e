package proof

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

// A state is what one client has made of the server's content, by the names that the
// client chose: what the server names itself may not have been heard.
type state struct {
	Keys       map[string]keyState // by description
	Aliases    map[string]string   // → description of the key
	Users      map[string]string   // → remark
	AccessKeys map[string]bool     // by remark → enabled
}

type keyState struct {
	State     string
	Tag       string
	Versions  int
	Protected bool
	Rotates   bool
}

func newState() state {
	return state{map[string]keyState{}, map[string]string{}, map[string]string{}, map[string]bool{}}
}

func (s state) clone() state {
	return state{maps.Clone(s.Keys), maps.Clone(s.Aliases), maps.Clone(s.Users), maps.Clone(s.AccessKeys)}
}

// A world is one client's part of the server, changed by one request at a time, so that
// the client knows at every moment what the server must hold: after a request without a
// clear answer one of two states, which the next look tells apart.
type world struct {
	name    string
	random  *rand.Rand
	limit   int // of keys
	serial  int
	state   state
	before  state             // at the beginning
	ids     map[string]string // of keys and access keys, by their names here
	blobs   []blob
	history []done

	last string // id of the request that was answered last
}

// A blob is a ciphertext that the server answered.
type blob struct {
	key        string // description
	request    string // id
	ciphertext []byte
	plaintext  string
}

// done is an operation that was acknowledged. Its record must be there, once.
type done struct {
	request string // id
	change  func(*state)
}

// An act is one operation of a world.
type act struct {
	name   string
	do     func(context.Context, *client.Client) error
	change func(*state) // what it makes of the state; nil if it changes nothing
}

// oldKeys is how many keys a world has from the beginning that can be rotated, which a
// key can once in seven days.
const oldKeys = 3

func oldKey(world string, i int) string { return fmt.Sprintf("%s-old%d", world, i) }

// newWorld makes a world without anything.
func newWorld(name string, random *rand.Rand) *world {
	return &world{name: name, random: random, limit: 6, state: newState(), ids: map[string]string{}}
}

// oldWorld makes a world that was founded with its old keys, which the server holds.
func oldWorld(t *testing.T, s *server, name string, random *rand.Rand) *world {
	w := newWorld(name, random)
	for i := range oldKeys {
		w.state.Keys[oldKey(name, i)] = keyState{State: "Enabled", Versions: 1}
	}
	w.before = w.state.clone()
	w.settled(t, w.client(s), nil, recovery) // which tells the ids
	return w
}

// client answers a client for this world.
func (w *world) client(s *server) *client.Client { return s.client(func(id string) { w.last = id }) }

// try performs an act. It answers the state that the server may have instead of w.state,
// nil if what happened is certain.
func (w *world) try(ctx context.Context, c *client.Client, a act) (maybe *state, err error) {
	w.last = ""
	after := w.state.clone()
	if a.change != nil {
		a.change(&after)
	}
	err = a.do(ctx, c)
	if err == nil {
		w.state = after
		w.history = append(w.history, done{w.last, a.change})
		return nil, nil
	}
	var refused *client.Error
	if a.change == nil || errors.As(err, &refused) && strings.Contains(refused.Message, "; nothing was done") {
		return nil, err
	}
	return &after, err
}

// refusedFor tells whether err is an answer that says that the server cannot do it now.
func refusedFor(err error) bool {
	var refused *client.Error
	return errors.As(err, &refused) && refused.Status == http.StatusServiceUnavailable &&
		(refused.Code == "AuditUnavailable" || refused.Code == "Unavailable") && strings.Contains(refused.Message, "try again")
}

// settle looks what the server holds. It must be what was acknowledged or, after a request
// without a clear answer, what that one would have made of it.
func (w *world) settle(ctx context.Context, c *client.Client, maybe *state) error {
	have, err := w.observe(ctx, c)
	if err != nil {
		return fmt.Errorf("looking at the content: %w", err)
	}
	if maybe != nil && cmp.Equal(*maybe, have) {
		w.state = have
	}
	if diff := cmp.Diff(w.state, have); diff != "" {
		return fmt.Errorf("the server's content is not what was acknowledged (uncertain: %v) (-acknowledged +found):\n%s", maybe != nil, diff)
	}
	return nil
}

// observe reads what of the server's content is this world's.
func (w *world) observe(ctx context.Context, c *client.Client) (state, error) {
	s := newState()
	named := map[string]string{} // id → description
	for page := (api.ListKeysRequest{Limit: 100}); ; {
		list, err := c.ListKeys(ctx, page)
		if err != nil {
			return s, err
		}
		for _, k := range list.Keys {
			if !strings.HasPrefix(k.Description, w.name+"-") {
				continue
			}
			if _, twice := s.Keys[k.Description]; twice {
				return s, fmt.Errorf("there are two keys %s", k.Description)
			}
			s.Keys[k.Description] = keyState{k.State, k.Tags["t"], k.Versions, k.Protection.Enabled, k.Rotation.Status != "Disabled"}
			w.ids[k.Description], named[k.ID] = k.ID, k.Description
		}
		if page.Cursor = list.Next; page.Cursor == "" {
			break
		}
	}
	aliases, err := c.ListAliases(ctx, api.PageRequest{Limit: 100})
	if err != nil {
		return s, err
	}
	for _, a := range aliases.Aliases {
		if strings.HasPrefix(a.Name, "alias/"+w.name+"-") {
			s.Aliases[a.Name] = named[a.Key]
		}
	}
	users, err := c.ListUsers(ctx, api.PageRequest{Limit: 100})
	if err != nil {
		return s, err
	}
	for _, u := range users.Users {
		if !strings.HasPrefix(u.Name, w.name+"-") {
			continue
		}
		s.Users[u.Name] = u.Remark
		list, err := c.ListAccessKeys(ctx, api.ListAccessKeysRequest{User: u.Name, Limit: 100})
		if err != nil {
			return s, err
		}
		for _, k := range list.AccessKeys {
			s.AccessKeys[k.Remark], w.ids[k.Remark] = k.Enabled, k.ID
		}
	}
	return s, nil
}

// decrypt holds up to n of the ciphertexts that were answered, chosen at random, against
// what they were made of, where their key can be used.
func (w *world) decrypt(ctx context.Context, c *client.Client, n int) error {
	for range min(n, len(w.blobs)) {
		b := w.blobs[w.random.IntN(len(w.blobs))]
		out, err := c.Decrypt(ctx, api.DecryptRequest{Ciphertext: b.ciphertext})
		switch usable := w.state.Keys[b.key].State == "Enabled"; {
		case usable && (err != nil || string(out.Plaintext) != b.plaintext):
			return fmt.Errorf("a ciphertext of key %s does not decrypt: %w", b.key, err)
		case !usable && err == nil:
			return fmt.Errorf("a ciphertext of key %s decrypts; the key is %s", b.key, w.state.Keys[b.key].State)
		}
	}
	return nil
}

// settled settles and decrypts until the server answers, at most for the given time, and
// answers how long it took.
func (w *world) settled(t *testing.T, c *client.Client, maybe *state, within time.Duration) time.Duration {
	t.Helper()
	start := time.Now()
	for {
		err := w.settle(t.Context(), c, maybe)
		if err == nil {
			err = w.decrypt(t.Context(), c, 3)
		}
		if err == nil {
			return time.Since(start)
		}
		if time.Since(start) > within || t.Context().Err() != nil {
			t.Errorf("after %v: %v", time.Since(start).Round(time.Millisecond), err)
			return time.Since(start)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// next chooses what to do next.
func (w *world) next() act {
	if len(w.state.Keys) < 2 {
		return w.createKey()
	}
	w.serial++
	keys := slices.Sorted(maps.Keys(w.state.Keys))
	name := keys[w.random.IntN(len(keys))]
	switch roll := w.random.IntN(20); {
	case roll < 16 && w.state.Keys[name].State != "Enabled":
		return w.enable(name)
	case roll < 8:
		return w.encrypt(name)
	case roll < 13:
		return w.changeKey(roll, name)
	case roll < 16:
		return w.changeAlias(name)
	case roll == 16 && len(keys) < w.limit:
		return w.createKey()
	default:
		return w.changeAccess()
	}
}

func (w *world) fresh(kind string) string {
	w.serial++
	return fmt.Sprintf("%s-%s%d", w.name, kind, w.serial)
}

func (w *world) createKey() act {
	name := w.fresh("key")
	return act{"CreateKey", func(ctx context.Context, c *client.Client) error {
		k, err := c.CreateKey(ctx, api.CreateKeyRequest{Description: name})
		if err == nil {
			w.ids[name] = k.ID
		}
		return err
	}, func(s *state) { s.Keys[name] = keyState{State: "Enabled", Versions: 1} }}
}

func (w *world) encrypt(name string) act {
	plain := fmt.Sprintf("plaintext %d", w.random.Uint64())
	return act{"Encrypt", func(ctx context.Context, c *client.Client) error {
		out, err := c.Encrypt(ctx, api.EncryptRequest{Key: w.ids[name], Plaintext: api.SecretBytes(plain)})
		if err == nil {
			w.blobs = append(w.blobs, blob{name, w.last, out.Ciphertext, plain})
		}
		return err
	}, nil}
}

// of makes a change of one key.
func of(name string, change func(*keyState)) func(*state) {
	return func(s *state) {
		k := s.Keys[name]
		change(&k)
		s.Keys[name] = k
	}
}

// enable makes a key usable, whatever keeps it from that.
func (w *world) enable(name string) act {
	id := w.ids[name]
	if w.state.Keys[name].State == "PendingDeletion" {
		return act{"RestoreKey", func(ctx context.Context, c *client.Client) error { return c.RestoreKey(ctx, id) },
			of(name, func(k *keyState) { k.State = "Enabled" })}
	}
	return act{"EnableKey", func(ctx context.Context, c *client.Client) error { return c.EnableKey(ctx, id) },
		of(name, func(k *keyState) { k.State = "Enabled" })}
}

func (w *world) changeKey(roll int, name string) act {
	id, k := w.ids[name], w.state.Keys[name]
	switch {
	case roll == 8 && !k.Protected:
		return act{"DeleteKey", func(ctx context.Context, c *client.Client) error {
			return c.DeleteKey(ctx, id, api.DeleteKeyRequest{Days: 7})
		}, of(name, func(k *keyState) { k.State = "PendingDeletion" })}
	case roll == 9:
		return act{"DisableKey", func(ctx context.Context, c *client.Client) error { return c.DisableKey(ctx, id) },
			of(name, func(k *keyState) { k.State = "Disabled" })}
	case roll == 10:
		return act{"ProtectKey", func(ctx context.Context, c *client.Client) error {
			return c.ProtectKey(ctx, id, api.Protection{Enabled: !k.Protected})
		}, of(name, func(k *keyState) { k.Protected = !k.Protected })}
	case roll == 11 && k.Versions == 1 && strings.HasPrefix(name, w.name+"-old"):
		return act{"CreateKeyVersion", func(ctx context.Context, c *client.Client) error {
			_, err := c.CreateKeyVersion(ctx, id)
			return err
		}, of(name, func(k *keyState) { k.Versions++ })}
	case roll == 12 && !strings.HasPrefix(name, w.name+"-old"): // an old one would be rotated at once
		return act{"SetKeyRotation", func(ctx context.Context, c *client.Client) error {
			return c.SetKeyRotation(ctx, id, api.RotationRequest{Enabled: !k.Rotates, IntervalSeconds: 7 * 24 * 3600})
		}, of(name, func(k *keyState) { k.Rotates = !k.Rotates })}
	default:
		return w.tag(name)
	}
}

func (w *world) tag(name string) act {
	w.serial++
	id, value := w.ids[name], strconv.Itoa(w.serial)
	return act{"TagKey", func(ctx context.Context, c *client.Client) error {
		return c.TagKey(ctx, id, api.TagRequest{Tags: map[string]string{"t": value}})
	}, of(name, func(k *keyState) { k.Tag = value })}
}

func (w *world) changeAlias(key string) act {
	have := slices.Sorted(maps.Keys(w.state.Aliases))
	if len(have) < 2 {
		name := "alias/" + w.fresh("a")
		return act{"CreateAlias", func(ctx context.Context, c *client.Client) error {
			return c.CreateAlias(ctx, api.CreateAliasRequest{Name: name, Key: w.ids[key]})
		}, func(s *state) { s.Aliases[name] = key }}
	}
	name := have[w.random.IntN(len(have))]
	if w.state.Aliases[name] == key {
		return act{"DeleteAlias", func(ctx context.Context, c *client.Client) error { return c.DeleteAlias(ctx, name) },
			func(s *state) { delete(s.Aliases, name) }}
	}
	return act{"PointAlias", func(ctx context.Context, c *client.Client) error {
		return c.PointAlias(ctx, name, api.PointAliasRequest{Key: w.ids[key]})
	}, func(s *state) { s.Aliases[name] = key }}
}

func (w *world) changeAccess() act {
	if len(w.state.Users) == 0 {
		name := w.fresh("user")
		return act{"CreateUser", func(ctx context.Context, c *client.Client) error {
			_, err := c.CreateUser(ctx, api.CreateUserRequest{Name: name})
			return err
		}, func(s *state) { s.Users[name] = "" }}
	}
	user := slices.Sorted(maps.Keys(w.state.Users))[0]
	have := slices.Sorted(maps.Keys(w.state.AccessKeys))
	switch roll := w.random.IntN(4); {
	case len(have) == 0 || roll == 0 && len(have) < 2:
		name := w.fresh("ak")
		return act{"CreateAccessKey", func(ctx context.Context, c *client.Client) error {
			out, err := c.CreateAccessKey(ctx, user, api.CreateAccessKeyRequest{Remark: name})
			if err == nil {
				w.ids[name] = out.AccessKey.ID
			}
			return err
		}, func(s *state) { s.AccessKeys[name] = true }}
	case roll == 1 && w.state.AccessKeys[have[0]]:
		return w.switchAccessKey(have[0], false)
	case !w.state.AccessKeys[have[0]]: // only a disabled one can be deleted
		return act{"DeleteAccessKey", func(ctx context.Context, c *client.Client) error {
			return c.DeleteAccessKey(ctx, w.ids[have[0]])
		}, func(s *state) { delete(s.AccessKeys, have[0]) }}
	default:
		remark := strconv.Itoa(w.serial)
		return act{"UpdateUser", func(ctx context.Context, c *client.Client) error {
			_, err := c.UpdateUser(ctx, user, api.UpdateUserRequest{Remark: &remark})
			return err
		}, func(s *state) { s.Users[user] = remark }}
	}
}

func (w *world) switchAccessKey(name string, on bool) act {
	return act{"UpdateAccessKey", func(ctx context.Context, c *client.Client) error {
		_, err := c.UpdateAccessKey(ctx, w.ids[name], api.UpdateAccessKeyRequest{Enabled: &on})
		return err
	}, func(s *state) { s.AccessKeys[name] = on }}
}
