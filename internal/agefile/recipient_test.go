package agefile_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/keyward/keyward/internal/agefile"
)

func TestSealText(t *testing.T) {
	var to []string
	var identities []*age.X25519Identity
	for range 2 {
		identity, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		identities, to = append(identities, identity), append(to, identity.Recipient().String())
	}
	sealed, err := agefile.SealText(to, []byte("fake share"))
	if err != nil {
		t.Fatal(err)
	}
	for _, identity := range identities {
		r, err := age.Decrypt(armor.NewReader(bytes.NewReader(sealed)), identity)
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := io.ReadAll(r); err != nil || string(plain) != "fake share\n" {
			t.Errorf("it opens to %q, %v", plain, err)
		}
	}
	secret := identities[0].String()
	for what, bad := range map[string][]string{"none": nil, "twice": {to[0], to[0]}, "an identity": {secret}, "nonsense": {"age1x"}, "empty": {""}} {
		if _, err := agefile.SealText(bad, []byte("x")); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := agefile.CheckRecipients(to); err != nil {
		t.Error(err)
	}
}
