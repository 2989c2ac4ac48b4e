package authn

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/fault"
)

// The headers of a signature.
const (
	headerDate  = "x-acs-date"
	headerNonce = "x-acs-signature-nonce"
	headerHash  = "x-acs-content-sha256" // of the body, by the scheme's own hash even if that is SM3
	headerToken = "x-acs-security-token"
	headerCode  = "x-acs-mfa-code"

	headerApproval = "x-acs-approval-id"
	headerReason   = "x-acs-approval-reason"
	headerAction   = "x-acs-action"
	headerVersion  = "x-acs-version"
)

// readACS reads an RPC request that is signed in the Authorization header. The
// signature covers the method, the query, the signed headers and the body.
func readACS(r Request) (claim, error) {
	form, err := r.form()
	if err != nil {
		return claim{}, err
	}
	a, err := readAuthorization(r)
	if err != nil {
		return claim{}, err
	}
	c, query, err := a.claim(r, "/")
	if err != nil {
		return claim{}, err
	}
	c.signed.Params = query
	if form != "" {
		if c.signed.Params, err = parseParams(r.RawQuery, form); err != nil {
			return claim{}, err
		}
	}
	if c.signed.Action, err = a.required(headerAction); err != nil {
		return claim{}, err
	}
	if c.signed.Version, err = a.required(headerVersion); err != nil {
		return claim{}, err
	}
	c.signed.Code, c.signed.Approval, c.signed.Reason = a.value(headerCode), a.value(headerApproval), a.value(headerReason)
	c.signed.Format = JSON
	if accept := r.Header["Accept"]; len(accept) == 1 && strings.Contains(accept[0], "xml") {
		c.signed.Format = XML
	}
	return c, c.checkSignedOnce()
}

// readREST reads a request to the native REST API. The signature covers the method,
// the path, the query, the signed headers and the body.
func readREST(r Request) (claim, error) {
	if r.Method == "" || strings.ContainsFunc(r.Method, func(c rune) bool { return c < 'A' || c > 'Z' }) {
		return claim{}, fault.MethodNotAllowed.New("the method must be in capital letters")
	}
	path, err := canonicalPath(r.Path)
	if err != nil {
		return claim{}, err
	}
	a, err := readAuthorization(r)
	if err != nil {
		return claim{}, err
	}
	if a.scheme != &acs3 {
		return claim{}, fault.IncompleteSignature.New("this API takes requests signed with %s only", acs3.name)
	}
	c, query, err := a.claim(r, path)
	if err != nil {
		return claim{}, err
	}
	c.signed.Params = query
	c.signed.Code, c.signed.Approval, c.signed.Reason = a.value(headerCode), a.value(headerApproval), a.value(headerReason)
	return c, c.checkSignedOnce()
}

// checkSignedOnce refuses parameters that would sign the request a second time, in the
// other way: a reader could take the wrong one of two identities, or of two actions.
func (c *claim) checkSignedOnce() error {
	for _, p := range c.signed.Params.sorted {
		if slices.Contains(rpcParams, p.name) {
			return fault.InvalidParameter.New("the parameter %s must not be there when the request is signed in the Authorization header", p.name)
		}
	}
	return c.checkSizes()
}

// An authorization is the Authorization header with the headers that it signs.
type authorization struct {
	scheme    *scheme
	accessKey string
	scope     []string
	list      string         // SignedHeaders as it came
	headers   []signedHeader // the same, one by one
	signature string
}

type signedHeader struct {
	name, value string
	found       bool
}

// readAuthorization reads exactly
//
//	SCHEME Credential=…,SignedHeaders=a;b;c,Signature=…
func readAuthorization(r Request) (authorization, error) {
	given := r.Header["Authorization"]
	if len(given) != 1 {
		return authorization{}, fault.IncompleteSignature.New("the request must have one Authorization header; sign it with %s", acs3.name)
	}
	name, rest, _ := strings.Cut(given[0], " ")
	a := authorization{scheme: acsSchemes[name]}
	if a.scheme == nil {
		return authorization{}, fault.IncompleteSignature.New("the scheme of the Authorization header is unknown; sign the request with %s", acs3.name)
	}
	credential, rest, ok1 := strings.Cut(rest, ",SignedHeaders=")
	credential, ok2 := strings.CutPrefix(credential, "Credential=")
	list, signature, ok3 := strings.Cut(rest, ",Signature=")
	if !ok1 || !ok2 || !ok3 || credential == "" || signature == "" {
		return authorization{}, fault.IncompleteSignature.New("the Authorization header must look like %s Credential=…,SignedHeaders=…,Signature=…", name)
	}
	a.accessKey, a.list, a.signature = credential, list, signature
	if a.scheme.scoped {
		parts := strings.Split(credential, "/")
		if len(parts) != 5 || parts[4] != "aliyun_v4_request" {
			return authorization{}, fault.IncompleteSignature.New("the credential must look like id/date/region/product/aliyun_v4_request")
		}
		a.accessKey, a.scope = parts[0], parts[1:]
	}
	return a, a.readHeaders(r)
}

// readHeaders collects the signed headers. A header that could mean something to the
// server but is not signed could have been added on the way, so it is refused.
func (a *authorization) readHeaders(r Request) error {
	count := strings.Count(a.list, ";") + 1
	if count > maxHeaders {
		return fault.IncompleteSignature.New("at most %d headers may be signed", maxHeaders)
	}
	a.headers = make([]signedHeader, 0, count)
	for name := range strings.SplitSeq(a.list, ";") {
		a.headers = append(a.headers, signedHeader{name: name})
	}
	for name, list := range r.Header {
		h := a.header(name)
		if h == nil {
			if strings.HasPrefix(name, "X-Acs-") || len(r.Body) > 0 && name == "Content-Type" {
				return fault.IncompleteSignature.New("the header %q must be signed", name)
			}
			continue
		}
		if len(list) != 1 || h.found {
			return fault.InvalidParameter.New("the header %s is given twice", h.name)
		}
		h.value, h.found = strings.Trim(list[0], " \t"), true
	}
	if h := a.header("Host"); h != nil && !h.found {
		h.value, h.found = r.Host, true
	}
	for _, h := range a.headers {
		if !h.found || strings.ToLower(h.name) != h.name {
			return fault.MissingParameter.New("SignedHeaders must name headers of the request in lower case, each once; %q is not one", h.name)
		}
		// A line break would let two different requests have the same canonical form.
		for i := range len(h.value) {
			if c := h.value[i]; c < ' ' || c == 0x7f {
				return fault.InvalidParameter.New("the header %s has a control character", h.name)
			}
		}
	}
	return nil
}

// header answers the first signed header of the name, in whatever case, or nil.
func (a *authorization) header(name string) *signedHeader {
	for i := range a.headers {
		if h := &a.headers[i]; len(h.name) == len(name) && strings.EqualFold(h.name, name) {
			return h
		}
	}
	return nil
}

// value answers the value of a signed header, by its name in lower case.
func (a *authorization) value(name string) string {
	for i := range a.headers {
		if h := &a.headers[i]; h.name == name {
			return h.value
		}
	}
	return ""
}

func (a *authorization) required(name string) (string, error) {
	if v := a.value(name); v != "" {
		return v, nil
	}
	return "", absent(name).New("the header %s is missing or not signed", name)
}

// absent answers what the lack of a header or parameter is.
func absent(name string) fault.Kind {
	if name == headerDate || name == paramTime {
		return fault.TimestampMissing
	}
	return fault.MissingParameter
}

// claim puts together what is signed. It answers the parameters of the query, too.
func (a *authorization) claim(r Request, path string) (claim, Params, error) {
	for _, name := range [...]string{"host", headerDate, headerNonce, headerHash} {
		if _, err := a.required(name); err != nil {
			return claim{}, Params{}, err
		}
	}
	c := claim{
		scheme:    a.scheme,
		accessKey: a.accessKey,
		scope:     a.scope,
		timestamp: a.value(headerDate),
		nonce:     a.value(headerNonce),
		token:     a.value(headerToken),
		signature: a.signature,
	}
	if day, _, _ := strings.Cut(c.timestamp, "T"); a.scheme.scoped && a.scope[0] != strings.ReplaceAll(day, "-", "") {
		return claim{}, Params{}, fault.IncompleteSignature.New("the credential must be for the day of %s", headerDate)
	}
	var hash [64]byte
	if a.scheme.appendSum(hash[:0], r.Body); a.value(headerHash) != string(hash[:]) {
		return claim{}, Params{}, fault.SignatureMismatch.New("the body does not have the hash that the header %s says", headerHash)
	}
	query, err := parseParams(r.RawQuery)
	if err != nil {
		return claim{}, Params{}, err
	}
	signed := signedRequest{method: r.Method, path: path, query: query, authorization: a}
	c.text = signed.text(a.scheme.scoped)
	if !a.scheme.scoped && query.hasEmpty() {
		c.other = signed.text(true)
	}
	return c, query, nil
}

// A signedRequest is what the signature in an Authorization header covers.
type signedRequest struct {
	method, path string
	query        Params
	*authorization
}

// usualCanonical is the size in bytes that few canonical requests exceed.
const usualCanonical = 2048

// text answers the text that is signed: the scheme's name and the hash of the canonical
// request. bareEmpty leaves out the equals sign of parameters that are empty.
func (r signedRequest) text(bareEmpty bool) []byte {
	var stack [usualCanonical]byte
	canonical := append(append(stack[:0], r.method...), '\n')
	canonical = append(append(canonical, r.path...), '\n')
	canonical = append(r.query.appendQuery(canonical, bareEmpty), '\n')
	for _, h := range r.headers {
		canonical = append(append(canonical, h.name...), ':')
		canonical = append(append(canonical, h.value...), '\n')
	}
	canonical = append(append(append(canonical, '\n'), r.list...), '\n')
	canonical = append(canonical, r.value(headerHash)...)
	text := append(append(make([]byte, 0, len(r.scheme.name)+1+64), r.scheme.name...), '\n')
	return r.scheme.appendSum(text, canonical)
}

// canonicalPath answers the path in the one spelling that signatures cover. It refuses
// what two readers could resolve differently: empty and dot segments, and a slash that
// is encoded.
func canonicalPath(path string) (string, error) {
	if path == "/" {
		return path, nil
	}
	rest, ok := strings.CutPrefix(path, "/")
	var canonical []byte
	for segment := range strings.SplitSeq(rest, "/") {
		decoded, err := url.PathUnescape(segment)
		if !ok || err != nil || !utf8.ValidString(decoded) || strings.Contains(decoded, "/") ||
			decoded == "" || decoded == "." || decoded == ".." {
			return "", fault.InvalidParameter.New("the path must consist of /segment, each percent-encoded UTF-8, none empty, . or .., and none with a slash in it")
		}
		canonical = appendEscaped(append(canonical, '/'), decoded)
	}
	return string(canonical), nil
}
