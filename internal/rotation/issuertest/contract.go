package issuertest

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/cloudtest"
	"github.com/keyward/keyward/internal/rotation"
)

// life goes the way of a rotation, to its end.
func life(p *play) {
	p.verdict(p.Old, rotation.Accepted)
	made := p.create(1)
	if n := p.wire.count(Creates); n != 1 {
		p.Errorf("%d requests created one key", n)
	}
	p.verdict(made, rotation.Accepted)
	p.verdict(p.Old, rotation.Accepted) // it is what everybody uses
	if p.means.Listed {
		p.held()
		listed(p, made)
	}
	switch p.means.Archetype {
	case rotation.Pair:
		switchOff(p)
		end(p, made)
	case rotation.Multi, rotation.Promote:
		noSwitch(p)
		end(p, made)
	case rotation.FixedOverlap, rotation.Pending:
		noSwitch(p)
		time.Sleep(p.means.Overlap)
		p.verdict(p.Old, rotation.Refused)
		p.verdict(made, rotation.Accepted)
	default:
		p.Fatalf("an issuer cannot be of archetype %q", p.means.Archetype)
	}
}

// listed looks at what the list says of a new key that was tried.
func listed(p *play, made Credential) {
	p.Helper()
	k := p.held()[made.ID]
	if age := time.Since(k.CreatedAt); !k.CreatedAt.IsZero() && (age < -time.Second || age > time.Hour) {
		p.Errorf("the new key was created %s ago", age)
	}
	if want := p.attempt(1).Tag; p.means.Tagged && k.Tag != want {
		p.Errorf("the new key has the tag %q and not %q", k.Tag, want)
	}
	if p.means.UseLag == 0 || !p.means.Verifies {
		return
	}
	time.Sleep(p.means.UseLag + time.Hour)
	k = p.held()[made.ID]
	if k.Use.Known != accesskey.Yes || time.Since(k.Use.At) < p.means.UseLag || k.Use.At.Add(k.Use.Lag+time.Hour).Before(k.CreatedAt) {
		p.Errorf("of a key that was used %s ago the list says %+v", p.means.UseLag+time.Hour, k.Use)
	}
}

// switchOff disables the old key, enables it again and disables it for good.
func switchOff(p *play) {
	p.Helper()
	for _, step := range []struct {
		do      func(context.Context, string) error
		status  accesskey.Status
		verdict rotation.Verdict
	}{
		{p.issuer.Disable, accesskey.Inactive, rotation.Refused},
		{p.issuer.Disable, accesskey.Inactive, rotation.Refused},
		{p.issuer.Enable, accesskey.Active, rotation.Accepted},
		{p.issuer.Enable, accesskey.Active, rotation.Accepted},
		{p.issuer.Disable, accesskey.Inactive, rotation.Refused},
	} {
		if err := step.do(p.Context(), p.Old.ID); err != nil {
			p.Fatalf("making the key %s: %v", step.status, err)
		}
		if got := p.held()[p.Old.ID].Status; got != step.status {
			p.Fatalf("the key is %s and not %s", got, step.status)
		}
		p.verdict(p.Old, step.verdict)
	}
}

// noSwitch asks for what the archetype does not have.
func noSwitch(p *play) {
	p.Helper()
	p.wire.heal()
	p.want(rotation.ErrRefused, p.issuer.Disable(p.Context(), p.Old.ID))
	p.want(rotation.ErrRefused, p.issuer.Enable(p.Context(), p.Old.ID))
	if n := p.wire.total(); n > 0 {
		p.Errorf("%d requests asked for what there is not", n)
	}
}

// end deletes the old key, twice.
func end(p *play, made Credential) {
	p.Helper()
	for range 2 {
		if err := p.issuer.Delete(p.Context(), p.Old.ID, made.ID); err != nil {
			p.Fatalf("deleting the old key: %v", err)
		}
		if _, there := p.Truth()[p.Old.ID]; there {
			p.Fatal("the deleted key is still there")
		}
	}
	p.verdict(p.Old, rotation.Refused)
	p.verdict(made, rotation.Accepted)
}

// full creates keys until there may be no more.
func full(p *play) {
	if p.means.MaxKeys == 0 {
		p.Log("the provider has no limit of keys")
		return
	}
	for n := 1; len(p.Truth()) < p.means.MaxKeys; n++ {
		p.create(n)
	}
	before := p.Truth()
	p.wire.heal()
	_, err := p.issuer.Create(p.Context(), p.attempt(p.means.MaxKeys+1))
	p.want(rotation.ErrFull, err)
	if after := p.Truth(); !maps.Equal(before, after) || p.wire.count(Creates) != 1 {
		p.Errorf("%d requests at the limit made of %v %v", p.wire.count(Creates), before, after)
	}
}

// lostAnswer loses the answer to a create. The key is there, and nobody has its secret.
func lostAnswer(p *play) {
	before := p.Truth()
	p.wire.fail(Creates, cloudtest.LoseAfter, false)
	_, err := p.issuer.Create(p.Context(), p.attempt(1))
	p.want(nil, err)
	orphans := added(before, p.Truth())
	if len(orphans) != 1 || p.wire.count(Creates) != 1 {
		p.Fatalf("%d requests made the keys %q", p.wire.count(Creates), orphans)
	}
	if p.means.Listed {
		if k := p.held()[orphans[0]]; p.means.Tagged && k.Tag != p.attempt(1).Tag {
			p.Errorf("the orphan has the tag %q", k.Tag)
		}
	}
	switch {
	case p.means.Repeats:
		minted, err := p.issuer.Create(p.Context(), p.attempt(1))
		if err != nil || minted.ID != orphans[0] || len(p.Truth()) != len(before)+1 {
			p.Errorf("the repetition made %q, %v; there are %v", minted.ID, err, p.Truth())
		}
	case p.means.Archetype == rotation.Pair || p.means.Archetype == rotation.Multi:
		if err := p.issuer.Delete(p.Context(), orphans[0], p.Old.ID); err != nil {
			p.Errorf("deleting the orphan: %v", err)
		}
		if after := p.Truth(); !maps.Equal(before, after) {
			p.Errorf("of %v became %v", before, after)
		}
	}
}

// verify tries keys that are none, and one of somebody else.
func verify(p *play) {
	if !p.means.Verifies {
		p.Log("the provider's keys cannot be tried")
		return
	}
	wrong := Credential{p.Old.ID, maps.Clone(p.Old.Parts)}
	for name, value := range wrong.Parts {
		if strings.Contains(value, p.world.Canary) {
			wrong.Parts[name] = p.world.Canary + rand.Text()[:max(0, len(value)-len(p.world.Canary))]
		}
	}
	for _, one := range []struct {
		of   Credential
		want rotation.Verdict
	}{{p.Old, rotation.Accepted}, {wrong, rotation.Refused}, {p.Stranger, rotation.Stranger}, {p.Old, rotation.Accepted}} {
		if one.of.ID == "" {
			p.Log("the provider has no keys of strangers")
			continue
		}
		if got, err := p.issuer.Verify(p.Context(), one.of.ID, one.of.parts()); err != nil || got != one.want {
			p.Errorf("key %s: %q, %v; want %q", one.of.ID, got, err, one.want)
		}
	}
	if p.wire.count(Nothing) != p.wire.total() {
		p.Error("trying a key changed something")
	}
	if p.means.Archetype == rotation.Pair {
		if got, err := p.issuer.Verify(p.Context(), "another", p.Old.parts()); err == nil {
			p.Errorf("a credential of another key than named is %s", got)
		} else {
			p.want(nil, err)
		}
	}
}

// endedContext calls everything when it is too late.
func endedContext(p *play) {
	made := p.create(1)
	before := p.Truth()
	p.wire.heal()
	ctx, cancel := context.WithCancel(p.Context())
	cancel()
	for _, op := range operations(p) {
		err := op.call(ctx, p, made)
		if got := p.class(err); op.effect != Nothing && got != rotation.ErrNoEffect {
			p.Errorf("%s, too late: %v", op.name, err)
		}
	}
	if after := p.Truth(); p.wire.total() > 0 || !maps.Equal(before, after) {
		p.Errorf("%d requests were sent, and of %v became %v", p.wire.total(), before, after)
	}
}

// endingContext ends a context on the way: when an answer to a request that reads has come,
// and after times in which an issuer may wait for its turn.
func endingContext(p *play) {
	for _, op := range operations(p) {
		for _, after := range []time.Duration{0, time.Millisecond, 20 * time.Millisecond, 75 * time.Millisecond, 150 * time.Millisecond} {
			one := p.again()
			made := one.Old
			if op.effect != Creates {
				made = one.create(1)
			}
			time.Sleep(time.Minute) // whatever it waited for
			before := one.Truth()
			one.wire.heal()
			ctx, cancel := context.WithTimeout(p.Context(), cmp.Or(after, time.Hour))
			if after == 0 {
				one.wire.answered(Nothing, cancel)
			}
			err := op.call(ctx, one, made)
			cancel()
			if op.effect == Nothing || err == nil || one.wire.count(op.effect) > 0 {
				continue
			}
			if got := one.class(err); got != rotation.ErrNoEffect || !maps.Equal(before, one.Truth()) {
				p.Errorf("%s, whose time ended on the way: %v", op.name, err)
			}
		}
	}
}

// recovers has a provider be away for long, and come back.
func recovers(p *play) {
	p.wire.fail(Nothing, cloudtest.LoseBefore, true)
	reads := slices.DeleteFunc(operations(p), func(op operation) bool { return op.effect != Nothing })
	for _, op := range reads {
		for range 5 {
			if err := op.call(p.Context(), p, p.Old); err == nil {
				p.Errorf("%s succeeded without a provider", op.name)
			}
		}
	}
	p.wire.heal()
	for _, op := range reads {
		if err := op.call(p.Context(), p, p.Old); err != nil {
			p.Errorf("%s, when all is well again: %v", op.name, err)
		}
	}
	p.create(1)
}

// forbidden has the source's credential lack the rights.
func forbidden(p *play) {
	p.Forbid()
	before := p.Truth()
	for _, op := range operations(p) {
		if op.effect != Nothing {
			p.want(rotation.ErrRefused, op.call(p.Context(), p, p.Old))
		}
	}
	if after := p.Truth(); !maps.Equal(before, after) {
		p.Errorf("of %v became %v", before, after)
	}
}

// foreign names a key of another principal.
func foreign(p *play) {
	if p.Stranger.ID == "" {
		p.Log("the provider has no keys of strangers")
		return
	}
	for _, op := range operations(p) {
		if op.effect == Disables || op.effect == Deletes {
			if err := op.call(p.Context(), p, p.Stranger); err != nil {
				p.class(err)
			}
		}
	}
	time.Sleep(p.means.Activates)
	p.verdict(p.Stranger, rotation.Stranger)
	_, err := p.issuer.Create(p.Context(), rotation.Attempt{ID: "1", Principal: p.Principal + "1"})
	p.want(rotation.ErrRefused, err)
}

// absent names a key that is not there any more.
func absent(p *play) {
	if p.means.Archetype != rotation.Pair {
		p.Log("without keys that can be switched off there is no absent one to name")
		return
	}
	made := p.create(1)
	if err := p.issuer.Delete(p.Context(), made.ID, p.Old.ID); err != nil {
		p.Fatal(err)
	}
	for _, op := range operations(p) {
		switch op.effect {
		case Disables, Enables:
			p.want(rotation.ErrAbsent, op.call(p.Context(), p, made))
		case Deletes:
			if err := op.call(p.Context(), p, made); err != nil {
				p.Errorf("deleting an absent key: %v", err)
			}
		}
	}
}

// An operation is a method of an issuer, called for a key.
type operation struct {
	name   string
	effect Effect
	call   func(ctx context.Context, p *play, key Credential) error
}

// errVerdict is the error of a verdict that is not the one of a good key.
var errVerdict = errors.New("a good key was not accepted")

// operations are the methods that the issuer's archetype has.
func operations(p *play) []operation {
	out := []operation{{"Create", Creates, func(ctx context.Context, p *play, _ Credential) error {
		_, err := p.issuer.Create(ctx, p.attempt(7))
		return err
	}}}
	switch p.means.Archetype {
	case rotation.Pair:
		out = append(out,
			operation{"Disable", Disables, func(ctx context.Context, p *play, k Credential) error { return p.issuer.Disable(ctx, k.ID) }},
			operation{"Enable", Enables, func(ctx context.Context, p *play, k Credential) error { return p.issuer.Enable(ctx, k.ID) }})
		fallthrough
	case rotation.Multi:
		out = append(out, operation{"Delete", Deletes, func(ctx context.Context, p *play, k Credential) error { return p.issuer.Delete(ctx, k.ID, p.Old.ID) }})
	case rotation.Promote:
		out = append(out, operation{"Delete", Deletes, func(ctx context.Context, p *play, k Credential) error { return p.issuer.Delete(ctx, p.Old.ID, k.ID) }})
	}
	if p.means.Listed {
		out = append(out, operation{"Keys", Nothing, func(ctx context.Context, p *play, _ Credential) error {
			keys, err := p.issuer.Keys(ctx)
			if truth := p.Truth(); err == nil && len(keys) != len(truth) {
				return fmt.Errorf("%d keys are listed of %d", len(keys), len(truth))
			}
			return err
		}})
	}
	if p.means.Verifies {
		out = append(out, operation{"Verify", Nothing, func(ctx context.Context, p *play, _ Credential) error {
			verdict, err := p.issuer.Verify(ctx, p.Old.ID, p.Old.parts())
			if err == nil && verdict != rotation.Accepted {
				return fmt.Errorf("%w: %s", errVerdict, verdict)
			}
			return err
		}})
	}
	return out
}
