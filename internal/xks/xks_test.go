package xks_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/xks"
)

// The credential that AWS's test client has by default.
func credential() xks.Credential {
	return xks.Credential{ID: "BETWEEN2TENAND3TENCHARACTERS", Secret: material.NewBytes([]byte("PleaseReplaceThisWithSomeSecretOfLength43To64"))}
}

// curl is a request as curl 7.88.1 signed it with --aws-sigv4 aws:amz:us-east-1:kms-xks-proxy.
func curl() (xks.Request, time.Time) {
	return xks.Request{Host: "127.0.0.1:18999", Path: "/path/kms/xks/v1/keys/foo/encrypt", Body: []byte(`{"a":"b"}`), Header: map[string][]string{
		"Content-Type": {"application/json"},
		"X-Amz-Date":   {"20261122T112809Z"},
		"Authorization": {"AWS4-HMAC-SHA256 Credential=BETWEEN2TENAND3TENCHARACTERS/20261122/us-east-1/kms-xks-proxy/aws4_request, " +
			"SignedHeaders=content-type;host;x-amz-date, Signature=bd661853a0580f7299206cc53e073efe74ab390fdb90b9f2f6da6838856ba8a2"},
	}}, time.Date(2026, 11, 22, 11, 28, 9, 0, time.UTC)
}

// Both ends agree with curl about a signature.
func TestSignatureOfCurl(t *testing.T) {
	r, at := curl()
	c, err := xks.ReadClaim(r)
	if err != nil || c.ID != credential().ID {
		t.Fatalf("%+v, %v", c, err)
	}
	if err := c.Prove(credential().Secret, at); err != nil {
		t.Error(err)
	}
	want := r.Header["Authorization"][0]
	delete(r.Header, "Authorization")
	if credential().Sign(r, "us-east-1", at); r.Header["Authorization"][0] != want {
		t.Errorf("signed as %s", r.Header["Authorization"])
	}
}

// What is not formed as it must be is no claim; what was changed is not proved.
func TestSignaturesAreExact(t *testing.T) {
	auth := func(old, new string) func(*xks.Request) {
		return func(r *xks.Request) {
			r.Header["Authorization"][0] = strings.Replace(r.Header["Authorization"][0], old, new, 1)
		}
	}
	for name, test := range map[string]struct {
		change func(*xks.Request)
		kind   fault.Kind
	}{
		"path":              {func(r *xks.Request) { r.Path = "/path/kms/xks/v1/keys/foo/decrypt" }, fault.SignatureMismatch},
		"body":              {func(r *xks.Request) { r.Body[0]++ }, fault.SignatureMismatch},
		"host":              {func(r *xks.Request) { r.Host = "localhost" }, fault.SignatureMismatch},
		"media type":        {func(r *xks.Request) { r.Header["Content-Type"][0] = "text/plain" }, fault.SignatureMismatch},
		"region":            {auth("us-east-1", "us-east-2"), fault.SignatureMismatch},
		"signature":         {auth("bd66", "BD66"), fault.SignatureMismatch},
		"no signature":      {auth("Signature=bd66", "Signature="), fault.SignatureMismatch},
		"time":              {func(r *xks.Request) { r.Header["X-Amz-Date"][0] = "20261122T112810Z" }, fault.SignatureMismatch},
		"old":               {func(r *xks.Request) { r.Header["X-Amz-Date"][0] = "20261122T112308Z" }, fault.TimestampExpired},
		"new":               {func(r *xks.Request) { r.Header["X-Amz-Date"][0] = "20261122T113310Z" }, fault.TimestampExpired},
		"no time":           {func(r *xks.Request) { r.Header["X-Amz-Date"][0] = "20261122T1128" }, fault.TimestampInvalid},
		"another day":       {func(r *xks.Request) { r.Header["X-Amz-Date"][0] = "20261123T000000Z" }, fault.IncompleteSignature},
		"service":           {auth("kms-xks-proxy", "kms"), fault.IncompleteSignature},
		"terminator":        {auth("aws4_request", "aws4"), fault.IncompleteSignature},
		"scheme":            {auth("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA1 "), fault.IncompleteSignature},
		"id":                {auth("BETWEEN2", "between2"), fault.IncompleteSignature},
		"host not signed":   {auth("content-type;host;", "content-type;"), fault.IncompleteSignature},
		"time not signed":   {auth(";x-amz-date", ""), fault.IncompleteSignature},
		"order":             {auth("content-type;host", "host;content-type"), fault.IncompleteSignature},
		"twice":             {auth("content-type;", "content-type;content-type;"), fault.IncompleteSignature},
		"signed, not there": {auth("x-amz-date", "x-amz-date;x-other"), fault.IncompleteSignature},
		"more":              {func(r *xks.Request) { r.Header["Authorization"][0] += ", Signature=x" }, fault.IncompleteSignature},
		"there twice":       {func(r *xks.Request) { r.Header["Content-Type"] = []string{"a", "b"} }, fault.IncompleteSignature},
		"two dates":         {func(r *xks.Request) { r.Header["X-Amz-Date"] = slices.Repeat(r.Header["X-Amz-Date"], 2) }, fault.IncompleteSignature},
		"none":              {func(r *xks.Request) { delete(r.Header, "Authorization") }, fault.IncompleteSignature},
	} {
		r, at := curl()
		test.change(&r)
		c, err := xks.ReadClaim(r)
		if err == nil {
			err = c.Prove(credential().Secret, at)
		}
		if !fault.Is(err, test.kind) {
			t.Errorf("%s: have %v, want %s", name, err, test.kind)
		}
	}
}

// Who has no credential, proves nothing with an empty one.
func TestNoSecretProvesNothing(t *testing.T) {
	r, at := curl()
	empty := xks.Credential{ID: credential().ID}
	empty.Sign(r, "us-east-1", at)
	c, err := xks.ReadClaim(r)
	if err == nil {
		err = c.Prove(empty.Secret, at)
	}
	if !fault.Is(err, fault.SignatureMismatch) {
		t.Errorf("have %v", err)
	}
}

func TestCredentials(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		c := xks.NewCredential()
		if err := c.Check(); err != nil || seen[c.ID] {
			t.Errorf("%s: %v", c.ID, err)
		}
		seen[c.ID] = true
	}
	for _, c := range []xks.Credential{{}, {ID: "BETWEEN2TENAND3TENCHARACTERS"}, {ID: "SHORT", Secret: credential().Secret}, {ID: "BETWEEN2TENAND3TENCHARACTER1", Secret: credential().Secret}} {
		if !fault.Is(c.Check(), fault.InvalidParameter) {
			t.Errorf("%s is taken", c.ID)
		}
	}
}

func TestPaths(t *testing.T) {
	for path, want := range map[string]xks.Path{
		"/kms/xks/v1/health":                  {Operation: xks.GetHealthStatus},
		"/a/b_C-1/kms/xks/v1/health":          {Prefix: "/a/b_C-1", Operation: xks.GetHealthStatus},
		"/a/kms/xks/v1/keys/a.b_c-1/metadata": {Prefix: "/a", Key: "a.b_c-1", Operation: xks.GetKeyMetadata},
		"/a/kms/xks/v1/keys/a/encrypt":        {Prefix: "/a", Key: "a", Operation: xks.Encrypt},
		"/a/kms/xks/v1/keys/health/decrypt":   {Prefix: "/a", Key: "health", Operation: xks.Decrypt},
	} {
		if have, ok := xks.ParsePath(path); !ok || have != want || have.String() != path {
			t.Errorf("%s: %+v, %v", path, have, ok)
		}
	}
	for _, path := range []string{
		"", "/", "/kms/xks/v1", "/kms/xks/v1/", "/kms/xks/v1/health/", "a/kms/xks/v1/health", "//kms/xks/v1/health", "/a b/kms/xks/v1/health",
		"/a.b/kms/xks/v1/health", "/kms/xks/v1/keys//encrypt", "/kms/xks/v1/keys/../encrypt", "/kms/xks/v1/keys/a%2fb/encrypt", "/kms/xks/v1/keys/a/health",
		"/kms/xks/v1/keys/a/b/encrypt", "/kms/xks/v2/health", "/kms/xks/v1/kms/xks/v1/health", "/kms/xks/v1/keys/" + strings.Repeat("a", 129) + "/encrypt",
		"/" + strings.Repeat("a", 117) + "/kms/xks/v1/health",
	} {
		if have, ok := xks.ParsePath(path); ok {
			t.Errorf("%s is read as %+v", path, have)
		}
	}
}

// The example of appendix C of the specification.
func TestIntegrityValue(t *testing.T) {
	var r xks.EncryptResponse
	if err := json.Unmarshal([]byte(`{"authenticationTag": "vBxN2ncH1oEkR8WVXpmyYQ==", "ciphertext": "ghxkK1txeDNn3q8Y",
		"ciphertextDataIntegrityValue": "qHA/ImC9h5HsLRXqCyPmWgYx7tzyoTplzILbP0fPXsc=", "ciphertextMetadata": "a2V5X3ZlcnNpb249MQ==", "initializationVector": "HMrlRw85cAJUd5Ax"}`), &r); err != nil {
		t.Fatal(err)
	}
	data := []byte("project=nile,department=marketing")
	if err := r.Check(12, data); err != nil {
		t.Errorf("%v; the value is %s", err, base64.StdEncoding.EncodeToString(r.Integrity(data)))
	}
	for name, err := range map[string]error{"another size": r.Check(13, data), "other data": r.Check(12, data[1:])} {
		if err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for i, part := range []*[]byte{&r.Ciphertext, &r.CiphertextMetadata, &r.IV, &r.Tag, &r.CDIV} {
		(*part)[0] ^= 1
		if r.Check(12, data) == nil {
			t.Errorf("part %d was changed", i)
		}
		(*part)[0] ^= 1
	}
}

// An answer that does not have what it must have is refused.
func TestAnswersAreChecked(t *testing.T) {
	for text, good := range map[string]bool{
		`{"xksProxyFleetSize":1,"xksProxyVendor":"a","xksProxyModel":"b","ekmVendor":"c","ekmFleetDetails":[{"id":"1","model":"m","healthStatus":"ACTIVE"}]}`: true,
		`{"xksProxyFleetSize":0,"xksProxyVendor":"a","xksProxyModel":"b","ekmVendor":"c","ekmFleetDetails":[{"id":"1","model":"m","healthStatus":"ACTIVE"}]}`: false,
		`{"xksProxyFleetSize":1,"xksProxyVendor":"a","xksProxyModel":"b","ekmVendor":"c","ekmFleetDetails":[{"id":"1","model":"m","healthStatus":"FINE"}]}`:   false,
		`{"xksProxyFleetSize":1,"xksProxyVendor":"a","xksProxyModel":"b","ekmVendor":"c","ekmFleetDetails":[]}`:                                               false,
		`{}`: false,
	} {
		var r xks.HealthResponse
		if err := json.Unmarshal([]byte(text), &r); err != nil || (r.Check() == nil) != good {
			t.Errorf("%s: %v, %v", text, err, r.Check())
		}
	}
	for _, r := range []xks.MetadataResponse{
		{}, {Spec: "AES_128", Usage: []string{"ENCRYPT", "DECRYPT"}, Status: "ENABLED"}, {Spec: "AES_256", Usage: []string{"ENCRYPT"}, Status: "ENABLED"},
		{Spec: "AES_256", Usage: []string{"ENCRYPT", "DECRYPT"}, Status: "DISABLED"}, {Spec: "AES_256", Usage: []string{"ENCRYPT", "DECRYPT"}, Status: "OFF"},
		{Spec: "AES_256", Usage: append([]string{"ENCRYPT", "DECRYPT"}, make([]string, 9)...), Status: "ENABLED"},
	} {
		if r.Check() == nil {
			t.Errorf("%+v is taken", r)
		}
	}
}

func TestErrorMessagesAreASCII(t *testing.T) {
	e := xks.NewError(xks.InternalException, "密钥\n"+strings.Repeat("x", 600))
	if len(e.Message) != 511 || !strings.HasPrefix(e.Message, "???xxx") {
		t.Errorf("%d: %.20s", len(e.Message), e.Message)
	}
}

// Whatever stands in a request, nobody who has not the secret proves anything, and who has
// it is believed only for what was signed.
func FuzzReadClaim(f *testing.F) {
	r, at := curl()
	f.Add(r.Header["Authorization"][0], r.Header["X-Amz-Date"][0], r.Path, r.Host, r.Body)
	f.Fuzz(func(t *testing.T, authorization, date, path, host string, body []byte) {
		c, err := xks.ReadClaim(xks.Request{Host: host, Path: path, Body: body, Header: map[string][]string{
			"Authorization": {authorization}, "X-Amz-Date": {date}, "Content-Type": {"application/json"},
		}})
		if err != nil {
			return
		}
		if err := c.Prove(credential().Secret, at); err == nil && (path != r.Path || host != r.Host || !bytes.Equal(body, r.Body)) {
			t.Error("something that was not signed is believed")
		}
	})
}

func FuzzParsePath(f *testing.F) {
	f.Add("/a/kms/xks/v1/keys/foo/encrypt")
	f.Add("/kms/xks/v1/health")
	f.Fuzz(func(t *testing.T, path string) {
		if p, ok := xks.ParsePath(path); ok && p.String() != path {
			t.Errorf("%q is read as %q", path, p)
		}
	})
}

// Whatever a proxy answers is refused or is what it must be; nothing panics.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"ciphertext":"ghxk","initializationVector":"HMrlRw85cAJUd5Ax","authenticationTag":"vBxN2ncH1oEkR8WVXpmyYQ=="}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		var e xks.EncryptResponse
		if json.Unmarshal(answer, &e) == nil && e.Check(3, nil) == nil && (len(e.Ciphertext) != 3 || len(e.Tag) != 16) {
			t.Errorf("%s is taken", answer)
		}
		var h xks.HealthResponse
		if json.Unmarshal(answer, &h) == nil && h.Check() == nil && len(h.Fleet) == 0 {
			t.Errorf("%s is taken", answer)
		}
		var m xks.MetadataResponse
		if json.Unmarshal(answer, &m) == nil && m.Check() == nil && m.Status != xks.Enabled {
			t.Errorf("%s is taken", answer)
		}
	})
}
