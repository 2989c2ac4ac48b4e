package proof

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"math/rand/v2"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
)

// L12: what has expired is refused when it is used, without anything that cleans up
// having run.
func TestL12ExpiryIsCheckedAtUse(t *testing.T) {
	w := newTimes(t, rand.New(rand.NewPCG(1, 2)))
	at := w.now().Add(time.Hour)
	k, err := w.iam.CreateAccessKey(t.Context(), w.root(), iam.NewAccessKey{User: w.founded.Key.AccessKey.User, ExpiresAt: at})
	w.ok(err)
	for passed, refused := range map[time.Duration]bool{0: false, time.Hour - time.Microsecond: false, time.Hour: true, 10 * 365 * day: true} {
		w.real += passed // nothing else happens
		c, err := w.iam.Credential(t.Context(), k.AccessKey.ID)
		w.ok(err)
		if fault.Is(c.Refusal, fault.AccessKeyInactive) != refused {
			t.Errorf("after %v: %v", passed, c.Refusal)
		}
		w.real -= passed
	}
}

// L25: a part of a credential or of a ciphertext is worth nothing, and what is deleted
// does not come back under its name.
func TestL25PartsAndReuse(t *testing.T) {
	t.Parallel()
	s := newServer(t, build(t), "")
	ctx, c := t.Context(), s.client(func(string) {})
	code := func(err error) string {
		var refused *client.Error
		if errors.As(err, &refused) {
			return refused.Code
		}
		return ""
	}
	user := func() api.IssuedAccessKey {
		if _, err := c.CreateUser(ctx, api.CreateUserRequest{Name: "ada"}); err != nil {
			t.Fatal(err)
		}
		k, err := c.CreateAccessKey(ctx, "ada", api.CreateAccessKeyRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	as := func(id, secret string) error {
		other, err := client.New(client.Config{Endpoint: "http://" + s.address, AccessKeyID: id, AccessKeySecret: secret})
		if err == nil {
			_, err = other.WhoAmI(ctx)
		}
		return err
	}
	old := user()
	id, secret := old.AccessKey.ID, string(old.Secret)
	if err := as(id, secret); err != nil {
		t.Fatal(err)
	}
	for n := 1; n < len(id); n++ {
		if err := as(id[:n], secret); code(err) != "SignatureMismatch" {
			t.Errorf("%d characters of an access key id: %v", n, err)
		}
	}
	for n := 1; n < len(secret); n++ {
		if err := as(id, secret[:n]); code(err) != "SignatureMismatch" {
			t.Errorf("%d characters of a secret: %v", n, err)
		}
	}
	if err := c.DeleteAccessKey(ctx, id); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteUser(ctx, "ada"); err != nil {
		t.Fatal(err)
	}
	if again := user(); again.AccessKey.ID == id || code(as(id, secret)) != "SignatureMismatch" {
		t.Error("the access key of a deleted user came back with the name")
	}
	k, err := c.CreateKey(ctx, api.CreateKeyRequest{Alias: "alias/a"})
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.Encrypt(ctx, api.EncryptRequest{Key: k.ID, Plaintext: api.SecretBytes("x")})
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < len(out.Ciphertext); n++ {
		if _, err := c.Decrypt(ctx, api.DecryptRequest{Ciphertext: out.Ciphertext[:n]}); code(err) == "" {
			t.Errorf("%d bytes of a ciphertext: %v", n, err)
		}
	}
}

// L29: the program as it is released has no switch that turns a protection off: none of
// its texts is the name of one, and it was built with no tag.
func TestL29ReleaseHasNoSwitch(t *testing.T) {
	path := build(t)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, own := range []string{"passphrase-file", "KEYWARD_PASSPHRASE", "forget_keys_after"} {
		if !bytes.Contains(content, []byte(own)) {
			t.Fatalf("the binary has no text %q, so that looking for others proves nothing", own)
		}
	}
	// The names that flags, variables and settings would have; libraries have others.
	off := regexp.MustCompile(`^(--(insecure|skip|no-verify|no-tls|no-auth|no-audit|disable-(tls|audit|auth|check|verif)|allow-http|accept-invalid)|keyward_[a-z_]*(insecure|skip|no_|disable|debug)|(insecure|tls)_skip_verify|accept[_-]invalid[_-]certs?|danger[_-]accept)`)
	lower := bytes.ToLower(content)
	for _, begin := range []string{"--", "keyward_", "insecure_", "tls_", "accept", "danger"} { // looking everywhere would take ten seconds
		for rest := lower; ; rest = rest[1:] {
			i := bytes.Index(rest, []byte(begin))
			if i < 0 {
				break
			}
			rest = rest[i:]
			if found := off.Find(rest[:min(len(rest), 100)]); found != nil {
				t.Errorf("the binary has the text %q", found)
			}
		}
	}
	built, err := buildinfo.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range built.Settings {
		if s.Key == "-tags" || s.Key == "CGO_ENABLED" && s.Value != "0" {
			t.Errorf("it was built with %s=%s", s.Key, s.Value)
		}
	}
}
