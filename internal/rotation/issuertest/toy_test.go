package issuertest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/issuertest"
)

const canary = "fakesecret-"

// A toy is the smallest provider of an archetype. It answers lines that begin with "toy".
type toy struct {
	means rotation.Means

	mu        sync.Mutex // guards what follows
	keys      []*toyKey
	made      int
	forbidden bool
}

type toyKey struct {
	id, secret, owner, tag, attempt string
	created, ends                   time.Time // ends is zero for never
	pending                         bool
}

func (y *toy) alive(owner string) []*toyKey {
	return slices.DeleteFunc(slices.Clone(y.keys), func(k *toyKey) bool {
		return k.owner != owner || !k.ends.IsZero() && !time.Now().Before(k.ends)
	})
}

func (y *toy) add(k toyKey) *toyKey {
	y.made++
	k.id, k.created = fmt.Sprintf("key-%d", y.made), time.Now()
	k.secret = canary + k.id
	y.keys = append(y.keys, &k)
	return &k
}

// expire begins the last hours of all keys of shop but one.
func (y *toy) expire(but *toyKey) {
	for _, k := range y.alive("shop") {
		if k != but && k.ends.IsZero() {
			k.ends = time.Now().Add(y.means.Overlap)
		}
	}
}

// ServeHTTP implements http.Handler.
func (y *toy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if r.URL.Path == "/me" {
		y.me(w, r)
		return
	}
	if r.Method != http.MethodGet && y.forbidden {
		http.Error(w, "toy: forbidden", http.StatusForbidden)
		return
	}
	mine := y.alive("shop")
	i := slices.IndexFunc(mine, func(k *toyKey) bool { return k.id == r.FormValue("id") })
	switch r.Method {
	case http.MethodGet:
		_, _ = fmt.Fprintln(w, "toy")
		for _, k := range mine {
			_, _ = fmt.Fprintf(w, "%s %s %d\n", k.id, k.tag, k.created.Unix())
		}
	case http.MethodPost:
		y.create(w, r, mine)
	case http.MethodDelete:
		if i < 0 {
			http.Error(w, "toy: no such key", http.StatusNotFound)
			return
		}
		mine[i].ends = time.Now()
		_, _ = fmt.Fprintln(w, "toy")
	}
}

func (y *toy) create(w http.ResponseWriter, r *http.Request, mine []*toyKey) {
	i := slices.IndexFunc(mine, func(k *toyKey) bool { return y.means.Repeats && k.attempt == r.FormValue("attempt") })
	var k *toyKey
	switch {
	case i >= 0:
		k = mine[i]
	case y.means.MaxKeys > 0 && len(mine) >= y.means.MaxKeys:
		http.Error(w, "toy: full", http.StatusConflict)
		return
	default:
		k = y.add(toyKey{owner: "shop", tag: r.FormValue("tag"), attempt: r.FormValue("attempt"), pending: y.means.Archetype == rotation.Pending})
	}
	if y.means.Archetype == rotation.FixedOverlap {
		y.expire(k)
	}
	_, _ = fmt.Fprintf(w, "toy\n%s %s\n", k.id, k.secret)
}

// me tells whose key a request has. With its first use a pending key comes alive.
func (y *toy) me(w http.ResponseWriter, r *http.Request) {
	for _, owner := range []string{"shop", "another"} {
		for _, k := range y.alive(owner) {
			if r.Header.Get("Authorization") != k.id+" "+k.secret {
				continue
			}
			if k.pending {
				k.pending = false
				y.expire(k)
			}
			_, _ = fmt.Fprintln(w, "toy\n"+owner)
			return
		}
	}
	http.Error(w, "toy: who are you?", http.StatusUnauthorized)
}

// provider makes the world's provider of a toy, whose issuer may have a defect.
func (y *toy) provider(defect string) issuertest.Provider {
	credential := func(k *toyKey) issuertest.Credential {
		return issuertest.Credential{ID: k.id, Parts: map[string]string{"id": k.id, "secret": k.secret}}
	}
	return issuertest.Provider{
		Service: y, Principal: "shop", Old: credential(y.add(toyKey{owner: "shop"})), Stranger: credential(y.add(toyKey{owner: "another"})),
		Open: func(via http.RoundTripper) (rotation.Issuer, error) {
			return &toyIssuer{y.means, &http.Client{Transport: via}, defect}, nil
		},
		Truth: func() map[string]accesskey.Status {
			y.mu.Lock()
			defer y.mu.Unlock()
			out := map[string]accesskey.Status{}
			for _, k := range y.alive("shop") {
				out[k.id] = accesskey.Active
			}
			return out
		},
		Effect: func(r *http.Request, _ []byte) issuertest.Effect {
			return map[string]issuertest.Effect{http.MethodPost: issuertest.Creates, http.MethodDelete: issuertest.Deletes, http.MethodGet: issuertest.Nothing}[r.Method]
		},
		Forbid: func() {
			y.mu.Lock()
			defer y.mu.Unlock()
			y.forbidden = true
		},
	}
}

// A toyIssuer is an issuer of toys.
type toyIssuer struct {
	means  rotation.Means
	http   *http.Client
	defect string
}

func (i *toyIssuer) Means() rotation.Means { return i.means }

// send sends a request once and answers the lines of the answer.
func (i *toyIssuer) send(ctx context.Context, method, path, authorization string) (lines []string, class error, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "https://toy.example"+path, nil)
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Authorization", authorization)
	resp, err := i.http.Do(r)
	if errors.Is(err, egress.ErrUnsent) {
		class = rotation.ErrNoEffect
	}
	if err != nil {
		return nil, class, fault.Unavailable.Wrap(err, "no answer")
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasPrefix(string(body), "toy") {
		if i.defect == "believes 500" && resp.StatusCode == http.StatusInternalServerError {
			class = rotation.ErrNoEffect
		}
		return nil, class, fault.Unavailable.New("this is no toy")
	}
	if resp.StatusCode != http.StatusOK {
		class = map[int]error{403: rotation.ErrRefused, 404: rotation.ErrAbsent, 409: rotation.ErrFull}[resp.StatusCode]
		return nil, class, fault.InvalidParameter.New("status %d", resp.StatusCode)
	}
	return strings.Split(strings.TrimSpace(string(body)), "\n")[1:], nil, nil
}

// read sends a request until it is answered.
func (i *toyIssuer) read(ctx context.Context, path, authorization string) (lines []string, err error) {
	for range 3 {
		lines, _, err = i.send(ctx, http.MethodGet, path, authorization)
		if err == nil || fault.Is(err, fault.InvalidParameter) {
			break
		}
	}
	return lines, err
}

// change sends a request that changes something, which may go wrong as the defect says.
func (i *toyIssuer) change(ctx context.Context, method, path string) ([]string, error) {
	switch i.defect {
	case "sends too late":
		ctx = context.WithoutCancel(ctx)
	case "says nothing":
		lines, _, err := i.send(ctx, method, path, "")
		return lines, err
	}
	lines, class, err := i.send(ctx, method, path, "")
	if i.defect == "repeats" && err != nil && class == nil {
		lines, class, err = i.send(ctx, method, path, "")
	}
	if err != nil && i.defect == "tells secrets" {
		err = fault.Unavailable.Wrap(errors.New(canary), "%s", err)
	}
	if class != nil {
		err = fmt.Errorf("%w: %w", class, err)
	}
	return lines, err
}

func (i *toyIssuer) Keys(ctx context.Context) ([]rotation.Held, error) {
	lines, err := i.read(ctx, "/", "")
	if err != nil && i.defect != "lists nothing" {
		return nil, err
	}
	var out []rotation.Held
	for _, line := range lines {
		k := rotation.Held{Status: accesskey.Active}
		var at int64
		fields := strings.Split(line, " ")
		k.ID, k.Tag = fields[0], fields[1]
		if _, err := fmt.Sscan(fields[2], &at); err != nil {
			return nil, fault.Unavailable.Wrap(err, "this is no toy")
		}
		k.CreatedAt = time.Unix(at, 0)
		out = append(out, k)
	}
	return out, nil
}

func (i *toyIssuer) Create(ctx context.Context, a rotation.Attempt) (rotation.Minted, error) {
	if a.Principal != "shop" {
		return rotation.Minted{}, fmt.Errorf("%w: %w", rotation.ErrRefused, fault.InvalidParameter.New("for whom?"))
	}
	lines, err := i.change(ctx, http.MethodPost, "/?tag="+a.Tag+"&attempt="+a.ID)
	if err != nil {
		return rotation.Minted{}, err
	}
	id, secret, ok := strings.Cut(strings.Join(lines, "\n"), " ")
	if !ok {
		return rotation.Minted{}, fault.Unavailable.New("this is no toy")
	}
	return rotation.Minted{ID: id, Parts: map[string]material.Bytes{"id": material.NewBytes([]byte(id)), "secret": material.NewBytes([]byte(secret))}}, nil
}

func (i *toyIssuer) Verify(ctx context.Context, id string, parts map[string]material.Bytes) (rotation.Verdict, error) {
	if i.defect == "accepts all" {
		return rotation.Accepted, ctx.Err()
	}
	lines, err := i.read(ctx, "/me", id+" "+string(parts["secret"].Expose()))
	switch {
	case fault.Is(err, fault.InvalidParameter):
		return rotation.Refused, nil
	case err != nil:
		return "", err
	case lines[0] != "shop":
		return rotation.Stranger, nil
	}
	return rotation.Accepted, nil
}

func (i *toyIssuer) Disable(context.Context, string) error {
	return fmt.Errorf("%w: %w", rotation.ErrRefused, fault.UnsupportedOperation.New("toys have no switch"))
}

func (i *toyIssuer) Enable(ctx context.Context, id string) error { return i.Disable(ctx, id) }

func (i *toyIssuer) Delete(ctx context.Context, id, _ string) error {
	_, err := i.change(ctx, http.MethodDelete, "/?id="+id)
	if errors.Is(err, rotation.ErrAbsent) && i.defect != "deletes once" {
		return nil
	}
	return err
}
