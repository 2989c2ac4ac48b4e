package aws

import (
	"net/http"

	"github.com/keyward/keyward/internal/accesskey"
)

// OpenWith opens a provider whose requests go through a client of the test.
func OpenWith(in accesskey.Opening, via *http.Client) (accesskey.Provider, error) {
	return open(in, via)
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
