package interop_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
	"github.com/google/go-cmp/cmp"
)

// listKeys answers every key that matches, read in pages of three.
func listKeys(t *testing.T, c *kms.Client, filters string) []string {
	t.Helper()
	in := &kms.ListKeysRequest{PageSize: new(int32(3))}
	if filters != "" {
		in.Filters = &filters
	}
	out := []string{}
	for page := int32(1); ; page++ {
		in.PageNumber = &page
		body := must(c.ListKeys(in))(t).Body
		for _, k := range body.Keys.Key {
			out = append(out, *k.KeyId)
		}
		if *body.PageNumber != page || *body.PageSize != 3 {
			t.Fatalf("page %d of size 3 says that it is page %d of size %d", page, *body.PageNumber, *body.PageSize)
		}
		if len(body.Keys.Key) == 0 {
			if int(*body.TotalCount) != len(out) {
				t.Errorf("the list says that it has %d keys and has %d", *body.TotalCount, len(out))
			}
			return out
		}
	}
}

// filter writes Filters: names and values in turn, each value list as []string.
func filter(t *testing.T, pairs ...any) string {
	t.Helper()
	list := []map[string]any{}
	for pair := range slices.Chunk(pairs, 2) {
		list = append(list, map[string]any{"Key": pair[0], "Values": pair[1]})
	}
	return string(must(json.Marshal(list))(t))
}

// TestListKeys filters keys by everything that can be filtered by.
func TestListKeys(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		if got := listKeys(t, c, ""); len(got) != 0 {
			t.Errorf("a new account has the keys %v", got)
		}
		aes, sm4 := create(t, c, aes256, ""), create(t, c, sm4Spec, "")
		sign, gone, tagged := create(t, c, p256, ""), create(t, c, aes256, ""), create(t, c, sm2Spec, encryptDecrypt)
		all := []string{aes.id, sm4.id, sign.id, gone.id, tagged.id}
		must(c.DisableKey(&kms.DisableKeyRequest{KeyId: &sm4.id}))(t)
		must(c.ScheduleKeyDeletion(&kms.ScheduleKeyDeletionRequest{KeyId: &gone.id, PendingWindowInDays: new(int32(7))}))(t)
		must(c.CreateAlias(&kms.CreateAliasRequest{KeyId: &aes.id, AliasName: new("alias/one")}))(t)
		must(c.CreateAlias(&kms.CreateAliasRequest{KeyId: &sign.id, AliasName: new("alias/two")}))(t)
		must(c.TagResource(&kms.TagResourceRequest{KeyId: &tagged.id, Tags: document(t, labels{"team": "pay", "env": "prod"})}))(t)
		must(c.TagResource(&kms.TagResourceRequest{KeyId: &sm4.id, Tags: document(t, labels{"team": "risk"})}))(t)
		creator := *describe(t, c, aes.id).Creator
		for _, row := range []struct {
			filters string
			want    []string
		}{
			{"", all},
			{"[]", all},
			{filter(t, "KeyState", []string{"Enabled"}), []string{aes.id, sign.id, tagged.id}},
			{filter(t, "KeyState", []string{"Disabled", "PendingDeletion"}), []string{sm4.id, gone.id}},
			{filter(t, "KeyState", []string{"enabled"}), []string{}},
			{filter(t, "KeySpec", []string{aes256, sm2Spec}), []string{aes.id, gone.id, tagged.id}},
			{filter(t, "KeyUsage", []string{signVerify}), []string{sign.id}},
			{filter(t, "ProtectionLevel", []string{"SOFTWARE"}), all},
			{filter(t, "ProtectionLevel", []string{"HSM"}), []string{}},
			{filter(t, "CreatorType", []string{"User"}), all},
			{filter(t, "CreatorType", []string{"Service"}), []string{}},
			{filter(t, "CreatorType", []string{"Service", "User"}), all},
			{filter(t, "DKMSInstanceId", []string{"kst-hzz1"}), []string{}},
			{filter(t, "KeyId", []string{sign.id, aes.id, "key-none"}), []string{aes.id, sign.id}},
			{filter(t, "AliasName", []string{"alias/two"}), []string{sign.id}},
			{filter(t, "Creator", []string{creator}), all},
			{filter(t, "Creator", []string{"1"}), []string{}},
			{filter(t, "TagKey", []string{"team"}), []string{sm4.id, tagged.id}},
			{filter(t, "TagValue", []string{"pay"}), []string{tagged.id}},
			{filter(t, "TagKey", []string{"env"}, "TagValue", []string{"prod"}), []string{tagged.id}},
			{filter(t, "KeyState", []string{"Enabled"}, "KeySpec", []string{aes256}), []string{aes.id}},
			{filter(t, "KeyState", []string{"Disabled"}, "KeySpec", []string{aes256}), []string{}},
		} {
			if diff := cmp.Diff(row.want, listKeys(t, c, row.filters)); diff != "" {
				t.Errorf("keys that match %s (-want +got):\n%s", row.filters, diff)
			}
		}
	})
}

// TestListKeysRefuses asks for lists in ways that are wrong.
func TestListKeysRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		many := []any{}
		for i := range 11 {
			many = append(many, fmt.Sprint("TagKey", i), []string{"x"})
		}
		for _, filters := range []string{
			"{}", "null", "true", `"KeyState"`, "[", `[{"Key":"KeyState"}]`, `[{"Values":["Enabled"]}]`, filter(t, "KeyState", []string{}),
			filter(t, "Color", []string{"red"}), filter(t, "KeyState", "Enabled"), filter(t, "KeyState", []int{1}), filter(t, many...),
			`[{"Key":"KeyState","Values":["Enabled"],"More":1}]`, `[{"Key":"KeyState","Key":"KeySpec","Values":["Enabled"]}]`,
			`[{"key":"KeyState","values":["Enabled"]}]`, `[null]`, `[{"Key":"KeyState","Values":null}]`, `[] []`,
			filter(t, "KeyState", []string{"Enabled"}, "KeyState", []string{"Disabled"}),
		} {
			if got := refusalOf(outcome(c.ListKeys(&kms.ListKeysRequest{Filters: &filters}))); got != (refusal{400, invalidParameter}) {
				t.Errorf("with the filters %s the answer is %v", filters, got)
			}
		}
		for _, page := range []kms.ListKeysRequest{
			{PageNumber: new(int32(0))}, {PageNumber: new(int32(-1))}, {PageSize: new(int32(0))}, {PageSize: new(int32(101))}, {PageNumber: new(int32(1 << 30))},
		} {
			refused(c.ListKeys(&page))(t, 400, invalidParameter)
		}
	})
}

// TestRegionsAndStatus calls what has no parameters.
func TestRegionsAndStatus(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		regions := must(c.DescribeRegions())(t).Body.Regions.Region
		if len(regions) != 1 || *regions[0].RegionId != region {
			t.Errorf("the regions are %v", regions)
		}
		if status := must(c.DescribeAccountKmsStatus())(t).Body.AccountStatus; *status != "Enabled" {
			t.Errorf("the account's status is %q", *status)
		}
		refused(c.OpenKmsService())(t, 400, "Forbidden.Opened")
	})
}
