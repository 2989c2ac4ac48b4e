package egress_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/egress"
)

func addrs(texts ...string) func() ([]net.Addr, error) {
	return func() ([]net.Addr, error) {
		var out []net.Addr
		for _, text := range texts {
			ip, network, err := net.ParseCIDR(text)
			if err != nil {
				return nil, err
			}
			out = append(out, &net.IPNet{IP: ip, Mask: network.Mask})
		}
		return out, nil
	}
}

func TestGuardRefusesWhatIsNotPublic(t *testing.T) {
	g := egress.Guard{Own: addrs("8.8.4.4/24", "2001:4860:4860::4/64")}
	for _, refused := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.8.9.10", "169.254.169.254",
		"169.254.0.23", "168.63.129.16", "172.16.0.1", "172.31.255.255", "192.0.0.170", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1",
		"198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
		"64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254",
		"fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "8.8.8.8%eth0",
		"8.8.4.4", "::ffff:8.8.4.4", "2001:4860:4860::4", // this machine
	} {
		addr, err := netip.ParseAddr(refused)
		if err != nil {
			if strings.HasPrefix(refused, "8.8.8.8%") {
				continue // an IPv4 address cannot have a zone
			}
			t.Fatal(err)
		}
		if err := g.Check(netip.AddrPortFrom(addr, 443)); !errors.Is(err, egress.ErrRefused) {
			t.Errorf("%s: %v", refused, err)
		}
	}
	for _, fine := range []string{"8.8.8.8", "1.1.1.1", "168.63.129.17", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2001:4860:4860::8888", "::ffff:8.8.8.8", "2606:4700::1111"} {
		if err := g.Check(netip.AddrPortFrom(netip.MustParseAddr(fine), 443)); err != nil {
			t.Errorf("%s: %v", fine, err)
		}
	}
}

func TestGuardHeedsWhatIsAllowedAndNothingMore(t *testing.T) {
	g := egress.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, Ports: []uint16{443, 8443}, Own: addrs("10.1.0.9/16", "10.2.0.9/16")}
	for address, fine := range map[string]bool{
		"10.1.2.3:443": true, "[::ffff:10.1.2.3]:8443": true, "10.1.0.9:443": true, "8.8.8.8:443": true,
		"10.2.0.1:443": false, "10.2.0.9:443": false, "10.1.2.3:80": false, "8.8.8.8:22": false,
	} {
		if err := g.Check(netip.MustParseAddrPort(address)); (err == nil) != fine {
			t.Errorf("%s: %v", address, err)
		}
	}
	g.Plain = true
	if err := g.Check(netip.MustParseAddrPort("8.8.8.8:443")); !errors.Is(err, egress.ErrRefused) {
		t.Errorf("without https a public address: %v", err)
	}
	if err := g.Check(netip.MustParseAddrPort("10.1.2.3:443")); err != nil {
		t.Errorf("without https an allowed one: %v", err)
	}
	broken := egress.Guard{Own: func() ([]net.Addr, error) { return nil, errors.New("no interfaces") }}
	if err := broken.Check(netip.MustParseAddrPort("8.8.8.8:443")); err == nil {
		t.Error("an address is reached without knowing one's own")
	}
}

func TestURLsThatAreRefused(t *testing.T) {
	local := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for _, bad := range []string{
		"", "witness.example.com", "ftp://a/", "https://", "https:///path", "https://u@a/", "https://u:p@a/", "https://a/?q=1", "https://a/?", "https://a/#f",
		"https://a:0/", "https://a:99999/", "https:a", "file:///etc/passwd", "gopher://a",
	} {
		if _, err := egress.NewClient(bad, local); err == nil {
			t.Errorf("%q is accepted", bad)
		} else if strings.Contains(err.Error(), "u:p@") {
			t.Errorf("the error shows a password: %v", err)
		}
	}
	if _, err := egress.NewClient("http://a/", nil); err == nil {
		t.Error("http is accepted without an allowed network")
	}
}

// clients makes a client of a test server, through a name that must be resolved.
func client(t *testing.T, server *httptest.Server, allow ...netip.Prefix) *egress.Client {
	t.Helper()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	c, err := egress.NewClient("http://localhost:"+u.Port()+"/prefix", append(allow, netip.MustParsePrefix("192.0.2.0/24")))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClient(t *testing.T) {
	reached := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached++
		switch r.URL.Path {
		case "/prefix/moved":
			http.Redirect(w, r, "/prefix/fine", http.StatusFound)
		case "/prefix/huge":
			_, _ = w.Write(make([]byte, 1<<20+1))
		default:
			_, _ = w.Write([]byte(r.URL.Path))
		}
	}))
	defer server.Close()
	local := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

	if _, err := client(t, server).Do(t.Context(), "GET", "fine", nil); !errors.Is(err, egress.ErrRefused) || reached != 0 {
		t.Errorf("a name that leads to this machine was reached %d times: %v", reached, err)
	}
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:1")
	c := client(t, server, local...)
	answer, err := c.Do(t.Context(), "GET", "fine", nil)
	if err != nil || string(answer.Body) != "/prefix/fine" || answer.Status != 200 {
		t.Errorf("answered %+v, %v", answer, err)
	}
	reached = 0
	if answer, err := c.Do(t.Context(), "GET", "moved", nil); err != nil || answer.Status != 302 || reached != 1 {
		t.Errorf("a redirect: %+v, %v, %d requests", answer, err, reached)
	}
	if _, err := c.Do(t.Context(), "GET", "huge", nil); err == nil || !strings.Contains(err.Error(), "longer") {
		t.Errorf("an endless answer: %v", err)
	}
}

// What may not be dialled is known before anything is sent; addresses need no name service.
func TestLook(t *testing.T) {
	none := func() ([]net.Addr, error) { return nil, nil }
	office := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	for _, test := range []struct {
		guard egress.Guard
		host  string
		ok    bool
	}{
		{egress.Guard{Own: none}, "1.1.1.1", true},
		{egress.Guard{Own: none}, "2606:4700:4700::1111", true},
		{egress.Guard{Own: none}, "127.0.0.1", false},
		{egress.Guard{Own: none}, "::ffff:169.254.169.254", false},
		{egress.Guard{Own: none}, "10.1.2.3", false},
		{egress.Guard{Own: none, Allow: office}, "10.1.2.3", true},
		{egress.Guard{Own: none, Allow: office, Plain: true}, "1.1.1.1", false},
		{egress.Guard{Own: none}, "localhost", false},
	} {
		if err := test.guard.Look(t.Context(), test.host, 443); (err == nil) != test.ok || err != nil && !errors.Is(err, egress.ErrRefused) {
			t.Errorf("%s: %v, want allowed %v", test.host, err, test.ok)
		}
	}
}
