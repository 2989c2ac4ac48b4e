package interop_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"testing"

	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
)

// TestSealed checks what the SDK hears while the server is sealed.
func TestSealed(t *testing.T) {
	eachOwn(t, func(t *testing.T, o options) {
		s := newServer(t, o)
		c := s.account(t).sdk(t)
		k := create(t, c, aes256, "")
		blob := encrypt(t, c, k.id, []byte("x"), nil)
		s.command(t, account{}, "operator", "seal", "--yes", "--data-dir", filepath.Join(s.dir, "data"))
		refused(c.Decrypt(&kms.DecryptRequest{CiphertextBlob: blob}))(t, 503, "ServiceUnavailableTemporary")
		refused(c.DescribeRegions())(t, 503, "ServiceUnavailableTemporary")
		s.command(t, account{}, "operator", "unseal", "--data-dir", filepath.Join(s.dir, "data"))
		must(c.Decrypt(&kms.DecryptRequest{CiphertextBlob: blob}))(t)
	})
}

// TestThrottling checks what the SDK hears when it calls more often than it may.
func TestThrottling(t *testing.T) {
	t.Parallel()
	s := newServer(t, options{callsPerKey: 1})
	c := s.account(t).sdk(t)
	for range 20 {
		if err := outcome(c.DescribeRegions()); err != nil {
			if got := refusalOf(err); got != (refusal{429, "Rejected.Throttling"}) {
				t.Errorf("a call too many is refused with %v", got)
			}
			return
		}
	}
	t.Error("with a limit of one call a second, twenty passed")
}

// TestRubbish sends bytes that are no request. The server goes on.
func TestRubbish(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		const head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
		for _, rubbish := range []string{
			"\r\n\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "GET / HTTP/9.9\r\n\r\n", "POST\r\n\r\n", "GET http://[::1 HTTP/1.1\r\n\r\n",
			head + "Content-Length: -1\r\n\r\n", head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nx=y&z", head + "Content-Length: 100\r\n\r\nx=y",
			head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", head + "Transfer-Encoding: chunked\r\n\r\n5\r\nx=y", head + "Transfer-Encoding: rot13\r\n\r\nx=y",
			head + "Authorization: \x00\r\n\r\n", head + "Bad Header: x\r\n\r\n",
		} {
			conn := must(net.Dial("tcp", s.address))(t)
			must(fmt.Fprint(conn, rubbish))(t)
			succeed(t, conn.(*net.TCPConn).CloseWrite())
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err == nil {
				succeed(t, response.Body.Close())
				if response.StatusCode < 400 || response.StatusCode >= 500 && response.StatusCode != http.StatusNotImplemented && response.StatusCode != http.StatusHTTPVersionNotSupported {
					t.Errorf("%.40q is answered with %s", rubbish, response.Status)
				}
			}
			succeed(t, conn.Close())
		}
		must(s.account(t).sdk(t).DescribeRegions())(t)
	})
}
