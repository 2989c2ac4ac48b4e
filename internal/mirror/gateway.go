package mirror

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/watch"
)

// A gateway lets runs of git read one repository, and nothing else. It is the only network
// that they have.
type gateway struct {
	mirrors *Mirrors
	remote  watch.Remote
	address string // that git is given
	dir     string // of the mirror; "" for none

	base   *url.URL
	http   *http.Client
	pass   string // that git has to show: others on this machine might find the port
	server *http.Server
	passed atomic.Int64 // bytes of answers

	mu  sync.Mutex // guards what follows
	why error      // the first reason for which a request failed
}

// maxRefs is how many bytes a list of refs may have. git takes five times as much memory for it,
// and the program beside it that speaks HTTP nearly as much again. docs/repositories.md tells it.
const maxRefs = 32 << 20

// passHeader is where git shows the pass.
const passHeader = "Keyward-Pass"

// open answers a gateway to a repository, which the caller closes.
func (m *Mirrors) open(ctx context.Context, r watch.Remote) (*gateway, error) {
	base, dir, err := m.find(r.URL)
	if err != nil {
		return nil, err
	}
	g := &gateway{mirrors: m, remote: r, base: base}
	if dir != "" {
		g.address = (&url.URL{Scheme: "file", Path: dir}).String()
		return g, nil
	}
	g.http = egress.HTTP(m.o.Allow)
	if r.CA != "" {
		if g.http, err = egress.Private(m.o.Allow, []byte(r.CA)); err != nil {
			return nil, trouble(watch.Failed, fault.Say("its certificates of authorities cannot be read: %v", err))
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for git: %w", err)
	}
	g.pass = rand.Text()
	g.address = "http://" + listener.Addr().String() + "/repository.git"
	g.server = &http.Server{Handler: g, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: patience} // what goes wrong is told by why
	go g.server.Serve(listener)                                                                            //nolint:errcheck // it ends with Close
	return g, nil
}

// close ends the gateway with all that goes through it.
func (g *gateway) close() {
	if g.server != nil {
		_ = g.server.Close() // nobody waits for anything
		g.http.CloseIdleConnections()
	}
}

// failed keeps why a request failed, and answers the first such reason.
func (g *gateway) failed(err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.why == nil {
		g.why = err
	}
	return g.why
}

// ServeHTTP implements http.Handler: it passes on what reading a repository takes.
func (g *gateway) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	if subtle.ConstantTimeCompare([]byte(in.Header.Get(passHeader)), []byte(g.pass)) != 1 {
		http.Error(w, "this is not for you", http.StatusForbidden)
		return
	}
	to := ""
	switch in.Method + " " + in.URL.RequestURI() {
	case "GET /repository.git/info/refs?service=git-upload-pack":
		to = "/info/refs"
	case "POST /repository.git/git-upload-pack":
		to = "/git-upload-pack"
	default:
		http.Error(w, "a repository is read, and nothing else", http.StatusForbidden)
		return
	}
	if err := g.forward(w, in, to); err != nil {
		_ = g.failed(err)
		panic(http.ErrAbortHandler) // an answer that ends early must not look whole
	}
}

// forward makes a request to the repository and passes on the answer.
func (g *gateway) forward(w http.ResponseWriter, in *http.Request, to string) error {
	u := *g.base
	u.Path, u.RawPath, u.RawQuery = strings.TrimSuffix(u.Path, "/")+to, "", in.URL.RawQuery
	refs, body := asksForRefs(in)
	out, err := http.NewRequestWithContext(in.Context(), in.Method, u.String(), body)
	if err != nil {
		return err
	}
	if out.ContentLength = in.ContentLength; in.ContentLength == 0 {
		out.Body = http.NoBody
	}
	for _, name := range []string{"Accept", "Content-Type", "Content-Encoding", "Git-Protocol", "User-Agent"} {
		if value := in.Header.Get(name); value != "" {
			out.Header.Set(name, value)
		}
	}
	if token := g.remote.Token.Expose(); len(token) > 0 {
		out.SetBasicAuth(g.remote.User, string(token))
	}
	answer, err := g.http.Do(out)
	if err != nil {
		return unreachable(err)
	}
	defer func() { _ = answer.Body.Close() }() // it was only read
	if err := g.refused(answer); err != nil {
		return err
	}
	w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
	left, over := g.mirrors.o.Most-g.passed.Load(), g.mirrors.large()
	if refs && left > maxRefs {
		left, over = maxRefs, trouble(watch.TooLarge, fault.Say("the list of its refs has more than %d MB, which is the limit", maxRefs>>20))
	}
	n, err := io.Copy(w, io.LimitReader(answer.Body, left+1))
	g.passed.Add(n)
	if n > left {
		return over
	}
	if err != nil {
		return unreachable(err)
	}
	return nil
}

// asksForRefs tells whether the answer to a request is a list of refs, and answers its body anew.
// git keeps such a list in memory, whereas it writes objects to disk.
func asksForRefs(in *http.Request) (bool, io.Reader) {
	if in.Method == http.MethodGet {
		return true, http.NoBody
	}
	body := bufio.NewReader(in.Body)
	head, _ := body.Peek(body.Size()) // its error comes again
	var plain io.Reader = bytes.NewReader(head)
	if in.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(plain)
		if err != nil {
			return true, body
		}
		plain = unpacked
	}
	line := make([]byte, len("0014command=ls-refs"))
	n, _ := io.ReadFull(plain, line)
	return strings.HasSuffix(string(line[:n]), "command=ls-refs"), body
}

// unreachable says why a request has no answer.
func unreachable(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if errors.Is(err, egress.ErrRefused) {
		return trouble(watch.Denied, fault.Say("it is not a public address, which the guard of outgoing connections refuses; the operator may allow its network with egress.allow"))
	}
	return trouble(watch.Unreachable, fault.Say("it cannot be reached: %v", err))
}

// refused says what is wrong with an answer that is not the one to be expected.
func (g *gateway) refused(answer *http.Response) error {
	switch code := answer.StatusCode; {
	case code == http.StatusOK && strings.HasPrefix(answer.Header.Get("Content-Type"), "application/x-git-upload-pack-"):
		return nil
	case code == http.StatusOK:
		return trouble(watch.Unreachable, fault.Say("what is there is no git repository, or not over its current protocol"))
	case code >= 300 && code < 400:
		return moved(g.base, answer)
	case code == http.StatusUnauthorized || code == http.StatusForbidden || code == http.StatusNotFound:
		if g.remote.Token.Len() == 0 {
			return trouble(watch.Denied, fault.Say("it answers %d: it is not there, or needs a token", code))
		}
		return trouble(watch.Denied, fault.Say("it answers %d: it is not there, or the token is not accepted (any more)", code))
	default:
		return trouble(watch.Unreachable, fault.Say("it answers %d", code))
	}
}

// moved says where a repository sends git, which is not followed: the address might lead inside, and
// the token was not entered for it.
func moved(from *url.URL, answer *http.Response) error {
	to, err := answer.Location()
	if err != nil {
		return trouble(watch.Moved, fault.Say("it answers %d, without a place", answer.StatusCode))
	}
	path, ours := strings.CutSuffix(to.Path, "/info/refs")
	if !ours { // a page for people
		return trouble(watch.Denied, fault.Say("it answers %d and a page of %s: it is not there, or needs a token", answer.StatusCode, to.Host))
	}
	return trouble(watch.Moved, fault.Say("it is at %s now; if that is right: keyward repository update --url", (&url.URL{Scheme: to.Scheme, Host: to.Host, Path: path}).String()))
}
