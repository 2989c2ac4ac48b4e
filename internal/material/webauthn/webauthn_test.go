package webauthn_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/material/webauthn"
	"github.com/keyward/keyward/internal/material/webauthn/webauthntest"
)

var (
	party     = webauthn.Party{ID: "keyward.example.com", Origin: "https://keyward.example.com:7443"}
	challenge = bytes.Repeat([]byte{7}, 32)
)

func TestNewParty(t *testing.T) {
	for url, want := range map[string]webauthn.Party{
		"https://keyward.example.com":      {ID: "keyward.example.com", Origin: "https://keyward.example.com"},
		"https://Keyward.example.com:443":  {ID: "keyward.example.com", Origin: "https://keyward.example.com"},
		"https://keyward.example.com:7443": party,
		"http://localhost:7420":            {ID: "localhost", Origin: "http://localhost:7420"},
		"http://localhost:80":              {ID: "localhost", Origin: "http://localhost"},
		"":                                 {},
	} {
		got, err := webauthn.NewParty(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", url, diff)
		}
	}
	for _, url := range []string{"http://keyward.example.com", "https://192.0.2.1", "https://[2001:db8::1]:7420", "http://127.0.0.1:7420", "https://", "http://localhost.example.com", "::"} {
		if p, err := webauthn.NewParty(url); err == nil {
			t.Errorf("%q is taken for %+v", url, p)
		}
	}
}

// A key of each algorithm registers, approves again and again, and says what it is.
func TestApproval(t *testing.T) {
	for _, algorithm := range webauthn.Algorithms() {
		t.Run(fmt.Sprint(algorithm), func(t *testing.T) {
			device := webauthntest.New(t, party, algorithm)
			device.Flags |= webauthntest.Eligible
			k := register(t, device)
			device.Flags |= webauthntest.BackedUp
			for want := k.Counter + 1; want < k.Counter+4; want++ {
				now, err := party.Verify(challenge, k, device.Approve(challenge))
				if err != nil || now.Counter != want || !now.BackedUp || !now.Eligible {
					t.Fatalf("%+v, %v", now, err)
				}
			}
		})
	}
}

// A key that does not count never does.
func TestNoCounter(t *testing.T) {
	device := webauthntest.New(t, party, webauthn.ES256)
	device.Counter = 0
	k := register(t, device)
	for range 2 {
		if _, err := party.Verify(challenge, k, device.Approve(challenge)); err != nil {
			t.Fatal(err)
		}
	}
}

func register(t *testing.T, device *webauthntest.Key) webauthn.Key {
	t.Helper()
	k, err := party.Register(challenge, device.Register(challenge))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Whatever is wrong with an answer, it proves nothing, and the key is left as it was.
func TestRefusals(t *testing.T) {
	type answer struct {
		device *webauthntest.Key
		a      webauthn.Assertion
		k      webauthn.Key
	}
	before := func(change func(*webauthntest.Key)) func(*answer) {
		return func(x *answer) { change(x.device); x.a = x.device.Approve(challenge) }
	}
	for name, c := range map[string]struct {
		do   func(*answer)
		want error
	}{
		"another origin":     {before(func(d *webauthntest.Key) { d.Origin = "https://keyward.example.com" }), webauthn.ErrOrigin},
		"a longer origin":    {before(func(d *webauthntest.Key) { d.Origin = party.Origin + ".evil.example" }), webauthn.ErrOrigin},
		"a subdomain":        {before(func(d *webauthntest.Key) { d.Origin = "https://a.keyward.example.com:7443" }), webauthn.ErrOrigin},
		"framed":             {before(func(d *webauthntest.Key) { d.More = map[string]any{"crossOrigin": true} }), webauthn.ErrOrigin},
		"framed by":          {before(func(d *webauthntest.Key) { d.More = map[string]any{"topOrigin": party.Origin} }), webauthn.ErrOrigin},
		"another host":       {before(func(d *webauthntest.Key) { d.Host = "example.com" }), webauthn.ErrParty},
		"not verified":       {before(func(d *webauthntest.Key) { d.Flags = webauthntest.Present }), webauthn.ErrUnverified},
		"not present":        {before(func(d *webauthntest.Key) { d.Flags = webauthntest.Verified }), webauthn.ErrUnverified},
		"backed up, not to":  {before(func(d *webauthntest.Key) { d.Flags |= webauthntest.BackedUp }), webauthn.ErrMalformed},
		"eligible since":     {before(func(d *webauthntest.Key) { d.Flags |= webauthntest.Eligible }), webauthn.ErrMalformed},
		"the same counter":   {before(func(d *webauthntest.Key) { d.Counter = 1 }), webauthn.ErrCounter},
		"a counter of 0":     {before(func(d *webauthntest.Key) { d.Counter = 0 }), webauthn.ErrCounter},
		"another challenge":  {func(x *answer) { x.a = x.device.Approve(append(challenge[:31:31], 8)) }, webauthn.ErrChallenge},
		"no challenge":       {func(x *answer) { x.a = x.device.Approve(nil) }, webauthn.ErrChallenge},
		"a registration":     {func(x *answer) { x.a.ClientData = x.device.Register(challenge).ClientData }, webauthn.ErrMalformed},
		"another id":         {func(x *answer) { x.a.ID = []byte("other") }, webauthn.ErrMalformed},
		"another key":        {func(x *answer) { x.k.PublicKey = register(t, webauthntest.New(t, party, webauthn.ES256)).PublicKey }, webauthn.ErrSignature},
		"another algorithm":  {func(x *answer) { x.k.Algorithm = webauthn.EdDSA }, webauthn.ErrAlgorithm},
		"no key":             {func(x *answer) { x.k.PublicKey = nil }, webauthn.ErrAlgorithm},
		"no signature":       {func(x *answer) { x.a.Signature = nil }, webauthn.ErrSignature},
		"changed data":       {func(x *answer) { x.a.AuthenticatorData[36]++ }, webauthn.ErrSignature},
		"changed client":     {func(x *answer) { x.a.ClientData = append(x.a.ClientData, ' ') }, webauthn.ErrSignature},
		"data too short":     {func(x *answer) { x.a.AuthenticatorData = x.a.AuthenticatorData[:36] }, webauthn.ErrMalformed},
		"client data, empty": {func(x *answer) { x.a.ClientData = nil }, webauthn.ErrMalformed},
	} {
		device := webauthntest.New(t, party, webauthn.ES256)
		x := &answer{device: device, k: register(t, device)}
		x.a = device.Approve(challenge)
		c.do(x)
		now, err := party.Verify(challenge, x.k, x.a)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if diff := cmp.Diff(x.k, now); diff != "" {
			t.Errorf("%s changed the key: %s", name, diff)
		}
	}
	if _, err := party.Verify(nil, webauthn.Key{}, webauthn.Assertion{ClientData: []byte(`{"type":"webauthn.get","challenge":"","origin":"` + party.Origin + `"}`)}); !errors.Is(err, webauthn.ErrChallenge) {
		t.Errorf("without a challenge: %v", err)
	}
}

// What no key says is not registered.
func TestBadRegistrations(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*webauthntest.Key, *webauthn.Registration)
		want error
	}{
		"an approval": {func(d *webauthntest.Key, r *webauthn.Registration) { r.ClientData = d.Approve(challenge).ClientData }, webauthn.ErrMalformed},
		"no data": {func(d *webauthntest.Key, r *webauthn.Registration) {
			r.AuthenticatorData = d.Approve(challenge).AuthenticatorData
		}, webauthn.ErrMalformed},
		"cut off":    {func(_ *webauthntest.Key, r *webauthn.Registration) { r.AuthenticatorData = r.AuthenticatorData[:60] }, webauthn.ErrMalformed},
		"another id": {func(_ *webauthntest.Key, r *webauthn.Registration) { r.ID = []byte("x") }, webauthn.ErrMalformed},
		"no id":      {func(d *webauthntest.Key, r *webauthn.Registration) { d.ID = nil; *r = d.Register(challenge) }, webauthn.ErrMalformed},
		"a large id": {func(d *webauthntest.Key, r *webauthn.Registration) {
			d.ID = make([]byte, 1024)
			*r = d.Register(challenge)
		}, webauthn.ErrMalformed},
		"no key": {func(_ *webauthntest.Key, r *webauthn.Registration) { r.PublicKey = []byte("x") }, webauthn.ErrAlgorithm},
		"ES384":  {func(_ *webauthntest.Key, r *webauthn.Registration) { r.Algorithm = -35 }, webauthn.ErrAlgorithm},
		"not verified": {func(d *webauthntest.Key, r *webauthn.Registration) {
			d.Flags = webauthntest.Present
			*r = d.Register(challenge)
		}, webauthn.ErrUnverified},
		"another host": {func(d *webauthntest.Key, r *webauthn.Registration) {
			d.Host = "evil.example"
			*r = d.Register(challenge)
		}, webauthn.ErrParty},
	} {
		d := webauthntest.New(t, party, webauthn.ES256)
		r := d.Register(challenge)
		c.do(d, &r)
		if k, err := party.Register(challenge, r); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v, want %v", name, k, err, c.want)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"type":"webauthn.get"}`), make([]byte, 37), []byte{1}, []byte{2}, -7)
	f.Fuzz(func(t *testing.T, client, data, public, signature []byte, algorithm int) {
		if _, err := party.Verify(challenge, webauthn.Key{PublicKey: public, Algorithm: algorithm}, webauthn.Assertion{AuthenticatorData: data, ClientData: client, Signature: signature}); err == nil {
			t.Error("an answer out of nothing was believed") // it would have to be signed
		}
		k, err := party.Register(challenge, webauthn.Registration{ID: data, AuthenticatorData: append(data, data...), ClientData: client, PublicKey: public, Algorithm: algorithm})
		if err == nil && len(k.ID) > webauthn.MaxID {
			t.Errorf("registered %+v", k)
		}
	})
}
