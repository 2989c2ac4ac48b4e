package mirror

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/exposure"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/history"
	"github.com/keyward/keyward/internal/leak/rules"
	"github.com/keyward/keyward/internal/leak/search"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/watch"
)

// memory is what the process may take before it collects its garbage at every turn.
const memory = "GOMEMLIMIT=256MiB"

// A task is what the process is told, on its standard input.
type task struct {
	Dir string
	watch.Search
}

// An outcome is what it answers, on its standard output.
type outcome struct {
	watch.Harvest
	Secrets []found
	Error   string
}

// A found is a watch.Candidate with its value, which leaves one process for the other over
// their pipe.
type found struct {
	watch.Candidate
	Value []byte
}

// search has a mirror searched by another process.
func (m *Mirrors) search(ctx context.Context, dir string, s watch.Search) (watch.Harvest, error) {
	in, err := json.Marshal(task{dir, s})
	if err != nil {
		return watch.Harvest{}, fmt.Errorf("telling what to search: %w", err)
	}
	cmd := m.o.Program(ctx)
	cmd.Dir = m.o.Dir
	cmd.Env = append(append(cmd.Env, m.environment()...), memory)
	cmd.Stdin = bytes.NewReader(in)
	out, said, err := finish(cmd)
	if ctx.Err() != nil {
		return watch.Harvest{}, context.Cause(ctx)
	}
	if err != nil {
		return watch.Harvest{}, trouble(watch.Failed, fault.Say("the search ended: %v: %s", err, complaint(said)))
	}
	var o outcome
	err = json.Unmarshal(out, &o)
	clear(out)
	if err != nil {
		return watch.Harvest{}, errors.New("reading what the search found: it is no answer") // the error might hold some
	}
	if o.Error != "" {
		return watch.Harvest{}, trouble(watch.Corrupt, fault.Say("its history cannot be read: %s", o.Error))
	}
	for _, f := range o.Secrets {
		f.Candidate.Value = material.NewBytes(f.Value)
		o.Values = append(o.Values, f.Candidate)
	}
	return o.Harvest, nil
}

// Serve searches one mirror: it reads what to do and writes what it found. It is all that the
// process does.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	var t task
	if err := json.NewDecoder(in).Decode(&t); err != nil {
		return fmt.Errorf("reading what to search: %w", err)
	}
	var o outcome
	var err error
	if o.Harvest, o.Secrets, err = t.do(ctx); err != nil {
		o.Error = err.Error()
	}
	return json.NewEncoder(out).Encode(o)
}

func (t task) do(ctx context.Context) (h watch.Harvest, secrets []found, err error) {
	scanner, err := leak.New(rules.All())
	if err != nil {
		return h, nil, err
	}
	// Comments and files that allow something do not count: whoever pushes could write them.
	wanted := wanted{}
	run := search.New(search.Options{Scanner: scanner, Hasher: leak.NewHasher([]byte(t.Key)).Sharing([]byte(t.Key)), Workers: 1, Values: t.Values, Value: wanted.take})
	r, err := history.Open(ctx, t.Dir, run)
	if err != nil {
		return h, nil, err
	}
	if t.Gone {
		r.TellGone()
	}
	known := r.Remember(fmt.Sprint(rules.Version))
	if err := r.All(ctx, known); err != nil {
		return h, nil, err
	}
	if err := r.Save(known); err != nil {
		return h, nil, err
	}
	covered := run.Coverage()
	h.Objects, h.Shallow = covered.Blobs, r.Shallow()
	for _, p := range covered.Problems {
		if p.Path != r.Dir() { // that it is shallow is told by itself
			h.Unread = append(h.Unread, p.Path+": "+p.What)
		}
	}
	for _, f := range run.Findings() {
		h.Seen = append(h.Seen, seen(f))
	}
	return h, wanted.all(), nil
}

// A wanted collects secrets, by their marks.
type wanted map[string]found

// maxWanted is how many secrets are given back.
const maxWanted = 1000

// take is search.Options.Value; there is one goroutine. What stands with its identifier
// somewhere is taken from there.
func (w wanted) take(f leak.Finding, secret []byte) {
	have, known := w[f.Mark]
	if f.Mark == "" || known && have.KeyID != "" || !known && len(w) == maxWanted {
		return
	}
	w[f.Mark] = found{watch.Candidate{Blind: f.Mark, Rule: f.Rule, KeyID: f.KeyID}, bytes.Clone(secret)}
}

func (w wanted) all() (out []found) {
	for _, mark := range slices.Sorted(maps.Keys(w)) {
		out = append(out, w[mark])
	}
	return out
}

// seen answers what is kept of a finding.
func seen(f leak.Finding) exposure.Seen {
	severity, _ := finding.ParseSeverity(f.Severity.String()) // the same words
	c := exposure.Seen{Blind: f.Mark, KeyID: f.KeyID, Rule: f.Rule, Severity: severity, Gone: true}
	if f.Mark == "" {
		c.KeyID = f.Redacted // an identifier, which is public
	}
	for _, at := range f.Locations {
		c.Gone = c.Gone && at.Gone
		if len(c.Places) == exposure.MaxPlaces {
			c.More++
			continue
		}
		c.Places = append(c.Places, exposure.Place{Path: filepath.ToSlash(strings.ToValidUTF8(at.Path, ".")), Line: at.Line, Commit: at.Commit, Layer: at.Layer})
	}
	return c
}
