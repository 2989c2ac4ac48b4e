package tag_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/tag"
)

func TestMerge(t *testing.T) {
	have := []tag.Tag{{Key: "b", Value: "1"}, {Key: "d", Value: "2"}}
	got, err := tag.Merge(have, []tag.Tag{{Key: "c"}, {Key: "b", Value: "新"}, {Key: "a b/_-.+=:@\\", Value: strings.Repeat("值", tag.MaxLength)}})
	want := []tag.Tag{{Key: "a b/_-.+=:@\\", Value: strings.Repeat("值", tag.MaxLength)}, {Key: "b", Value: "新"}, {Key: "c"}, {Key: "d", Value: "2"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if diff := cmp.Diff([]tag.Tag{{Key: "b", Value: "1"}, {Key: "d", Value: "2"}}, have); diff != "" {
		t.Errorf("what was there was changed:\n%s", diff)
	}
	var many []tag.Tag
	for i := range tag.Max {
		many = append(many, tag.Tag{Key: fmt.Sprint(i)})
	}
	if _, err := tag.Merge(many, []tag.Tag{{Key: "0", Value: "again"}}); err != nil {
		t.Errorf("%d tags, one of them with another value: %v", tag.Max, err)
	}
	for name, c := range map[string]struct {
		add  []tag.Tag
		kind fault.Kind
	}{
		"one too many":         {[]tag.Tag{{Key: "more"}}, fault.LimitExceeded},
		"the same key twice":   {[]tag.Tag{{Key: "0", Value: "1"}, {Key: "0", Value: "2"}}, fault.DuplicateTagKey},
		"no key":               {[]tag.Tag{{Value: "1"}}, fault.InvalidTagKey},
		"a long key":           {[]tag.Tag{{Key: strings.Repeat("键", tag.MaxLength+1)}}, fault.InvalidTagKey},
		"a line break":         {[]tag.Tag{{Key: "a\nb"}}, fault.InvalidTagKey},
		"no UTF-8":             {[]tag.Tag{{Key: "a\xff"}}, fault.InvalidTagKey},
		"a key of Alibaba's":   {[]tag.Tag{{Key: "aliyun.x"}}, fault.InvalidTagKey},
		"another one":          {[]tag.Tag{{Key: "acs:x"}}, fault.InvalidTagKey},
		"a long value":         {[]tag.Tag{{Key: "0", Value: strings.Repeat("值", tag.MaxLength+1)}}, fault.InvalidTagValue},
		"a comma in the value": {[]tag.Tag{{Key: "0", Value: "a,b"}}, fault.InvalidTagValue},
	} {
		if _, err := tag.Merge(many, c.add); fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v, want %s", name, err, c.kind)
		}
	}
}

func TestWithout(t *testing.T) {
	have := []tag.Tag{{Key: "a"}, {Key: "b"}, {Key: "c"}}
	if diff := cmp.Diff([]tag.Tag{{Key: "b"}}, tag.Without(have, []string{"a", "c", "x"}, false)); diff != "" {
		t.Error(diff)
	}
	if got := tag.Without(have, nil, true); len(got) > 0 {
		t.Errorf("of all, %v stay", got)
	}
	if diff := cmp.Diff([]tag.Tag{{Key: "a"}, {Key: "b"}, {Key: "c"}}, have); diff != "" {
		t.Errorf("what was there was changed:\n%s", diff)
	}
}

// The store looks tags up in this text.
func TestJSON(t *testing.T) {
	want := []tag.Tag{{Key: "env", Value: "prod"}, {Key: "team"}}
	text, err := json.Marshal(want)
	if err != nil || string(text) != `[["env","prod"],["team",""]]` {
		t.Fatalf("%s, %v", text, err)
	}
	var got []tag.Tag
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
