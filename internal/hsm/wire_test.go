package hsm_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/hsm"
)

func TestFrames(t *testing.T) {
	r := hsm.Request{Op: hsm.OpDecrypt, Wait: 1500 * time.Millisecond, Label: "label", ID: []byte("id"), Spec: "spec", Algorithm: "algorithm", IV: []byte("iv"), Additional: []byte("additional"), Data: bytes.Repeat([]byte("x"), 6144)}
	var wire bytes.Buffer
	if err := hsm.WriteFrame(&wire, r.Encode()); err != nil {
		t.Fatal(err)
	}
	frame, err := hsm.ReadFrame(&wire)
	if err != nil {
		t.Fatal(err)
	}
	got, err := hsm.ParseRequest(frame)
	if diff := cmp.Diff(r, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	for what, bad := range map[string][]byte{
		"empty":           {},
		"another version": append([]byte{2}, r.Encode()[1:]...),
		"an unknown op":   append([]byte{1, 99}, r.Encode()[2:]...),
		"a long wait":     append([]byte{1, 1, 255, 255, 255, 255}, r.Encode()[6:]...),
		"cut":             r.Encode()[:50],
		"a byte more":     append(r.Encode(), 0),
	} {
		if _, err := hsm.ParseRequest(bad); !hsm.ErrFrame(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := hsm.WriteFrame(&wire, make([]byte, hsm.MaxFrame+1)); !hsm.ErrFrame(err) {
		t.Errorf("writing a frame that is too long: %v", err)
	}
	if _, err := hsm.ReadFrame(strings.NewReader("\xff\xff\xff\xff")); !hsm.ErrFrame(err) {
		t.Errorf("reading a frame that is too long: %v", err)
	}
}

// What the helper reads: anything is refused or means exactly one request.
func FuzzRequest(f *testing.F) {
	f.Add(hsm.Request{Op: hsm.OpStatus}.Encode())
	f.Add(hsm.Request{Op: hsm.OpSign, Wait: time.Second, Label: "l", ID: []byte("i"), Data: []byte("d")}.Encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		r, err := hsm.ParseRequest(frame)
		if err != nil {
			if !hsm.ErrFrame(err) {
				t.Errorf("an error of its own: %v", err)
			}
			return
		}
		if !bytes.Equal(r.Encode(), frame) {
			t.Errorf("%x is read as %+v", frame, r)
		}
	})
}

// What the server reads: anything is refused or means exactly one answer.
func FuzzAnswer(f *testing.F) {
	f.Add(hsm.Answer{Data: []byte("d")}.Encode())
	f.Add(hsm.Answer{Code: hsm.CodeInvalid, Text: "no"}.Encode())
	f.Fuzz(func(t *testing.T, frame []byte) {
		a, err := hsm.ParseAnswer(frame)
		if err != nil {
			if !hsm.ErrFrame(err) {
				t.Errorf("an error of its own: %v", err)
			}
			return
		}
		if !bytes.Equal(a.Encode(), frame) {
			t.Errorf("%x is read as %+v", frame, a)
		}
	})
}
