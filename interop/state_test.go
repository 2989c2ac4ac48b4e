package interop_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
	"github.com/alibabacloud-go/tea/tea"
)

// newSubject makes a key of a spec with all that the operations in the table need.
func newSubject(t *testing.T, c *kms.Client, spec, alias string, spare handle) subject {
	t.Helper()
	usage := ""
	if spec == sm2Spec {
		usage = encryptDecrypt
	}
	s := subject{handle: create(t, c, spec, usage), alias: alias, spare: spare.id, spareAlias: alias + "-spare"}
	must(c.CreateAlias(&kms.CreateAliasRequest{KeyId: &s.id, AliasName: &s.alias}))(t)
	must(c.CreateAlias(&kms.CreateAliasRequest{KeyId: &s.spare, AliasName: &s.spareAlias}))(t)
	switch spec {
	case aes256:
		s.blob = encrypt(t, c, s.id, []byte("x"), nil)
	case sm2Spec:
		s.blob = must(c.AsymmetricEncrypt(&kms.AsymmetricEncryptRequest{KeyId: &s.id, KeyVersionId: &s.version, Algorithm: new("SM2PKE"), Plaintext: encoded("x")}))(t).Body.CiphertextBlob
	}
	return s
}

// TestStates holds every operation against every state that a key can be in.
func TestStates(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		spare := create(t, c, aes256, "")
		enter := []func(id string){
			func(string) {},
			func(id string) { must(c.DisableKey(&kms.DisableKeyRequest{KeyId: &id}))(t) },
			func(id string) {
				must(c.ScheduleKeyDeletion(&kms.ScheduleKeyDeletionRequest{KeyId: &id, PendingWindowInDays: new(int32(7))}))(t)
			},
		}
		for i, row := range operationTable() {
			for state, want := range row.states {
				k := newSubject(t, c, row.spec, fmt.Sprintf("alias/%d-%d", i, state), spare)
				enter[state](k.id)
				if got := refusalOf(row.call(c, k)); got != want {
					t.Errorf("%s of a key that is %s answers %v, want %v", row.name, *describe(t, c, k.id).KeyState, got, want)
				}
			}
		}
		// The destination of ReEncrypt has a state, too.
		from, to := newSubject(t, c, aes256, "alias/from", spare), create(t, c, aes256, "")
		must(c.DisableKey(&kms.DisableKeyRequest{KeyId: &to.id}))(t)
		refused(c.ReEncrypt(&kms.ReEncryptRequest{CiphertextBlob: from.blob, DestinationKeyId: &to.id}))(t, 409, rejectedDisabled)
	})
}

// TestForeignKeys checks that the key of another account looks exactly like none.
func TestForeignKeys(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		owner, c := s.account(t).sdk(t), s.account(t).sdk(t)
		spares := map[*kms.Client]handle{owner: create(t, owner, aes256, ""), c: create(t, c, aes256, "")}
		foreign := map[string]subject{}
		for _, spec := range []string{aes256, p256, sm2Spec} {
			k := newSubject(t, owner, spec, "alias/"+spec, spares[owner])
			k.spare, k.spareAlias = spares[c].id, "alias/own"
			foreign[spec] = k
		}
		must(c.CreateAlias(&kms.CreateAliasRequest{KeyId: new(spares[c].id), AliasName: new("alias/own")}))(t)
		for _, row := range operationTable() {
			if row.absent == "" {
				continue
			}
			k := foreign[row.spec]
			gone := k
			gone.id = "key-" + strings.Repeat("a", 26)
			gone.arn = strings.Replace(k.arn, k.id, gone.id, 1)
			want := explain(row.call(c, gone))
			for _, other := range []string{k.id, k.arn, strings.Replace(k.arn, k.id, "none", 1), "1234abcd-12ab-34cd-56ef-1234567890ab"} {
				k.id = other
				err := row.call(c, k)
				if got := refusalOf(err); got != (refusal{404, row.absent}) {
					t.Errorf("%s of a foreign key %s answers %v", row.name, other, got)
				}
				if got := explain(err); got != want {
					t.Errorf("%s tells a foreign key from none: %q and %q", row.name, got, want)
				}
			}
		}
		refused(c.DescribeKey(&kms.DescribeKeyRequest{KeyId: new("alias/" + aes256)}))(t, 404, aliasNotFound)
		refused(c.DeleteAlias(&kms.DeleteAliasRequest{AliasName: new("alias/" + aes256)}))(t, 404, aliasNotFound)
		refused(c.DescribeKeyVersion(&kms.DescribeKeyVersionRequest{KeyId: new(spares[c].id), KeyVersionId: new(spares[owner].version)}))(t, 404, "Forbidden.KeyVersionNotFound")
		if got := len(listKeys(t, c, "")); got != 1 {
			t.Errorf("an account with one key sees %d", got)
		}
		for _, k := range foreign {
			if state := *describe(t, owner, k.id).KeyState; state != "Enabled" {
				t.Errorf("what another account tried left the key %s", state)
			}
		}
	})
}

// explain answers the message that a client shows, without the request's id.
func explain(err error) string {
	var refused *tea.SDKError
	if !errors.As(err, &refused) {
		return fmt.Sprint(err)
	}
	text, _, _ := strings.Cut(tea.StringValue(refused.Message), " request id: ")
	return text
}
