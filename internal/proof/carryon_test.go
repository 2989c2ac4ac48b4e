package proof

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/store/storetest"
)

var makeRotations = flag.Bool("make-rotations", false, "have this build leave golden databases with rotations under way in testdata/rotations")

// The rotations of a golden database, whose keys a person makes and ends, so that they
// need no platform: one waits for the new key, one for the end of the old one.
const (
	beginning = "beginning"
	ending    = "ending"
)

// TestMakeRotations has the program of today leave rotations in the middle of their way,
// once for each version of the protocol.
func TestMakeRotations(t *testing.T) {
	if !*makeRotations {
		t.Log("nothing to make; docs/design/rotation.md says when there is")
		return
	}
	binary := build(t)
	for name, url := range map[string]string{"sqlite": "", "postgres": storetest.Postgres(t)} {
		dir := filepath.Join("testdata", "rotations", strconv.Itoa(rotation.Machine), name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		s := initializeServer(t, binary, url)
		p := &person{t, s.client(func(string) {})}
		_, err := p.AddProvider(t.Context(), api.AddProviderRequest{Name: "hand", Kind: "manual"})
		p.must(err)
		p.begin(beginning, "older")
		p.begin(ending, "old")
		p.enter(ending)
		p.await(ending, "disabling")
		content, err := json.MarshalIndent(corpus{AccessKeyID: s.key.AccessKeyID, Secret: string(s.key.AccessKeySecret)}, "", " ")
		p.must(err)
		keep(t, dir, "corpus.json", append(content, '\n'))
		s.stop()
		keep(t, dir, goldenData, s.pack())
		if url != "" {
			keep(t, dir, goldenDump, compress(t, dump(t, url)))
		}
	}
}

// A rotation that an older keyward began is carried on by this one, forwards and back, from
// the step at which it stood.
func TestUpgradeCarriesRotationsOn(t *testing.T) {
	binary := build(t)
	for _, database := range []string{"sqlite", "postgres"} {
		dirs, err := filepath.Glob(filepath.Join("testdata", "rotations", "*", database))
		if err != nil || len(dirs) != rotation.Machine {
			t.Fatalf("the rotations of %d versions are to be there on %s: %v, %v", rotation.Machine, database, dirs, err)
		}
		for _, dir := range dirs {
			t.Run(filepath.Base(filepath.Dir(dir))+" on "+database, func(t *testing.T) {
				s := golden{dir, readCorpus(t, dir)}.restore(t, binary)
				s.start()
				p := &person{t, s.client(func(string) {})}
				p.await(beginning, "creating")
				p.enter(beginning)
				p.confirm(beginning, "disabling")
				p.confirm(beginning, "deleting")
				p.await(beginning, "done")
				p.holds(beginning, "new")
				_, err := p.RollBackRotation(t.Context(), ending, api.RollBackRotationRequest{Reason: "an upgrade"})
				p.must(err)
				p.confirm(ending, "enabling")
				p.confirm(ending, "withdrawing")
				p.await(ending, "aborted")
				p.holds(ending, "old")
				s.stop()
				verifyLogs(t, s)
			})
		}
	}
}

// A person makes and ends keys at a console, and tells keyward.
type person struct {
	*testing.T
	*client.Client
}

func (p *person) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// begin starts the rotation of a new plan of a key.
func (p *person) begin(plan, key string) {
	p.Helper()
	ctx := p.Context()
	_, err := p.CreateSecret(ctx, api.CreateSecretRequest{Name: plan, Value: api.SecretBytes(`{"id":"` + key + `","secret":"fake-` + key + `"}`)})
	p.must(err)
	_, err = p.CreateRotationPlan(ctx, api.CreateRotationPlanRequest{
		Name: plan, Provider: "hand", Principal: plan, Key: key, Secret: plan,
		Care: api.RotationCareRequest{Grace: new("1s"), Quiet: new("1s"), Observe: new("1s")},
	})
	p.must(err)
	_, err = p.StartRotation(ctx, plan, api.StartRotationRequest{Cause: "an upgrade"})
	p.must(err)
	p.await(plan, "creating")
}

func (p *person) enter(plan string) {
	p.Helper()
	_, err := p.EnterRotationKey(p.Context(), plan, api.EnterRotationKeyRequest{ID: "new", Credential: map[string]api.SecretText{"id": "new", "secret": "fake-new"}})
	p.must(err)
}

// confirm does what a rotation waits for at a step.
func (p *person) confirm(plan, step string) {
	p.Helper()
	p.await(plan, step)
	_, err := p.ConfirmRotation(p.Context(), plan)
	p.must(err)
}

// await waits until a rotation stands at a step and waits for a person, or is over.
func (p *person) await(plan, step string) {
	p.Helper()
	for end := time.Now().Add(90 * time.Second); ; rest(p.Context(), 50*time.Millisecond) { // what it looks at once in a minute it has looked at
		run, err := p.DescribeRotation(p.Context(), plan)
		p.must(err)
		if run.Step == step && (run.Trouble != "" || !run.EndedAt.IsZero()) {
			return
		}
		if time.Now().After(end) {
			p.Fatalf("it is to come to %s:\n%s", step, told(run))
		}
	}
}

// holds looks which key the secret and the plan hold.
func (p *person) holds(plan, key string) {
	p.Helper()
	value, err := p.GetSecretValue(p.Context(), plan, api.GetSecretRequest{})
	p.must(err)
	if want := `{"id":"` + key + `","secret":"fake-` + key + `"}`; string(value.Value) != want {
		p.Errorf("%s holds %s, want %s", plan, []byte(value.Value), want)
	}
	f, err := p.DescribeRotationPlan(p.Context(), plan)
	p.must(err)
	if f.Plan.Key != key {
		p.Errorf("the plan's key is %s, want %s", f.Plan.Key, key)
	}
	all, err := p.ListRotations(p.Context(), api.ListRotationsRequest{Plan: plan})
	p.must(err)
	if len(all.Rotations) != 1 || !slices.Contains([]string{"done", "aborted"}, all.Rotations[0].Step) {
		p.Errorf("of it there are %+v", all.Rotations)
	}
}
