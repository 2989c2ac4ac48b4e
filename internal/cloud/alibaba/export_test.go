package alibaba

import (
	"net/http"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/rotation"
)

// OpenIssuer opens an issuer whose requests go over a transport of the test.
func OpenIssuer(o accesskey.Opening, principal string, via http.RoundTripper) (rotation.Issuer, error) {
	return openIssuer(o, principal, &http.Client{Transport: via})
}
