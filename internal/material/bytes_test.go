package material_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/keyward/keyward/internal/material"
)

// canary is what must never show, in any of the forms a formatter could choose.
const canary = "canary-value"

type holder struct {
	Exported   material.Bytes
	unexported material.Bytes
	Pointer    *material.Bytes
	List       []material.Bytes
	Any        any
}

func newHolder() holder {
	secret := material.NewBytes([]byte(canary))
	return holder{Exported: secret, unexported: secret, Pointer: &secret, List: []material.Bytes{secret}, Any: secret}
}

func checkRedacted(t *testing.T, how, output string) {
	t.Helper()
	forms := []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprint([]byte(canary)),
		strings.Trim(fmt.Sprintf("%#v", []byte(canary)), "[]byte{}"), "Y2FuYXJ5"} // the last in base64
	for _, form := range forms {
		if strings.Contains(output, form) {
			t.Errorf("%s shows the secret: %s", how, output)
		}
	}
}

func TestBytesAreRedactedByFormatters(t *testing.T) {
	h := newHolder()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "% x", "%q", "%d", "%o", "%b", "%c", "%U", "%p", "%T"} {
		checkRedacted(t, verb, fmt.Sprintf(verb, h))
		checkRedacted(t, verb+" of pointer", fmt.Sprintf(verb, &h))
		checkRedacted(t, verb+" of map", fmt.Sprintf(verb, map[string]any{"a": h.Exported, "b": h.unexported}))
		if verb == "%T" || verb == "%p" {
			continue
		}
		if got := fmt.Sprintf(verb, h.Exported); got != "[redacted]" {
			t.Errorf("%s: %q", verb, got)
		}
	}
	checkRedacted(t, "Print", fmt.Sprint(h.Exported, h))
	checkRedacted(t, "cmp.Diff", cmp.Diff(h.Exported, material.NewBytes([]byte("other"))))
	checkRedacted(t, "error", fmt.Errorf("with %v and %w", h, fmt.Errorf("%s", h.Exported)).Error())
}

func TestBytesAreRedactedByEncoders(t *testing.T) {
	h := newHolder()
	asJSON, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	checkRedacted(t, "json", string(asJSON))
	if !strings.Contains(string(asJSON), `"Exported":"[redacted]"`) {
		t.Errorf("json: %s", asJSON)
	}
	asXML, err := xml.Marshal([]material.Bytes{h.Exported})
	if err != nil {
		t.Fatal(err)
	}
	checkRedacted(t, "xml", string(asXML))
	var asGob bytes.Buffer
	if err := gob.NewEncoder(&asGob).Encode(h.Exported); err != nil {
		t.Fatal(err)
	}
	checkRedacted(t, "gob", asGob.String())
	asText, _ := h.Exported.MarshalText()
	asBinary, _ := h.Exported.MarshalBinary()
	if string(asText) != "[redacted]" || string(asBinary) != "[redacted]" {
		t.Errorf("text %q, binary %q", asText, asBinary)
	}
}

func TestBytesAreRedactedByLoggers(t *testing.T) {
	h := newHolder()
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
	} {
		var out bytes.Buffer
		slog.New(handler(&out)).Info("message", "secret", h.Exported, "holder", h, "pointer", &h, "list", h.List)
		checkRedacted(t, "slog "+name, out.String())
		if !strings.Contains(out.String(), "[redacted]") {
			t.Errorf("slog %s wrote nothing about the secret: %s", name, out.String())
		}
	}
}

func TestBytesEqual(t *testing.T) {
	a, b := material.NewBytes([]byte("one secret")), material.NewBytes([]byte("one secret"))
	if !a.Equal(b) {
		t.Error("equal secrets differ")
	}
	for _, other := range []string{"", "one secres", "one secret ", "One secret"} {
		if a.Equal(material.NewBytes([]byte(other))) {
			t.Errorf("equal to %q", other)
		}
	}
	if !(material.Bytes{}).Equal(material.NewBytes(nil)) {
		t.Error("two empty secrets differ")
	}
}

func TestBytesZero(t *testing.T) {
	content := []byte("a secret")
	secret := material.NewBytes(content)
	duplicate := secret
	secret.Zero()
	if !bytes.Equal(content, make([]byte, len(content))) {
		t.Errorf("the memory still holds %q", content)
	}
	if secret.Len() != 0 || duplicate.Len() != 0 {
		t.Errorf("lengths %d and %d after Zero", secret.Len(), duplicate.Len())
	}
	material.Bytes{}.Zero() // must not panic
}

func TestRandom(t *testing.T) {
	a, b := material.Random(32), material.Random(32)
	if a.Len() != 32 || a.Equal(b) {
		t.Errorf("length %d, equal %v", a.Len(), a.Equal(b))
	}
}
