package interop_test

import (
	"fmt"
	"strings"
	"testing"

	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
	"github.com/google/go-cmp/cmp"
)

// TestAliases points aliases at keys, elsewhere, and at nothing.
func TestAliases(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		one, two := create(t, c, aes256, ""), create(t, c, aes256, "")
		point := func(name, id string) (*kms.CreateAliasResponse, error) {
			return c.CreateAlias(&kms.CreateAliasRequest{AliasName: &name, KeyId: &id})
		}
		must(point("alias/payroll", one.id))(t)
		refused(point("alias/payroll", two.id))(t, 400, "AliasAlreadyExists")
		blob := encrypt(t, c, "alias/payroll", []byte("x"), nil)

		must(c.UpdateAlias(&kms.UpdateAliasRequest{AliasName: new("alias/payroll"), KeyId: &two.id}))(t)
		if got := *describe(t, c, "alias/payroll").KeyId; got != two.id {
			t.Errorf("the alias points at %s, not at %s", got, two.id)
		}
		if got := must(c.Decrypt(&kms.DecryptRequest{CiphertextBlob: blob}))(t).Body; *got.KeyId != one.id {
			t.Errorf("what was encrypted before is decrypted with %s", *got.KeyId)
		}
		must(c.DeleteAlias(&kms.DeleteAliasRequest{AliasName: new("alias/payroll")}))(t)
		refused(c.DescribeKey(&kms.DescribeKeyRequest{KeyId: new("alias/payroll")}))(t, 404, aliasNotFound)
		refused(c.DeleteAlias(&kms.DeleteAliasRequest{AliasName: new("alias/payroll")}))(t, 404, aliasNotFound)
		refused(c.UpdateAlias(&kms.UpdateAliasRequest{AliasName: new("alias/payroll"), KeyId: &two.id}))(t, 404, aliasNotFound)
		describe(t, c, two.id)

		longest := "alias/" + strings.Repeat("a", 249)
		for _, name := range []string{longest, "alias/a", "alias/A-Z_0/9", "alias/ac"} {
			must(point(name, one.id))(t)
		}
		for _, name := range []string{
			longest + "a", "alias/", "alias", "payroll", "Alias/a", "alias/acs", "alias/acs/kms", "alias/a b", "alias/工资",
			"alias/a.b", "alias/a\n", " alias/a", one.id, one.arn,
		} {
			refused(point(name, one.id))(t, 400, invalidParameter)
			refused(c.DeleteAlias(&kms.DeleteAliasRequest{AliasName: &name}))(t, 400, invalidParameter)
		}
	})
}

// TestListAliases reads the aliases of an account and of a key page by page.
func TestListAliases(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		keys := []handle{create(t, c, aes256, ""), create(t, c, aes256, "")}
		want := [][]string{nil, nil, nil} // of each key, and of both
		for i := range 25 {
			k, name := keys[i%2], fmt.Sprintf("alias/%02d", i)
			must(c.CreateAlias(&kms.CreateAliasRequest{AliasName: &name, KeyId: &k.id}))(t)
			line := name + " " + strings.Replace(k.arn, "key/"+k.id, name, 1) + " " + k.id
			want[i%2], want[2] = append(want[i%2], line), append(want[2], line)
		}
		for i, k := range append(keys, handle{}) {
			var got []string
			for page := int32(1); ; page++ {
				rows, total := aliasPage(t, c, k.id, page, 5)
				if int(total) != len(want[i]) {
					t.Fatalf("page %d says that there are %d, want %d", page, total, len(want[i]))
				}
				if len(rows) == 0 {
					break
				}
				got = append(got, rows...)
			}
			if diff := cmp.Diff(want[i], got); diff != "" {
				t.Errorf("aliases of %q (-want +got):\n%s", k.id, diff)
			}
		}
		body := must(c.ListAliases(&kms.ListAliasesRequest{}))(t).Body
		if *body.PageNumber != 1 || *body.PageSize != 10 || len(body.Aliases.Alias) != 10 {
			t.Errorf("a page is number %d of size %d with %d rows", *body.PageNumber, *body.PageSize, len(body.Aliases.Alias))
		}
		fresh := create(t, c, aes256, "")
		if rows, total := aliasPage(t, c, fresh.id, 1, 10); len(rows) != 0 || total != 0 {
			t.Errorf("a new key has the aliases %v", rows)
		}
		for _, size := range []int32{-1, 0, 101} {
			refused(c.ListAliases(&kms.ListAliasesRequest{PageSize: &size}))(t, 400, invalidParameter)
			refused(c.ListAliasesByKeyId(&kms.ListAliasesByKeyIdRequest{KeyId: &fresh.id, PageSize: &size}))(t, 400, invalidParameter)
		}
		refused(c.ListAliases(&kms.ListAliasesRequest{PageNumber: new(int32(0))}))(t, 400, invalidParameter)
	})
}

// aliasPage answers one page of the aliases of a key, or of all.
func aliasPage(t *testing.T, c *kms.Client, id string, page, size int32) (rows []string, total int32) {
	t.Helper()
	if id == "" {
		body := must(c.ListAliases(&kms.ListAliasesRequest{PageNumber: &page, PageSize: &size}))(t).Body
		for _, a := range body.Aliases.Alias {
			rows = append(rows, *a.AliasName+" "+*a.AliasArn+" "+*a.KeyId)
		}
		return rows, *body.TotalCount
	}
	body := must(c.ListAliasesByKeyId(&kms.ListAliasesByKeyIdRequest{KeyId: &id, PageNumber: &page, PageSize: &size}))(t).Body
	for _, a := range body.Aliases.Alias {
		rows = append(rows, *a.AliasName+" "+*a.AliasArn+" "+*a.KeyId)
	}
	return rows, *body.TotalCount
}
