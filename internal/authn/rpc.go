package authn

import (
	"strings"

	"github.com/keyward/keyward/internal/fault"
)

// paramTime has the time of a request.
const paramTime = "Timestamp"

// rpcParams are the parameters of RPC 1.0 that belong to the call and not to the operation.
var rpcParams = []string{
	"AccessKeyId", "Action", "Format", "SecurityToken", "Signature", "SignatureMethod",
	"SignatureNonce", "SignatureType", "SignatureVersion", paramTime, "Version",
}

// readRPC reads a request of RPC 1.0, where everything that identifies the sender is
// among the parameters. The signature covers the method and all parameters, whether
// they come in the query or in a form, but neither the host nor any header.
func readRPC(r Request) (claim, error) {
	form, err := r.form()
	if err != nil {
		return claim{}, err
	}
	params, err := parseParams(r.RawQuery, form)
	if err != nil {
		return claim{}, err
	}
	c := claim{scheme: &rpc10}
	var method, version string
	for _, required := range []struct {
		name string
		into *string
	}{
		{"AccessKeyId", &c.accessKey}, {"Signature", &c.signature},
		{"SignatureMethod", &method}, {"SignatureVersion", &version},
		{"SignatureNonce", &c.nonce}, {paramTime, &c.timestamp},
		{"Action", &c.signed.Action}, {"Version", &c.signed.Version},
	} {
		if *required.into, _ = params.Value(required.name); *required.into == "" {
			return claim{}, absent(required.name).New("the parameter %s is missing; every request must be signed", required.name)
		}
	}
	kind, _ := params.Value("SignatureType")
	if method != rpc10.name || version != "1.0" || kind != "" {
		return claim{}, fault.IncompleteSignature.New("the parameters must be SignatureMethod=HMAC-SHA1, SignatureVersion=1.0 and no SignatureType")
	}
	format, _ := params.Value("Format")
	if c.signed.Format, err = parseFormat(format); err != nil {
		return claim{}, err
	}
	c.token, _ = params.Value("SecurityToken")
	query := params.without([]string{"Signature"}).appendQuery(nil, false)
	c.text = appendEscaped([]byte(r.Method+"&%2F&"), query)
	c.signed.Params = params.without(rpcParams)
	return c, c.checkSizes()
}

// form checks what every RPC request has in common and answers its form, empty without
// a body. Any other body is refused, because nothing would read it.
func (r Request) form() (string, error) {
	if r.Method != "GET" && r.Method != "POST" {
		return "", fault.MethodNotAllowed.New("the method must be GET or POST")
	}
	if r.Path != "/" {
		return "", fault.InvalidParameter.New("the path must be /")
	}
	if len(r.Body) == 0 {
		return "", nil
	}
	types := r.Header["Content-Type"]
	if len(types) == 1 {
		mediaType, _, _ := strings.Cut(types[0], ";")
		if strings.EqualFold(strings.TrimSpace(mediaType), "application/x-www-form-urlencoded") {
			return string(r.Body), nil
		}
	}
	return "", fault.InvalidParameter.New("a body must be a form; send it with Content-Type: application/x-www-form-urlencoded")
}

func parseFormat(s string) (Format, error) {
	switch {
	case s == "" || strings.EqualFold(s, string(JSON)):
		return JSON, nil
	case strings.EqualFold(s, string(XML)):
		return XML, nil
	}
	return "", fault.InvalidParameter.New("the parameter Format must be JSON or XML")
}

func (c *claim) checkSizes() error {
	if len(c.accessKey) > maxKeyID {
		return fault.IncompleteSignature.New("an access key id has at most %d bytes", maxKeyID)
	}
	if len(c.nonce) > maxNonce {
		return fault.InvalidParameter.New("a nonce has at most %d bytes", maxNonce)
	}
	return nil
}
