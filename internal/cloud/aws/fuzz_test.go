package aws_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/cloud/aws"
)

const header = "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,mfa_active," +
	"access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service," +
	"access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service\n"

const (
	rootRow = "<root_account>,arn:aws:iam::123456789012:root,2020-01-01T00:00:00+00:00,not_supported,no_information,not_supported,not_supported,false,true,2020-01-01T00:00:00+00:00,2020-02-29T00:00:00+00:00,us-east-1,iam,false,N/A,N/A,N/A,N/A\n"
	userRow = "bob,arn:aws:iam::123456789012:user/bob,2020-01-01T00:00:00+00:00,TRUE,2021-01-01T00:00:00+00:00,N/A,N/A,true,false,N/A,N/A,N/A,N/A,false,N/A,no_information,N/A,N/A\n"
)

// TestReport holds what is no credential report: each change makes the report unreadable.
func TestReport(t *testing.T) {
	if n, err := aws.ParseReport([]byte(header + rootRow + userRow)); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	for _, change := range [][2]string{
		{"T00:00:00+00:00,TRUE", "T00:00:00,TRUE"}, // a date without a zone
		{"2020-02-29", "2021-02-29"},
		{"TRUE", "maybe"},
		{"mfa_active", "mfa_is_active"},
		{",TRUE", ""},
		{"bob", ""},
		{"bob", `"bob`},
	} {
		if n, err := aws.ParseReport([]byte(strings.Replace(header+rootRow+userRow, change[0], change[1], 1))); err == nil {
			t.Errorf("%q for %q: %d rows", change[1], change[0], n)
		}
	}
}

func FuzzReport(f *testing.F) {
	f.Add([]byte(header + rootRow + userRow))
	f.Add([]byte(header))
	f.Add([]byte("user\n\"\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		n, err := aws.ParseReport(content)
		if err != nil && n != 0 {
			t.Errorf("%d rows with %v", n, err)
		}
		if n > strings.Count(string(content), "\n")+strings.Count(string(content), "\r") {
			t.Errorf("%d rows of %q", n, content)
		}
		if err != nil && len(err.Error()) > 200 {
			t.Errorf("the error repeats the report: %v", err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`<ListAccessKeysResponse><ListAccessKeysResult><AccessKeyMetadata><member><AccessKeyId>AKIA0000000000000009</AccessKeyId></member></AccessKeyMetadata></ListAccessKeysResult></ListAccessKeysResponse>`))
	f.Fuzz(func(t *testing.T, content []byte) {
		ids, err := aws.Decode(content)
		if len(ids) > 0 && (err != nil || !strings.Contains(string(content), "ListAccessKeysResult")) {
			t.Errorf("%q of %q, %v", ids, content, err)
		}
	})
}

func FuzzPolicy(f *testing.F) {
	f.Add(`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
	f.Add(`{"Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":["*"]}]}`)
	f.Add(`[`)
	f.Fuzz(func(t *testing.T, document string) {
		admin, wide, err := aws.Breadth(url.PathEscape(document))
		if (admin || len(wide) > 0) && (err != nil || !strings.Contains(document, `*`) && !strings.Contains(document, `\u`)) {
			t.Errorf("%q grants everything, or %q, %v", document, wide, err)
		}
		if !slices.IsSorted(wide) {
			t.Errorf("%q", wide)
		}
	})
}

func FuzzClean(f *testing.F) {
	f.Add("支付\x1b[31m", 4)
	f.Fuzz(func(t *testing.T, s string, n int) {
		n &= 0xffff
		got := aws.Clean(s, n)
		if len(got) > n || !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("%q", got)
		}
	})
}
