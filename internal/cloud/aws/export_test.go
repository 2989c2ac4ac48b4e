package aws

import (
	"net/http"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/rotation"
)

// OpenWith opens a provider whose requests go through a client of the test.
func OpenWith(in accesskey.Opening, via *http.Client) (accesskey.Provider, error) {
	return open(in, via)
}

// OpenIssuer opens an issuer whose requests go over a transport of the test.
func OpenIssuer(in accesskey.Opening, principal string, via http.RoundTripper) (rotation.Issuer, error) {
	return openIssuer(in, principal, &http.Client{Transport: via})
}

// ParseReport reads a report and answers how many rows it has.
func ParseReport(content []byte) (int, error) {
	rows, err := parseReport(content)
	return len(rows), err
}

// Decode decodes an answer of ListAccessKeys and answers the keys' ids.
func Decode(content []byte) ([]string, error) {
	var out keysXML
	if err := decode(content, "ListAccessKeys", &out); err != nil {
		return nil, err
	}
	var ids []string
	for _, k := range out.Keys.all() {
		ids = append(ids, k.ID)
	}
	return ids, nil
}

// Breadth reads a policy's document.
func Breadth(encoded string) (admin bool, wide []string, err error) {
	b, err := breadthOf(encoded)
	return b.admin, b.wide, err
}

// Clean cleans a text.
func Clean(s string, n int) string { return clean(s, n) }

// Endpoints answers where a region's services are, with the regions for which they are signed.
func Endpoints(region string) [4]string {
	iam, sts := services(region)
	return [4]string{iam.url, iam.region, sts.url, sts.region}
}
