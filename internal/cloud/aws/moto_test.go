package aws_test

import (
	"bufio"
	"context"
	"encoding/xml"
	"net/http"
	"net/netip"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/aws"
	"github.com/keyward/keyward/internal/cloud/aws/awstest"
	"github.com/keyward/keyward/internal/egress"
)

// TestMoto reads an account of moto, a simulator of AWS that others wrote. It is the one
// test here that may be skipped, in CI too: it is asked for where moto is installed.
func TestMoto(t *testing.T) {
	program, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("moto_server is not installed, so moto is not asked; pip install 'moto[server]' installs it")
	}
	address := startMoto(t, program)
	moto := func(action string, params url.Values) string { return callMoto(t, address, action, params) }
	moto("CreateUser", url.Values{"UserName": {"alice"}, "Tags.member.1.Key": {"team"}, "Tags.member.1.Value": {"pay"}})
	moto("CreateUser", url.Values{"UserName": {"bob"}})
	moto("CreateGroup", url.Values{"GroupName": {"ops"}})
	moto("AddUserToGroup", url.Values{"GroupName": {"ops"}, "UserName": {"bob"}})
	moto("PutGroupPolicy", url.Values{"GroupName": {"ops"}, "PolicyName": {"all"}, "PolicyDocument": {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`}})
	moto("PutUserPolicy", url.Values{"UserName": {"alice"}, "PolicyName": {"keyward"}, "PolicyDocument": {aws.Kind().Policy}})
	reader := keyOf(t, moto("CreateAccessKey", url.Values{"UserName": {"alice"}}))
	idle := keyOf(t, moto("CreateAccessKey", url.Values{"UserName": {"bob"}}))
	moto("UpdateAccessKey", url.Values{"UserName": {"bob"}, "AccessKeyId": {idle.ID}, "Status": {"Inactive"}})

	in := opening(reader)
	in.Settings["endpoint"], in.Allow = address, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	p, err := aws.Kind().Open(in)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := p.Check(t.Context()); err != nil || id.Account != "123456789012" || id.Principal != "user/alice" {
		t.Errorf("%+v, %v", id, err)
	}
	s, err := p.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys := told(s)
	if keys[reader.ID] != accesskey.Active || keys[idle.ID] != accesskey.Inactive || len(keys) != 2 {
		t.Errorf("%v", keys)
	}
	// The root user is not in moto's report. Nothing else is missing.
	if len(s.Problems) != 1 || s.Problems[0].What != "iam:GetCredentialReport" || !strings.Contains(s.Problems[0].Reason, "root") {
		t.Errorf("%+v", s.Problems)
	}
	for _, p := range s.Principals {
		switch {
		case p.Name == "bob" && (len(p.Grants) != 1 || p.Grants[0].Via != "ops" || !p.Grants[0].Admin):
			t.Errorf("bob: %+v", p)
		case p.Name == "alice" && (len(p.Grants) != 1 || p.Grants[0].Admin || p.Console != accesskey.No):
			t.Errorf("alice: %+v", p)
		}
	}
	for _, k := range s.Keys {
		if k.ID == reader.ID && k.Tags["team"] != "pay" {
			t.Errorf("%+v", k)
		}
	}
}

func startMoto(t *testing.T, program string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, program, "-H", "127.0.0.1", "-p", "0")
	says, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
	})
	running := regexp.MustCompile(`Running on (http://127\.0\.0\.1:\d+)`)
	for lines := bufio.NewScanner(says); lines.Scan(); {
		if found := running.FindStringSubmatch(lines.Text()); found != nil {
			go func() {
				for lines.Scan() { // what it says of each request must not fill the pipe
				}
			}()
			return found[1]
		}
	}
	t.Fatal("moto_server ended without telling its address")
	return ""
}

// callMoto calls what the provider does not; moto looks at no signature, only at whose it is.
func callMoto(t *testing.T, address, action string, params url.Values) string {
	t.Helper()
	params.Set("Action", action)
	params.Set("Version", "2010-05-08")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(params.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIA0000000000000001/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	content, err := egress.ReadBody(resp, 1<<20)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: HTTP %d %v %s", action, resp.StatusCode, err, content)
	}
	return string(content)
}

func keyOf(t *testing.T, answer string) awstest.Credential {
	t.Helper()
	var key struct {
		ID     string `xml:"CreateAccessKeyResult>AccessKey>AccessKeyId"`
		Secret string `xml:"CreateAccessKeyResult>AccessKey>SecretAccessKey"`
	}
	if err := xml.Unmarshal([]byte(answer), &key); err != nil {
		t.Fatal(err)
	}
	return awstest.Credential{ID: key.ID, Secret: key.Secret}
}
