package awstest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// A refusal is how AWS says no.
type refusal struct {
	status        int
	code, message string
}

func refuse(status int, code, format string, args ...any) *refusal {
	return &refusal{status, code, fmt.Sprintf(format, args...)}
}

// operations are what is served, by action.
var operations = map[string]struct {
	service string
	do      func(*Cloud, *call) (string, *refusal)
}{
	"GetCallerIdentity":              {"sts", getCallerIdentity},
	"ListUsers":                      {"iam", listUsers},
	"ListAccessKeys":                 {"iam", listAccessKeys},
	"GetAccessKeyLastUsed":           {"iam", getAccessKeyLastUsed},
	"GetAccountAuthorizationDetails": {"iam", getAccountAuthorizationDetails},
	"GetAccountSummary":              {"iam", getAccountSummary},
	"GetAccountPasswordPolicy":       {"iam", getAccountPasswordPolicy},
	"GenerateCredentialReport":       {"iam", generateCredentialReport},
	"GetCredentialReport":            {"iam", getCredentialReport},
	"CreateAccessKey":                {"iam", createAccessKey},
	"UpdateAccessKey":                {"iam", updateAccessKey},
	"DeleteAccessKey":                {"iam", deleteAccessKey},
}

var namespaces = map[string]string{
	"iam": "https://iam.amazonaws.com/doc/2010-05-08/",
	"sts": "https://sts.amazonaws.com/doc/2011-06-15/",
}

var versions = map[string]string{"iam": "2010-05-08", "sts": "2011-06-15"}

// A call is a request that was understood.
type call struct {
	params url.Values
	key    *key
	now    time.Time
}

// who answers the user that a call is about: the named one, else the caller.
func (c *Cloud) who(in *call) (*user, *refusal) {
	name := in.params.Get("UserName")
	if name == "" {
		name = in.key.User
	}
	u, ok := c.users[name]
	if !ok || name == Root && in.key.User != Root {
		return nil, refuse(http.StatusNotFound, "NoSuchEntity", "The user with name %s cannot be found.", name)
	}
	return u, nil
}

// ServeHTTP implements http.Handler.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		panic(http.ErrAbortHandler) // the client broke off
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[""]++
	now := c.Now()
	id := fmt.Sprintf("00000000-0000-0000-0000-%012d", c.counts[""])
	w.Header().Set("Content-Type", "text/xml")
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	w.Header().Set("X-Amzn-Requestid", id)
	action, service, answer, no := c.serve(r, body, now)
	if no != nil {
		w.WriteHeader(no.status)
		kind := "Sender"
		if no.status >= 500 {
			kind = "Receiver"
		}
		_, _ = io.WriteString(w, tag("ErrorResponse", tag("Error", text("Type", kind), text("Code", no.code), text("Message", no.message)), text("RequestId", id)))
		return
	}
	if answer != "" {
		answer = tag(action+"Result", answer)
	}
	_, _ = fmt.Fprintf(w, `<%sResponse xmlns="%s">%s%s</%[1]sResponse>`, action, namespaces[service], answer, tag("ResponseMetadata", text("RequestId", id)))
}

func (c *Cloud) serve(r *http.Request, body []byte, now time.Time) (action, service, answer string, no *refusal) {
	params, err := url.ParseQuery(string(body))
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/" || r.URL.RawQuery != "" {
		return "", "", "", refuse(http.StatusBadRequest, "MalformedQueryString", "only forms that are posted to / are simulated")
	}
	action = params.Get("Action")
	op, ok := operations[action]
	if !ok || params.Get("Version") != versions[op.service] {
		return "", "", "", refuse(http.StatusBadRequest, "InvalidAction", "Could not find operation %s for version %s", action, params.Get("Version"))
	}
	k, no := c.verify(r, body, op.service, now)
	if no != nil {
		return "", "", "", no
	}
	if !c.take(now) {
		return "", "", "", refuse(http.StatusBadRequest, "Throttling", "Rate exceeded")
	}
	c.counts[action]++
	k.record(use{now, op.service, "us-east-1"})
	if right := op.service + ":" + action; op.service != "sts" && !c.allowed(k.User, right) {
		return "", "", "", refuse(http.StatusForbidden, "AccessDenied", "User: %s is not authorized to perform: %s because no identity-based policy allows the %s action", c.arn(k.User), right, right)
	}
	answer, no = op.do(c, &call{params, k, now})
	return action, op.service, answer, no
}

// take takes a token of the rate limit.
func (c *Cloud) take(now time.Time) bool {
	if c.Rate == 0 {
		return true
	}
	if c.tokensAt.IsZero() {
		c.tokens = c.Burst
	} else {
		c.tokens = min(c.Burst, c.tokens+now.Sub(c.tokensAt).Seconds()*c.Rate)
	}
	c.tokensAt = now
	if c.tokens < 1 {
		return false
	}
	c.tokens--
	return true
}

// verify checks the signature and answers the key that made it.
func (c *Cloud) verify(r *http.Request, body []byte, service string, now time.Time) (*key, *refusal) {
	parts, ok := authorization(r.Header.Get("Authorization"))
	scope := strings.Split(parts["Credential"], "/")
	if !ok || len(scope) != 5 || scope[3] != service || scope[4] != "aws4_request" {
		return nil, refuse(http.StatusForbidden, "IncompleteSignature", "Authorization header is not one of Signature Version 4 for %s", service)
	}
	k := c.keys[scope[0]]
	if k == nil || k.effective(now, c.Settle) != active {
		return nil, refuse(http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid.")
	}
	stamp := r.Header.Get("X-Amz-Date")
	at, err := time.Parse("20060102T150405Z", stamp)
	if err != nil || stamp[:8] != scope[1] {
		return nil, refuse(http.StatusForbidden, "IncompleteSignature", "X-Amz-Date and the credential's scope do not agree")
	}
	if at.Sub(now).Abs() > 5*time.Minute {
		return nil, refuse(http.StatusForbidden, "SignatureDoesNotMatch", "Signature expired: %s is not within 5 min of %s", stamp, now.UTC().Format("20060102T150405Z"))
	}
	names := strings.Split(parts["SignedHeaders"], ";")
	for _, needed := range []string{"host", "x-amz-date"} {
		if !slices.Contains(names, needed) || !slices.IsSorted(names) {
			return nil, refuse(http.StatusForbidden, "IncompleteSignature", "%s must be signed, and the headers sorted", needed)
		}
	}
	sum := sha256.Sum256(body)
	canonical := strings.Join([]string{r.Method, "/", "", canonicalHeaders(r, names), parts["SignedHeaders"], hex.EncodeToString(sum[:])}, "\n")
	sum = sha256.Sum256([]byte(canonical))
	secret := []byte("AWS4" + k.secret)
	for _, part := range scope[1:] {
		secret = sign(secret, part)
	}
	want := sign(secret, "AWS4-HMAC-SHA256\n"+stamp+"\n"+strings.Join(scope[1:], "/")+"\n"+hex.EncodeToString(sum[:]))
	if got, err := hex.DecodeString(parts["Signature"]); err != nil || !hmac.Equal(got, want) {
		// AWS says what it made of the request, headers and all; whoever logs that, logs a token.
		return nil, refuse(http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match. The Canonical String for this request should have been\n%s", canonical)
	}
	return k, nil
}

func authorization(header string) (map[string]string, bool) {
	list, ok := strings.CutPrefix(header, "AWS4-HMAC-SHA256 ")
	parts := map[string]string{}
	for item := range strings.SplitSeq(list, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(item), "=")
		parts[name] = value
	}
	return parts, ok
}

func canonicalHeaders(r *http.Request, names []string) string {
	var b strings.Builder
	for _, name := range names {
		value := strings.Join(strings.Fields(strings.Join(r.Header.Values(name), ",")), " ")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		b.WriteString(name + ":" + value + "\n")
	}
	return b.String()
}

func sign(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// allowed asks the policies of a user and of the user's groups; a deny wins. Resources and
// conditions are not looked at.
func (c *Cloud) allowed(name, right string) bool {
	if name == Root {
		return true
	}
	u := c.users[name]
	if u == nil {
		return false
	}
	documents := c.documents(u.Inline, u.Attached)
	for _, g := range u.Groups {
		documents = append(documents, c.documents(c.groups[g].Inline, c.groups[g].Attached)...)
	}
	allowed := false
	for _, text := range documents {
		var d struct {
			Statement []struct {
				Effect string
				Action any
			}
		}
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			panic("a policy of the simulated account is none: " + err.Error())
		}
		for _, s := range d.Statement {
			actions, ok := s.Action.([]any)
			if !ok {
				actions = []any{s.Action}
			}
			if !slices.ContainsFunc(actions, func(a any) bool { return matches(fmt.Sprint(a), right) }) {
				continue
			}
			if s.Effect == "Deny" {
				return false
			}
			allowed = true
		}
	}
	return allowed
}

func matches(pattern, right string) bool {
	ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(right)) // no right has a slash
	return err == nil && ok
}

func (c *Cloud) documents(inline map[string]string, attached []string) []string {
	var out []string
	for _, d := range inline {
		out = append(out, d)
	}
	for _, arn := range attached {
		if d, ok := c.policies[arn]; ok {
			out = append(out, d)
		}
	}
	return out
}

// tag writes an element.
func tag(name string, inner ...string) string {
	return "<" + name + ">" + strings.Join(inner, "") + "</" + name + ">"
}

// text writes an element with a text.
func text(name, value string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(value)) // a Builder never fails
	return tag(name, b.String())
}
