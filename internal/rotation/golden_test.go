package rotation_test

import (
	"bytes"
	"encoding/json"
	command "flag" // the model has flags of its own
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/rotation"
)

var update = command.Bool("update", false, "write the golden rotations of today's version of the protocol")

// A golden is a rotation as a version of keyward stored it in the middle of its way, and
// what it saw when it went on.
type golden struct {
	Name string
	Ends rotation.Step
	Now  time.Time
	Keys json.RawMessage // that the provider listed
	Body json.RawMessage
}

// Rotations that older versions of keyward began are read whole, and go on to their end.
func TestOlderRotationsGoOn(t *testing.T) {
	if *update {
		writeGolden(t, filepath.Join("testdata", fmt.Sprintf("machine-%d.jsonl", rotation.Machine)))
	}
	for machine := 1; machine <= rotation.Machine; machine++ {
		content, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("machine-%d.jsonl", machine)))
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(content) {
			var g golden
			if err := json.Unmarshal(line, &g); err != nil {
				t.Fatal(err)
			}
			t.Run(fmt.Sprint(machine, " ", g.Name), func(t *testing.T) { g.check(t) })
		}
	}
}

func (g golden) check(t *testing.T) {
	p := &perfect{now: g.Now}
	d := json.NewDecoder(bytes.NewReader(g.Body))
	d.DisallowUnknownFields()
	if err := d.Decode(&p.r); err != nil {
		t.Fatal(err)
	}
	p.r.ID, p.r.Plan = "0123456789abcdef", "p" // which have columns of their own
	again, err := json.Marshal(p.r)
	if err != nil {
		t.Fatal(err)
	}
	var was, is map[string]any
	if err := json.Unmarshal(g.Body, &was); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(again, &is); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(was, common(was, is)); diff != "" {
		t.Errorf("it is read in another way than it was written (-written +read):\n%s", diff)
	}
	if g.Ends == "" {
		return
	}
	if err := json.Unmarshal(g.Keys, &p.keys); err != nil {
		t.Fatal(err)
	}
	p.steps = []rotation.Step{p.r.Step}
	if p.run(t, ""); p.r.Step != g.Ends {
		t.Errorf("it ends at %s, want %s", p.r.Step, g.Ends)
	}
}

// common answers what is has of was, so that a newer version may know more.
func common(was, is any) any {
	switch was := was.(type) {
	case map[string]any:
		is, ok := is.(map[string]any)
		if !ok {
			return is
		}
		out := map[string]any{}
		for name := range was {
			if there, ok := is[name]; ok {
				out[name] = common(was[name], there)
			}
		}
		return out
	case []any:
		is, ok := is.([]any)
		if !ok || len(is) != len(was) {
			return is
		}
		out := make([]any, len(was))
		for i := range was {
			out[i] = common(was[i], is[i])
		}
		return out
	}
	return is
}

// writeGolden writes rotations of several archetypes at every step forwards and back, and
// one of which every field has a value.
func writeGolden(t *testing.T, path string) {
	t.Helper()
	var all []golden
	add := func(name string, p *perfect, ends rotation.Step) {
		all = append(all, golden{name, ends, p.now, encoded(t, p.keys), encoded(t, p.r)})
	}
	for _, a := range []rotation.Archetype{rotation.Pair, rotation.FixedOverlap, rotation.Manual} {
		for _, from := range begin(a, "canary", "rest").r.Route() {
			p := begin(a, "canary", "rest")
			p.run(t, from)
			if p.r.Over() {
				continue
			}
			add(fmt.Sprint(a, " at ", from), p, rotation.Done)
			back, err := p.r.Rollback("me", "a test", p.now)
			if err != nil {
				continue
			}
			p.r = back
			p.r, _ = rotation.Decide(p.r, rotation.Sight{}, p.now)
			add(fmt.Sprint(a, " back from ", from), p, rotation.Aborted)
		}
	}
	var whole rotation.Rotation
	fill(reflect.ValueOf(&whole).Elem())
	all = append(all, golden{Name: "every field", Body: encoded(t, whole)})
	var out bytes.Buffer
	for _, g := range all {
		out.Write(append(encoded(t, g), '\n'))
	}
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func encoded(t *testing.T, v any) json.RawMessage {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// fill gives everything in a value some value.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0))
		fill(v.Index(1))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(noon))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.String:
		v.SetString("some")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	default:
		panic("no value for " + v.Type().String())
	}
}
