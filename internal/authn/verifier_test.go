package authn_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/authn"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// The published example of ACS3, verified.
func TestPublishedExampleVerifies(t *testing.T) {
	r := authn.Request{
		Method: "POST", Host: "ecs.cn-shanghai.aliyuncs.com", Path: "/",
		RawQuery: "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai",
		Header: map[string][]string{
			"X-Acs-Action":          {"RunInstances"},
			"X-Acs-Content-Sha256":  {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
			"X-Acs-Date":            {"2023-10-26T10:22:32Z"},
			"X-Acs-Signature-Nonce": {"3156853299f313e23d1673dc12e1703d"},
			"X-Acs-Version":         {"2014-05-26"},
			"Authorization": {"ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;" +
				"x-acs-date;x-acs-signature-nonce;x-acs-version,Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"},
		},
	}
	v := authn.Verifier{
		Now: func() time.Time { return time.Date(2023, 10, 26, 10, 30, 0, 0, time.UTC) },
		Lookup: func(context.Context, string, string) (authn.Credential, error) {
			return authn.Credential{Secret: material.NewBytes([]byte("YourAccessKeySecret"))}, nil
		},
	}
	s, err := v.Verify(t.Context(), served(r))
	if err != nil {
		t.Fatal(err)
	}
	if s.Action != "RunInstances" || s.Version != "2014-05-26" || s.Principal.AccessKey != "YourAccessKeyId" || s.Params.Len() != 2 {
		t.Errorf("answered %+v", s)
	}
}

func unsigned() authn.Request {
	return authn.Request{Method: "POST", Host: "127.0.0.1:7420", Path: "/", RawQuery: "KeyId=k", Header: map[string][]string{}}
}

func form(body string) authn.Request {
	r := unsigned()
	r.Header["Content-Type"] = []string{"application/x-www-form-urlencoded"}
	r.Body = []byte(body)
	return r
}

// with changes a request after it was signed.
func with(r authn.Request, change func(*authn.Request)) authn.Request {
	change(&r)
	return r
}

func many(n int) string { return strings.Repeat("a=1&", n) }

func distinct(n int) string {
	var pairs []string
	for i := range n {
		pairs = append(pairs, fmt.Sprintf("p%d=", i))
	}
	return strings.Join(pairs, "&")
}

func TestRefusals(t *testing.T) {
	const acs3 = "ACS3-HMAC-SHA256"
	s := testSigner
	rpc := func(common map[string]string) authn.Request { return s.rpc(unsigned(), common) }
	acs := func(extra map[string]string) authn.Request {
		all := map[string]string{"x-acs-action": "Encrypt", "x-acs-version": "2016-01-20"}
		for name, value := range extra {
			all[name] = value
		}
		return s.acs(unsigned(), acs3, all)
	}
	query := func(q string) authn.Request { return with(unsigned(), func(r *authn.Request) { r.RawQuery = q }) }
	header := func(name string, values ...string) func(*authn.Request) {
		return func(r *authn.Request) { r.Header[name] = values }
	}
	authorization := func(edit func(string) string) authn.Request {
		return with(acs(nil), func(r *authn.Request) { r.Header["Authorization"] = []string{edit(r.Header["Authorization"][0])} })
	}
	for name, test := range map[string]struct {
		request authn.Request
		want    fault.Kind
	}{
		"rpc":                         {rpc(nil), ""},
		"acs":                         {acs(nil), ""},
		"rpc, unknown key":            {rpc(map[string]string{"AccessKeyId": "other"}), fault.AccessKeyNotFound},
		"acs, empty value":            {s.acs(query("KeyId=a&Plaintext="), acs3, rpcAction), ""},
		"acs, bare empty value":       {signer{s.id, s.secret, s.nonce, s.at, true}.acs(query("KeyId=a&Plaintext="), acs3, rpcAction), ""},
		"acs, bare and wrong":         {signer{s.id, "x", s.nonce, s.at, true}.acs(query("KeyId=a&Plaintext="), acs3, rpcAction), fault.SignatureMismatch},
		"acs, unknown key":            {signer{"other", s.secret, s.nonce, s.at, false}.acs(unsigned(), acs3, rpcAction), fault.AccessKeyNotFound},
		"rpc, wrong secret":           {signer{s.id, "x", s.nonce, s.at, false}.rpc(unsigned(), nil), fault.SignatureMismatch},
		"acs, wrong secret":           {signer{s.id, "x", s.nonce, s.at, false}.acs(unsigned(), acs3, rpcAction), fault.SignatureMismatch},
		"rpc, no nonce":               {rpc(map[string]string{"SignatureNonce": "(none)"}), fault.MissingParameter},
		"rpc, empty nonce":            {rpc(map[string]string{"SignatureNonce": ""}), fault.MissingParameter},
		"acs, no nonce":               {acs(map[string]string{"x-acs-signature-nonce": "(none)"}), fault.MissingParameter},
		"acs, empty nonce":            {acs(map[string]string{"x-acs-signature-nonce": ""}), fault.MissingParameter},
		"rpc, nonce of 128":           {rpc(map[string]string{"SignatureNonce": strings.Repeat("n", 128)}), ""},
		"rpc, nonce of 129":           {rpc(map[string]string{"SignatureNonce": strings.Repeat("n", 129)}), fault.InvalidParameter},
		"acs, nonce of 129":           {acs(map[string]string{"x-acs-signature-nonce": strings.Repeat("n", 129)}), fault.InvalidParameter},
		"rpc, long key id":            {rpc(map[string]string{"AccessKeyId": strings.Repeat("a", 129)}), fault.IncompleteSignature},
		"rpc, no time":                {rpc(map[string]string{"Timestamp": "(none)"}), fault.TimestampMissing},
		"acs, no time":                {acs(map[string]string{"x-acs-date": "(none)"}), fault.TimestampMissing},
		"rpc, local time":             {rpc(map[string]string{"Timestamp": "2026-11-21 19:54:11"}), fault.TimestampInvalid},
		"rpc, fraction of a second":   {rpc(map[string]string{"Timestamp": "2026-11-21T19:54:11.5Z"}), fault.TimestampInvalid},
		"acs, time with a zone":       {acs(map[string]string{"x-acs-date": "2026-11-21T19:54:11+00:00"}), fault.TimestampInvalid},
		"rpc, no action":              {rpc(map[string]string{"Action": "(none)"}), fault.MissingParameter},
		"acs, no action":              {acs(map[string]string{"x-acs-action": "(none)"}), fault.MissingParameter},
		"acs, no version":             {acs(map[string]string{"x-acs-version": "(none)"}), fault.MissingParameter},
		"acs, host not signed":        {acs(map[string]string{"host": "(none)"}), fault.MissingParameter},
		"acs, no hash":                {acs(map[string]string{"x-acs-content-sha256": "(none)"}), fault.MissingParameter},
		"acs, hash of something else": {acs(map[string]string{"x-acs-content-sha256": strings.Repeat("0", 64)}), fault.SignatureMismatch},
		"acs, line break in a header": {acs(map[string]string{"x-acs-more": "a\nb"}), fault.InvalidParameter},
		"rpc, other method":           {rpc(map[string]string{"SignatureMethod": "HMAC-SHA256"}), fault.IncompleteSignature},
		"rpc, other version":          {rpc(map[string]string{"SignatureVersion": "2.0"}), fault.IncompleteSignature},
		"rpc, bearer":                 {rpc(map[string]string{"SignatureType": "BEARERTOKEN"}), fault.IncompleteSignature},
		"rpc, empty signature type":   {rpc(map[string]string{"SignatureType": ""}), ""},
		"rpc, other format":           {rpc(map[string]string{"Format": "yaml"}), fault.InvalidParameter},
		"rpc, token":                  {rpc(map[string]string{"SecurityToken": "t"}), fault.SecurityTokenInvalid},
		"acs, token":                  {acs(map[string]string{"x-acs-security-token": "t"}), fault.SecurityTokenInvalid},
		"unsigned":                    {unsigned(), fault.MissingParameter},

		"twice in the query":         {s.acs(query("a=1&a=1"), acs3, rpcAction), fault.InvalidParameter},
		"twice in other spelling":    {s.acs(query("a=1&%61=2"), acs3, rpcAction), fault.InvalidParameter},
		"in query and form":          {s.acs(form("KeyId=k"), acs3, rpcAction), fault.InvalidParameter},
		"rpc, in query and form":     {s.rpc(form("KeyId=k"), nil), fault.InvalidParameter},
		"rpc, signed in both":        {s.rpc(form("AccessKeyId=testak"), nil), fault.InvalidParameter},
		"no name":                    {s.acs(query("=1"), acs3, rpcAction), fault.InvalidParameter},
		"nothing between ampersands": {with(acs(nil), func(r *authn.Request) { r.RawQuery += "&" }), fault.InvalidParameter},
		"bad percent encoding":       {with(acs(nil), func(r *authn.Request) { r.RawQuery = "a=%zz" }), fault.InvalidParameter},
		"bad UTF-8":                  {with(acs(nil), func(r *authn.Request) { r.RawQuery = "a=%ff" }), fault.InvalidParameter},
		"bad UTF-8, not encoded":     {with(acs(nil), func(r *authn.Request) { r.RawQuery = "a=\xff" }), fault.InvalidParameter},
		"128 parameters":             {s.acs(query(distinct(128)), acs3, rpcAction), ""},
		"129 parameters":             {s.acs(query(distinct(129)), acs3, rpcAction), fault.InvalidParameter},
		"10,000 parameters":          {with(acs(nil), func(r *authn.Request) { r.RawQuery = many(10000) }), fault.InvalidParameter},
		"signed in two ways":         {s.acs(rpc(nil), acs3, rpcAction), fault.InvalidParameter},
		"signature beside a header":  {s.acs(query("Signature=x"), acs3, rpcAction), fault.InvalidParameter},
		"action beside a header":     {s.acs(query("Action=DeleteKey"), acs3, rpcAction), fault.InvalidParameter},
		"signature in the form":      {s.acs(form("SignatureNonce=x"), acs3, rpcAction), fault.InvalidParameter},

		"header that is not signed": {with(acs(nil), header("X-Acs-Trace", "x")), fault.IncompleteSignature},
		"signed header twice":       {with(acs(nil), header("X-ACS-Date", s.timestamp())), fault.InvalidParameter},
		"signed header, two values": {with(acs(nil), header("x-acs-date", s.timestamp(), s.timestamp())), fault.InvalidParameter},
		"signed header, no value":   {with(acs(nil), header("x-acs-date")), fault.InvalidParameter},
		"a second host":             {with(acs(nil), header("Host", "elsewhere")), fault.SignatureMismatch},
		"form of no type":           {with(s.rpc(form("a=1"), nil), func(r *authn.Request) { delete(r.Header, "Content-Type") }), fault.InvalidParameter},
		"form of two types":         {with(s.rpc(form("a=1"), nil), header("Content-Type", "application/x-www-form-urlencoded", "text/plain")), fault.InvalidParameter},
		"type that is not signed": {with(acs(nil), func(r *authn.Request) {
			r.Body = []byte("a=1")
			r.Header["Content-Type"] = form("").Header["Content-Type"]
		}), fault.IncompleteSignature},
		"JSON body":              {s.acs(with(form("{}"), header("Content-Type", "application/json")), acs3, rpcAction), fault.InvalidParameter},
		"other HTTP method":      {with(rpc(nil), func(r *authn.Request) { r.Method = "PUT" }), fault.MethodNotAllowed},
		"other path":             {with(rpc(nil), func(r *authn.Request) { r.Path = "/v1" }), fault.InvalidParameter},
		"empty authorization":    {with(acs(nil), header("Authorization", "")), fault.IncompleteSignature},
		"two authorizations":     {with(acs(nil), header("authorization", "ACS3-HMAC-SHA256 x")), fault.IncompleteSignature},
		"basic authorization":    {with(rpc(nil), header("Authorization", "Basic dTpw")), fault.IncompleteSignature},
		"RSA":                    {authorization(func(a string) string { return strings.Replace(a, "HMAC", "RSA", 1) }), fault.IncompleteSignature},
		"no credential":          {authorization(func(a string) string { return strings.Replace(a, "Credential=testak,", "Credential=,", 1) }), fault.IncompleteSignature},
		"no signature":           {authorization(func(a string) string { return a[:strings.Index(a, "Signature=")+len("Signature=")] }), fault.IncompleteSignature},
		"parts in another order": {authorization(func(a string) string { return strings.Replace(a, "Credential=testak,", "", 1) + ",Credential=testak" }), fault.IncompleteSignature},
		"signature in capitals": {authorization(func(a string) string {
			i := strings.Index(a, ",Signature=") + 11
			return a[:i] + strings.ToUpper(a[i:])
		}), fault.SignatureMismatch},
		"signed name in capitals": {authorization(func(a string) string { return strings.Replace(a, "x-acs-date", "X-Acs-Date", 1) }), fault.MissingParameter},
		"other name in capitals":  {acs(map[string]string{"X-Acs-More": "x"}), fault.MissingParameter},
		"name signed twice":       {authorization(func(a string) string { return strings.Replace(a, "host;", "host;host;", 1) }), fault.MissingParameter},
		"name of no header":       {authorization(func(a string) string { return strings.Replace(a, "host;", "host;range;", 1) }), fault.MissingParameter},
		"too many names":          {authorization(func(a string) string { return strings.Replace(a, "host;", strings.Repeat("host;", 65), 1) }), fault.IncompleteSignature},
		"ACS4 without a scope":    {authorization(func(a string) string { return strings.Replace(a, "ACS3", "ACS4", 1) }), fault.IncompleteSignature},
		"ACS4 for another day": {with(s.acs(unsigned(), "ACS4-HMAC-SHA256", rpcAction), func(r *authn.Request) {
			r.Header["Authorization"][0] = strings.Replace(r.Header["Authorization"][0], "/20261121/", "/20261120/", 1)
		}), fault.IncompleteSignature},
		"ACS4 with another ending": {with(s.acs(unsigned(), "ACS4-HMAC-SHA256", rpcAction), func(r *authn.Request) {
			r.Header["Authorization"][0] = strings.Replace(r.Header["Authorization"][0], "aliyun_v4_request", "x", 1)
		}), fault.IncompleteSignature},
	} {
		_, err := verifier(s.at, "").Verify(t.Context(), served(test.request))
		if fault.KindOf(err) != test.want {
			t.Errorf("%s: answered %v, want %q", name, err, test.want)
		}
	}
}

func TestRESTRefusals(t *testing.T) {
	s := testSigner
	rest := func(path string) authn.Request {
		return s.acs(with(unsigned(), func(r *authn.Request) { r.Path = path }), "ACS3-HMAC-SHA256", nil)
	}
	jsonBody := func() authn.Request {
		return with(unsigned(), func(r *authn.Request) {
			r.Path, r.Body, r.Header = "/v1/users", []byte("{}"), map[string][]string{"Content-Type": {"application/json"}}
		})
	}
	for name, test := range map[string]struct {
		request authn.Request
		want    fault.Kind
	}{
		"valid":               {rest("/v1/users"), ""},
		"root":                {rest("/"), ""},
		"encoded segment":     {rest("/v1/users/a%40b"), ""},
		"the same, decoded":   {with(rest("/v1/users/a%40b"), func(r *authn.Request) { r.Path = "/v1/users/a@b" }), ""},
		"body":                {s.acs(jsonBody(), "ACS3-HMAC-SHA256", nil), ""},
		"another body":        {with(s.acs(jsonBody(), "ACS3-HMAC-SHA256", nil), func(r *authn.Request) { r.Body = []byte("[]") }), fault.SignatureMismatch},
		"another path":        {with(rest("/v1/users"), func(r *authn.Request) { r.Path = "/v1/policies" }), fault.SignatureMismatch},
		"no slash":            {with(rest("/v1"), func(r *authn.Request) { r.Path = "v1" }), fault.InvalidParameter},
		"empty segment":       {rest("/v1//users"), fault.InvalidParameter},
		"slash at the end":    {rest("/v1/users/"), fault.InvalidParameter},
		"dot":                 {rest("/v1/./users"), fault.InvalidParameter},
		"dot dot":             {rest("/v1/../users"), fault.InvalidParameter},
		"encoded dot dot":     {rest("/v1/%2e%2E/users"), fault.InvalidParameter},
		"encoded slash":       {rest("/v1/users%2Fa"), fault.InvalidParameter},
		"bad encoding":        {with(rest("/v1/users"), func(r *authn.Request) { r.Path = "/v1/%zz" }), fault.InvalidParameter},
		"bad UTF-8":           {with(rest("/v1/users"), func(r *authn.Request) { r.Path = "/v1/%ff" }), fault.InvalidParameter},
		"unsigned":            {unsigned(), fault.IncompleteSignature},
		"RPC 1.0":             {s.rpc(unsigned(), nil), fault.IncompleteSignature},
		"SM3":                 {s.acs(unsigned(), "ACS3-HMAC-SM3", nil), fault.IncompleteSignature},
		"ACS4":                {s.acs(unsigned(), "ACS4-HMAC-SHA256", nil), fault.IncompleteSignature},
		"RPC parameters, too": {s.acs(s.rpc(unsigned(), nil), "ACS3-HMAC-SHA256", nil), fault.InvalidParameter},
		"method":              {with(rest("/v1/users"), func(r *authn.Request) { r.Method = "GET\n/v1" }), fault.MethodNotAllowed},
		"no method":           {with(rest("/v1/users"), func(r *authn.Request) { r.Method = "" }), fault.MethodNotAllowed},
	} {
		_, err := verifier(s.at, "").VerifyREST(t.Context(), served(test.request))
		if fault.KindOf(err) != test.want {
			t.Errorf("%s: answered %v, want %q", name, err, test.want)
		}
	}
}

func TestSkew(t *testing.T) {
	s := testSigner
	for difference, want := range map[time.Duration]fault.Kind{
		0:                                "",
		authn.MaxSkew:                    "",
		-authn.MaxSkew:                   "",
		authn.MaxSkew + time.Nanosecond:  fault.TimestampExpired,
		-authn.MaxSkew - time.Nanosecond: fault.TimestampExpired,
		10 * 365 * 24 * time.Hour:        fault.TimestampExpired,
		-1000000 * time.Hour:             fault.TimestampExpired,
	} {
		for name, r := range map[string]authn.Request{"rpc": s.rpc(unsigned(), nil), "acs": s.acs(unsigned(), "ACS3-HMAC-SHA256", rpcAction)} {
			if _, err := verifier(s.at.Add(difference), "").Verify(t.Context(), served(r)); fault.KindOf(err) != want {
				t.Errorf("%s, %v later: %v", name, difference, err)
			}
		}
	}
}

// TestOrderOfChecks holds that nothing about an access key can be learnt without its secret.
func TestOrderOfChecks(t *testing.T) {
	inactive := fault.AccessKeyInactive.New("the access key is disabled")
	broken := errors.New("opening the database: gone")
	s := testSigner
	forger := signer{s.id, "x", s.nonce, s.at, false}
	for name, test := range map[string]struct {
		now        time.Time
		credential authn.Credential
		lookup     error
		request    authn.Request
		want       error
		asked      bool
	}{
		"expired, no lookup":    {s.at.Add(time.Hour), authn.Credential{}, nil, s.rpc(unsigned(), nil), fault.TimestampExpired.New(""), false},
		"malformed, no lookup":  {s.at, authn.Credential{}, nil, unsigned(), fault.MissingParameter.New(""), false},
		"store broken":          {s.at, authn.Credential{}, broken, s.rpc(unsigned(), nil), broken, true},
		"inactive and genuine":  {s.at, authn.Credential{Secret: material.NewBytes([]byte("testsk")), Refusal: inactive}, nil, s.rpc(unsigned(), nil), inactive, true},
		"inactive and forged":   {s.at, authn.Credential{Secret: material.NewBytes([]byte("testsk")), Refusal: inactive}, nil, forger.rpc(unsigned(), nil), fault.SignatureMismatch.New(""), true},
		"token and forged":      {s.at, authn.Credential{Secret: material.NewBytes([]byte("testsk"))}, nil, forger.rpc(unsigned(), map[string]string{"SecurityToken": "t"}), fault.SignatureMismatch.New(""), true},
		"empty secret":          {s.at, authn.Credential{}, nil, signer{s.id, "", s.nonce, s.at, false}.rpc(unsigned(), nil), fault.SignatureMismatch.New(""), true},
		"unknown, empty secret": {s.at, authn.Credential{}, fault.AccessKeyNotFound.New(""), signer{s.id, "", s.nonce, s.at, false}.rpc(unsigned(), nil), fault.AccessKeyNotFound.New(""), true},
	} {
		asked := false
		v := authn.Verifier{
			Now: func() time.Time { return test.now },
			Lookup: func(context.Context, string, string) (authn.Credential, error) {
				asked = true
				return test.credential, test.lookup
			},
		}
		got, err := v.Verify(t.Context(), served(test.request))
		if fault.KindOf(err) != fault.KindOf(test.want) || asked != test.asked {
			t.Errorf("%s: answered %v, asked %v", name, err, asked)
		}
		if errors.Is(test.want, broken) && !errors.Is(err, broken) || got.Principal.AccessKey != "" || got.Params.Len() != 0 {
			t.Errorf("%s: answered %v and %v", name, got, err)
		}
	}
}

func TestFormats(t *testing.T) {
	s := testSigner
	accept := func(values ...string) authn.Request {
		return with(s.acs(unsigned(), "ACS3-HMAC-SHA256", rpcAction), func(r *authn.Request) { r.Header["Accept"] = values })
	}
	format := func(f string) authn.Request { return s.rpc(unsigned(), map[string]string{"Format": f}) }
	for name, test := range map[string]struct {
		request authn.Request
		want    authn.Format
	}{
		"rpc":          {s.rpc(unsigned(), nil), authn.JSON},
		"rpc json":     {format("json"), authn.JSON},
		"rpc JSON":     {format("JSON"), authn.JSON},
		"rpc xml":      {format("xml"), authn.XML},
		"rpc Xml":      {format("Xml"), authn.XML},
		"rpc empty":    {format(""), authn.JSON},
		"acs":          {s.acs(unsigned(), "ACS3-HMAC-SHA256", rpcAction), authn.JSON},
		"acs json":     {accept("application/json"), authn.JSON},
		"acs anything": {accept("*/*"), authn.JSON},
		"acs xml":      {accept("application/xml"), authn.XML},
		"acs text/xml": {accept("text/xml; q=1"), authn.XML},
		"acs several":  {accept("application/json", "application/xml"), authn.JSON},
	} {
		got, err := verifier(s.at, "").Verify(t.Context(), served(test.request))
		if err != nil || got.Format != test.want {
			t.Errorf("%s: answered %q, %v", name, got.Format, err)
		}
	}
}

func TestNonceBelongsToItsKey(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range []signer{{"a", "s", "n", testSigner.at, false}, {"b", "s", "n", testSigner.at, false}, {"a", "s", "m", testSigner.at, false}} {
		for _, r := range []authn.Request{s.rpc(unsigned(), nil), s.acs(unsigned(), "ACS3-HMAC-SHA256", rpcAction)} {
			v := authn.Verifier{Now: func() time.Time { return s.at }, Lookup: func(context.Context, string, string) (authn.Credential, error) {
				return authn.Credential{Secret: material.NewBytes([]byte("s"))}, nil
			}}
			got, err := v.Verify(t.Context(), served(r))
			if err != nil || len(got.Nonce) != 16 {
				t.Fatalf("answered %x, %v", got.Nonce, err)
			}
			seen[string(got.Nonce)] = true
		}
	}
	if len(seen) != 3 { // the same for both schemes
		t.Errorf("there are %d different nonces", len(seen))
	}
}

func TestNothingPrintsParameters(t *testing.T) {
	const canary = "CANARY"
	s := testSigner
	for _, r := range []authn.Request{
		s.rpc(with(unsigned(), func(r *authn.Request) { r.RawQuery = "Plaintext=" + canary }), nil),
		s.acs(form("Plaintext="+canary), "ACS3-HMAC-SHA256", rpcAction),
	} {
		got, err := verifier(s.at, "").Verify(t.Context(), served(r))
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		texts := []string{string(encoded), fmt.Sprintf("%v %+v %#v %s", got, got, got, got.Params)}
		for _, broken := range []authn.Request{
			with(r, func(r *authn.Request) { r.Method = "GET" }),
			with(r, func(r *authn.Request) { r.RawQuery += "&Plaintext=" + canary }),
			with(r, func(r *authn.Request) { r.RawQuery += "&x=" + canary + "%zz" }),
		} {
			_, err := verifier(s.at, "").Verify(t.Context(), served(broken))
			if err == nil {
				t.Fatal("a broken request verifies")
			}
			texts = append(texts, err.Error())
		}
		if i := slices.IndexFunc(texts, func(s string) bool { return strings.Contains(s, canary) }); i >= 0 {
			t.Errorf("the parameter is printed: %s", texts[i])
		}
	}
}
