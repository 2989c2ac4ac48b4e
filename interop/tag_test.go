package interop_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
	"github.com/google/go-cmp/cmp"
)

type labels = map[string]string

// document writes tags as TagResource takes them.
func document(t testing.TB, tags labels) *string {
	t.Helper()
	var list []map[string]string
	for k, v := range tags {
		list = append(list, map[string]string{"TagKey": k, "TagValue": v})
	}
	return new(string(must(json.Marshal(list))(t)))
}

// pairs writes tags as TagResources takes them.
func pairs(tags labels) (out []*kms.TagResourcesRequestTag) {
	for k, v := range tags {
		out = append(out, &kms.TagResourcesRequestTag{Key: &k, Value: &v})
	}
	return out
}

// labelsOf answers the tags of a key.
func labelsOf(t testing.TB, c *kms.Client, id string) labels {
	t.Helper()
	out := labels{}
	for _, tag := range must(c.ListResourceTags(&kms.ListResourceTagsRequest{KeyId: &id}))(t).Body.Tags.Tag {
		out[*tag.TagKey] = *tag.TagValue
		if *tag.KeyId != id {
			t.Errorf("a tag of %s is said to be one of %s", id, *tag.KeyId)
		}
	}
	return out
}

func checkLabels(t *testing.T, c *kms.Client, id string, want labels) {
	t.Helper()
	if diff := cmp.Diff(want, labelsOf(t, c, id)); diff != "" {
		t.Errorf("tags of %s (-want +got):\n%s", id, diff)
	}
}

// TestTags adds and removes tags of one key.
func TestTags(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		k := create(t, c, aes256, "")
		tag := func(tags string) (*kms.TagResourceResponse, error) {
			return c.TagResource(&kms.TagResourceRequest{KeyId: &k.id, Tags: &tags})
		}
		checkLabels(t, c, k.id, labels{})
		must(tag(*document(t, labels{"team": "pay", "组": "付款", "a/b\\c_d-e.f+g=h:i@j k": ""})))(t)
		must(tag(*document(t, labels{"team": "risk", "more": "1"})))(t)
		checkLabels(t, c, k.id, labels{"team": "risk", "more": "1", "组": "付款", "a/b\\c_d-e.f+g=h:i@j k": ""})
		must(c.UntagResource(&kms.UntagResourceRequest{KeyId: &k.id, TagKeys: new(`["组","more","never there"]`)}))(t)
		checkLabels(t, c, k.id, labels{"team": "risk", "a/b\\c_d-e.f+g=h:i@j k": ""})

		full := labels{}
		for i := range 18 {
			full[fmt.Sprintf("t%02d%s", i, strings.Repeat("k", 125))] = strings.Repeat("值", 128)
		}
		must(tag(*document(t, full)))(t)
		refused(tag(*document(t, labels{"one": "too many"})))(t, 400, "Rejected.LimitExceeded")
		must(tag(*document(t, labels{"team": "changes still"})))(t)
		want := maps.Clone(full)
		want["team"], want["a/b\\c_d-e.f+g=h:i@j k"] = "changes still", ""
		checkLabels(t, c, k.id, want)
		for _, row := range []struct{ tags, code string }{
			{*document(t, labels{"aliyun.owner": "x"}), "InvalidParameter.TagKey"},
			{*document(t, labels{"acs:owner": "x"}), "InvalidParameter.TagKey"},
			{*document(t, labels{"": "x"}), "InvalidParameter.TagKey"},
			{*document(t, labels{strings.Repeat("k", 129): "x"}), "InvalidParameter.TagKey"},
			{*document(t, labels{"k\n": "x"}), "InvalidParameter.TagKey"},
			{*document(t, labels{"k": strings.Repeat("v", 129)}), "InvalidParameter.TagValue"},
			{*document(t, labels{"k": "<script>"}), "InvalidParameter.TagValue"},
			{`[{"TagKey":"k","TagValue":"1"},{"TagKey":"k","TagValue":"2"}]`, "Duplicate.TagKey"},
		} {
			refused(tag(row.tags))(t, 400, row.code)
			refused(c.CreateKey(&kms.CreateKeyRequest{Tags: &row.tags}))(t, 400, row.code)
		}
		checkLabels(t, c, k.id, want)
	})
}

// TestTagsOfMany adds and removes tags of many keys, of all of them or of none.
func TestTagsOfMany(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		one, two := create(t, c, aes256, ""), create(t, c, p256, "")
		both := []*string{&one.id, &two.id}
		tag := func(ids []*string, tags labels) (*kms.TagResourcesResponse, error) {
			return c.TagResources(&kms.TagResourcesRequest{RegionId: new(region), ResourceType: new("key"), ResourceId: ids, Tag: pairs(tags)})
		}
		untag := func(ids []*string, all bool, keys ...string) (*kms.UntagResourcesResponse, error) {
			in := &kms.UntagResourcesRequest{RegionId: new(region), ResourceType: new("key"), ResourceId: ids, All: &all}
			for _, k := range keys {
				in.TagKey = append(in.TagKey, &k)
			}
			return c.UntagResources(in)
		}
		must(tag(both, labels{"a": "1", "b": "2"}))(t)
		must(untag(both[:1], false, "a"))(t)
		checkLabels(t, c, one.id, labels{"b": "2"})
		checkLabels(t, c, two.id, labels{"a": "1", "b": "2"})
		refused(tag([]*string{&one.id, new("key-none")}, labels{"c": "3"}))(t, 404, "InvalidResourceId.NotFound")
		refused(untag([]*string{&one.id, new("key-none")}, true))(t, 404, "InvalidResourceId.NotFound")
		checkLabels(t, c, one.id, labels{"b": "2"})
		must(untag(both, true))(t)
		checkLabels(t, c, one.id, labels{})
		checkLabels(t, c, two.id, labels{})

		refused(tag(both, labels{"acs:x": "1"}))(t, 400, "InvalidParameter.TagKey")
		refused(tag(both, labels{"x": "|"}))(t, 400, "InvalidParameter.TagValue")
		refused(tag(nil, labels{"x": "1"}))(t, 400, missingParameter)
		refused(tag(both, nil))(t, 400, missingParameter)
		refused(untag(both, false))(t, 400, missingParameter)
		refused(c.TagResources(&kms.TagResourcesRequest{
			RegionId: new(region), ResourceType: new("key"), ResourceId: both,
			Tag: []*kms.TagResourcesRequestTag{{Key: new("a"), Value: new("1")}, {Key: new("a"), Value: new("2")}},
		}))(t, 400, "Duplicate.TagKey")
		var many []*string
		for range 51 {
			many = append(many, &one.id)
		}
		refused(tag(many, labels{"x": "1"}))(t, 400, invalidParameter)
		must(tag(many[:50], labels{"x": "1"}))(t)
	})
}

// TestListTagResources looks keys up by their tags, page by page.
func TestListTagResources(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		want := map[string]string{} // tag "n" of each key
		var ids []*string
		for i := range 25 {
			value := fmt.Sprint(i)
			m := must(c.CreateKey(&kms.CreateKeyRequest{Tags: document(t, labels{"n": value, "odd": fmt.Sprint(i % 2)})}))(t).Body.KeyMetadata
			want[*m.KeyId] = value
			ids = append(ids, m.KeyId)
		}
		create(t, c, aes256, "") // without a tag
		list := func(in kms.ListTagResourcesRequest) map[string]string {
			in.RegionId, in.ResourceType = new(region), new("key")
			got := map[string]string{}
			for pages := 1; ; pages++ {
				body := must(c.ListTagResources(&in))(t).Body
				for _, r := range body.TagResources.TagResource {
					if *r.TagKey == "n" {
						got[*r.ResourceId] = *r.TagValue
					}
					if *r.ResourceType != "key" {
						t.Errorf("the resource type is %q", *r.ResourceType)
					}
				}
				if body.NextToken == nil || *body.NextToken == "" || pages == len(want) {
					return got
				}
				in.NextToken = body.NextToken
			}
		}
		tag := func(k, v string) []*kms.ListTagResourcesRequestTag {
			return []*kms.ListTagResourcesRequestTag{{Key: &k, Value: &v}}
		}
		if diff := cmp.Diff(want, list(kms.ListTagResourcesRequest{})); diff != "" {
			t.Errorf("all tags (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]string{*ids[3]: "3", *ids[7]: "7"}, list(kms.ListTagResourcesRequest{ResourceId: []*string{ids[3], ids[7]}})); diff != "" {
			t.Errorf("tags of two keys (-want +got):\n%s", diff)
		}
		if got := list(kms.ListTagResourcesRequest{Tag: tag("odd", "1")}); len(got) != 12 {
			t.Errorf("%d keys are odd, want 12", len(got))
		}
		if diff := cmp.Diff(map[string]string{*ids[3]: "3"}, list(kms.ListTagResourcesRequest{Tag: append(tag("odd", "1"), tag("n", "3")...)})); diff != "" {
			t.Errorf("keys with two tags (-want +got):\n%s", diff)
		}
		if got := list(kms.ListTagResourcesRequest{Tag: tag("even", "1")}); len(got) != 0 {
			t.Errorf("keys with a tag that none has: %v", got)
		}
		for _, token := range []string{"2", "AAAA", "?", strings.Repeat("A", 300)} {
			refused(c.ListTagResources(&kms.ListTagResourcesRequest{RegionId: new(region), ResourceType: new("key"), NextToken: &token}))(t, 400, invalidParameter)
		}
	})
}

// TestTagsOfManySecrets adds, removes and lists tags of many secrets, of all of them or of none.
func TestTagsOfManySecrets(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		c := srv.account(t).sdk(t)
		s := shelf{c, t}
		var both []*string
		for _, name := range []string{"db/one", "db/two"} {
			s.make(name, "v1", "x")
			both = append(both, &name)
		}
		s.make("db/bare", "v1", "x")
		create(t, c, aes256, "") // which is no secret
		tag := func(ids []*string, tags labels) error {
			return outcome(c.TagResources(&kms.TagResourcesRequest{RegionId: new(region), ResourceType: new("secret"), ResourceId: ids, Tag: pairs(tags)}))
		}
		untag := func(ids []*string, all bool, keys ...string) error {
			in := &kms.UntagResourcesRequest{RegionId: new(region), ResourceType: new("secret"), ResourceId: ids, All: &all}
			for _, k := range keys {
				in.TagKey = append(in.TagKey, &k)
			}
			return outcome(c.UntagResources(in))
		}
		list := func(in kms.ListTagResourcesRequest) labels {
			in.RegionId, in.ResourceType = new(region), new("secret")
			got := labels{}
			for _, r := range must(c.ListTagResources(&in))(t).Body.TagResources.TagResource {
				if *r.ResourceType != "secret" {
					t.Errorf("the resource type is %q", *r.ResourceType)
				}
				got[*r.ResourceId+" "+*r.TagKey] = *r.TagValue
			}
			return got
		}
		check := func(in kms.ListTagResourcesRequest, want labels) {
			t.Helper()
			if diff := cmp.Diff(want, list(in)); diff != "" {
				t.Errorf("tags of secrets (-want +got):\n%s", diff)
			}
		}
		succeed(t, tag(both, labels{"team": "pay", "old": "1"}))
		succeed(t, untag(both[:1], false, "old"))
		check(kms.ListTagResourcesRequest{}, labels{"db/one team": "pay", "db/two team": "pay", "db/two old": "1"})
		check(kms.ListTagResourcesRequest{ResourceId: both[:1]}, labels{"db/one team": "pay"})
		check(kms.ListTagResourcesRequest{Tag: []*kms.ListTagResourcesRequestTag{{Key: new("old")}}}, labels{"db/two team": "pay", "db/two old": "1"})
		d := must(s.DescribeSecret(&kms.DescribeSecretRequest{SecretName: both[1], FetchTags: new("true")}))(t).Body
		if len(d.Tags.Tag) != 2 {
			t.Errorf("described %v", d.Tags)
		}

		none := []*string{both[0], new("db/none")}
		refused(0, tag(none, labels{"more": "1"}))(t, 404, "InvalidResourceId.NotFound")
		refused(0, untag(none, true))(t, 404, "InvalidResourceId.NotFound")
		refused(c.ListTagResources(&kms.ListTagResourcesRequest{RegionId: new(region), ResourceType: new("secret"), ResourceId: none}))(t, 404, "InvalidResourceId.NotFound")
		refused(0, tag(both, labels{"acs:x": "1"}))(t, 400, "InvalidParameter.TagKey")
		refused(0, tag(both, labels{"x": "|"}))(t, 400, "InvalidParameter.TagValue")
		refused(c.TagResources(&kms.TagResourcesRequest{RegionId: new(region), ResourceType: new("certificate"), ResourceId: both, Tag: pairs(labels{"x": "1"})}))(t, 400, invalidParameter)
		check(kms.ListTagResourcesRequest{ResourceId: both[:1]}, labels{"db/one team": "pay"})
		succeed(t, untag(both, true))
		check(kms.ListTagResourcesRequest{}, labels{})
	})
}
