package template_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/cloud/httpapi/template"
)

var scope = template.Scope{"vars.a", "vars.list", "tag", "now", "lifetime", "overlap"}

func values(a string) template.Values {
	return template.Values{
		"vars.a": a, "vars.list": []any{"x", json.Number("1")}, "tag": "T/1",
		"now": time.Date(2024, 2, 28, 23, 30, 0, 0, time.FixedZone("", 8*3600)), "lifetime": 36 * time.Hour, "overlap": 90 * time.Minute,
	}
}

func TestText(t *testing.T) {
	for _, c := range []struct {
		place      template.Place
		text, a    string
		want, fail string
	}{
		{template.Path, "/x/{{vars.a}}/y", "a b/ü?#%", "/x/a%20b%2F%C3%BC%3F%23%25/y", ""},
		{template.Path, "/{{ vars.a }}", "..", "", "may not be empty"},
		{template.Path, "/{{vars.a}}", "", "", "may not be empty"},
		{template.Path, "/{{tag|lower}}", "", "/t%2F1", ""},
		{template.Query, "{{vars.a}}", "a&b=c", "a&b=c", ""}, // the caller encodes it
		{template.Header, "Bearer {{vars.a}}", "abc", "Bearer abc", ""},
		{template.Header, "Bearer {{vars.a}}", "a\r\nX: y", "", "no line breaks"},
		{template.Header, "{{vars.a}}", "ü", "", "ASCII"},
		{template.Host, "m-{{vars.a}}.example.com", "live", "m-live.example.com", ""},
		{template.Host, "m-{{vars.a}}.example.com", "x.evil.com/", "", "letters, digits and hyphens"},
		{template.Host, "m-{{vars.a}}.example.com", "-", "", "letters, digits and hyphens"},
		{template.Query, "{{vars.a}}", "{{secret.token}}", "{{secret.token}}", ""}, // a value is no template
		{template.Query, "{{now|date}} {{now|unix}} {{now+1*lifetime-90m|rfc3339}} {{overlap|minutes}} {{lifetime|seconds}}", "", "2024-02-28 1709134200 2024-03-01T02:00:00Z 90 129600", ""},
		{template.Query, "{{now+2*lifetime|rfc3339}}", "", "2024-03-02T15:30:00Z", ""},
		{template.Query, "{{vars.list}}", "", "", "no text here"},
		{template.Query, "{{vars.a|unix}}", "x", "", "does not fit"},
	} {
		parsed, err := template.Parse(c.text, c.place, scope)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		got, err := parsed.Text(values(c.a))
		if c.fail == "" && (err != nil || got != c.want) || c.fail != "" && (err == nil || !strings.Contains(err.Error(), c.fail)) {
			t.Errorf("%s with %q is %q, %v; expected %q%s", c.text, c.a, got, err, c.want, c.fail)
		}
	}
}

func TestValue(t *testing.T) {
	for text, want := range map[string]any{
		"{{vars.list}}": []any{"x", json.Number("1")}, "{{lifetime|seconds}}": json.Number("129600"), "n {{lifetime|seconds}}": "n 129600", "plain": "plain", "{{tag}}": "T/1",
	} {
		parsed, err := template.Parse(text, template.JSON, scope)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parsed.Value(values(""))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestMissingValueIsNamed(t *testing.T) {
	parsed, err := template.Parse("{{tag}}", template.Query, scope)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsed.Text(nil); err == nil || !strings.Contains(err.Error(), "{{tag}}") {
		t.Errorf("answered %v", err)
	}
}

func TestRefused(t *testing.T) {
	for _, text := range []string{
		"{{", "}}", "{{}}", "{{ }}", "{{.}}", "{{range vars.a}}", "{{#each vars.list}}", "{{/if}}", "{{if vars.a}}", "{{vars.a()}}", "{{vars.a|f(1)}}", "{{printf vars.a}}",
		"{{vars.a|}}x{{", "{{vars.b}}", "{{vars.a|html}}", "{{vars.a vars.a}}", "{{vars.a+1h}}", "{{now+vars.a|unix}}", "{{now*2|unix}}", "{{now}}", "{{lifetime}}", "{{now+x*lifetime|unix}}",
		"{{now+99999999*lifetime|unix}}", "{{{vars.a}}}", "{{vars.{{vars.a}}}}", "${vars.a}", "{% for a in b %}", "{{> partial}}", "{{vars[a]}}",
	} {
		if _, err := template.Parse(text, template.Query, scope); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

// Whatever a value is, a path has the same segments, a URL the same host, a header one line.
func TestValuesStayWhereTheyStand(t *testing.T) {
	path, err := template.Parse("/a/{{vars.a}}/b", template.Path, scope)
	if err != nil {
		t.Fatal(err)
	}
	header, err := template.Parse("x {{vars.a}}", template.Header, scope)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.OneOf(rapid.String(), rapid.StringMatching(`[./%\\?#@:a{}\r\n]{0,8}`)).Draw(t, "value")
		if text, err := path.Text(values(v)); err == nil {
			u, err := url.Parse("https://h.example/v1")
			if err != nil {
				t.Fatal(err)
			}
			u = u.JoinPath(text)
			if u.Host != "h.example" || u.RawQuery != "" || u.Fragment != "" || strings.Count(u.EscapedPath(), "/") != 4 || u.Path != "/v1/a/"+v+"/b" {
				t.Errorf("%q leads to %s", v, u)
			}
		}
		if text, err := header.Text(values(v)); err == nil && strings.ContainsAny(text, "\r\n\x00") {
			t.Errorf("%q leaves the header", v)
		}
	})
}

func FuzzTemplate(f *testing.F) {
	f.Add("/x/{{vars.a}}/y", "v")
	f.Add("{{now+2*lifetime-24h|rfc3339}}", "{{tag}}")
	f.Fuzz(func(t *testing.T, text, value string) {
		for place := template.Host; place <= template.JSON; place++ {
			parsed, err := template.Parse(text, place, scope)
			if err != nil {
				continue
			}
			for _, name := range parsed.Names() {
				if !strings.Contains(strings.Join(scope, " "), name) {
					t.Errorf("the name %q is not in scope", name)
				}
			}
			out, err := parsed.Text(values(value))
			if err == nil && len(parsed.Names()) == 0 && out != text {
				t.Errorf("%q became %q", text, out)
			}
		}
	})
}
