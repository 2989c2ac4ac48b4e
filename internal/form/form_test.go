package form_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
)

func TestCheck(t *testing.T) {
	help := form.Text{English: "where it is", Chinese: "所在位置"}
	f := form.Form{
		Settings:   []form.Field{{Name: "url", Required: true, Help: help}, {Name: "ca", Lines: true}},
		Credential: []form.Field{{Name: "token", Required: true, Help: help}},
	}
	secret := func(n int) map[string]material.Bytes {
		return map[string]material.Bytes{"token": material.NewBytes(make([]byte, n))}
	}
	long := strings.Repeat("a", form.MaxValue+1)
	for name, c := range map[string]struct {
		form     form.Form
		settings map[string]string
		secret   map[string]material.Bytes
		kind     fault.Kind // "" for none
		says     string
	}{
		"right":             {f, map[string]string{"url": "u", "ca": "a\r\nb"}, secret(form.MaxSecret), "", ""},
		"long lines":        {f, map[string]string{"url": "u", "ca": long}, secret(1), "", ""},
		"longer lines":      {f, map[string]string{"url": "u", "ca": strings.Repeat("a", form.MaxLines+1)}, secret(1), fault.InvalidParameter, "text of at most 16384 bytes"},
		"no text":           {f, map[string]string{"url": "u", "ca": "\xff"}, secret(1), fault.InvalidParameter, "text"},
		"long":              {f, map[string]string{"url": long}, secret(1), fault.InvalidParameter, "one line of text of at most 4096 bytes"},
		"two lines":         {f, map[string]string{"url": "a\nb"}, secret(1), fault.InvalidParameter, "one line"},
		"NUL":               {f, map[string]string{"url": "a\x00b"}, secret(1), fault.InvalidParameter, "text"},
		"long secret":       {f, map[string]string{"url": "u"}, secret(form.MaxSecret + 1), fault.InvalidParameter, "65536"},
		"unknown setting":   {f, map[string]string{"url": "u", "port": "1"}, secret(1), fault.InvalidParameter, "url, ca"},
		"unknown secret":    {f, map[string]string{"url": "u"}, map[string]material.Bytes{"key": {}}, fault.InvalidParameter, "token"},
		"no fields":         {form.Form{}, map[string]string{"url": "u"}, nil, fault.InvalidParameter, "nor any other"},
		"missing":           {f, nil, secret(1), fault.MissingParameter, "where it is"},
		"empty":             {f, map[string]string{"url": ""}, secret(1), fault.MissingParameter, "where it is"},
		"no secret":         {f, map[string]string{"url": "u"}, nil, fault.MissingParameter, "token"},
		"an empty secret":   {f, map[string]string{"url": "u"}, secret(0), fault.MissingParameter, "token"},
		"secret as setting": {f, map[string]string{"url": "u", "token": "fake"}, nil, fault.InvalidParameter, "token"},
	} {
		err := c.form.Check(form.Filling{Settings: c.settings, Credential: c.secret})
		if fault.KindOf(err) != c.kind || err != nil && !strings.Contains(fault.Message(err), c.says) {
			t.Errorf("%s: %v; want %s that says %q", name, err, c.kind, c.says)
		}
		if err != nil && strings.Contains(err.Error(), "fake") {
			t.Errorf("%s: the value is told: %v", name, err)
		}
	}
}

// A wrapper keeps the contract of material.Wrapper with a key in memory.
type wrapper struct{ *material.AEAD }

func (w wrapper) Wrap(binding []byte, m material.Bytes) ([]byte, error) {
	return w.Seal(nil, m.Expose(), binding)
}

func (w wrapper) Unwrap(binding, wrapped []byte) (material.Bytes, error) {
	m, ok := w.Open(0, wrapped, binding)
	if !ok {
		return m, errors.New("it was made for something else")
	}
	return m, nil
}

// A credential opens with the settings that it was entered with, and so is sent nowhere else.
func TestSealedToItsSettings(t *testing.T) {
	aead, err := material.NewAEAD(material.SuiteAES, material.Random(32))
	if err != nil {
		t.Fatal(err)
	}
	w := wrapper{aead}
	settings := form.Pairs(map[string]string{"url": "https://vault.example.com", "mount": "secret", "empty": ""})
	sealed, err := form.Seal(w, settings, map[string]material.Bytes{"token": material.NewBytes([]byte("fake\xff"))}, "kind", "id")
	if err != nil {
		t.Fatal(err)
	}
	opened, err := form.Open(w, settings, sealed, "kind", "id")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"url": "https://vault.example.com", "mount": "secret"}, opened.Settings); diff != "" || string(opened.Credential["token"].Expose()) != "fake\xff" {
		t.Error(diff)
	}
	opened.Erase()
	if opened.Credential["token"].Len() > 0 {
		t.Error("the credential is there after it was erased")
	}
	for name, other := range map[string][]form.Pair{
		"another value": {{Name: "mount", Value: "secret"}, {Name: "url", Value: "https://evil.example.com"}},
		"one less":      {{Name: "mount", Value: "secret"}},
		"one more":      append(settings[:len(settings):len(settings)], form.Pair{Name: "x", Value: "y"}),
		"joined":        {{Name: "mount", Value: "secreturlhttps://vault.example.com"}},
	} {
		if _, err := form.Open(w, other, sealed, "kind", "id"); err == nil {
			t.Errorf("%s: it opens", name)
		}
	}
	if _, err := form.Open(w, settings, sealed, "kind", "other"); err == nil {
		t.Error("it opens for another id")
	}
}
