// Package server is the HTTP edge: what every dialect of the API has in common.
//
// An [Edge] stands in front of each dialect. It gives the request an id, finds out
// where it came from, enforces the limits that hold before anybody is authenticated,
// reads the body whole, and writes a log line and a metric when it is over. A
// dialect (a folder beside this file) turns the request into an operation: it verifies
// the signature, decodes the parameters, calls the domain service and encodes the
// answer or the fault. Dialects hold no rules of the product.
package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/erase"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
)

// The limits of requests before authentication. The URL's is large because the
// official SDKs put every parameter into the query, also of a POST.
const (
	MaxURL    = 64 << 10 // bytes of the request target
	MaxHeader = 16 << 10 // bytes of all header fields
	MaxBody   = 64 << 10 // bytes of the body of the crypto API
	MaxPolicy = 96 << 10 // bytes of a body that carries a policy

	patience = 20 * time.Second // of one request
)

// An Exchange is one HTTP request past the edge.
type Exchange struct {
	RequestID string // upper-case UUID
	Received  time.Time
	Source    netip.Addr
	Secure    bool
	Body      []byte

	deadline  deadline
	id        [1]string // RequestID, as a header's value
	dialect   string
	operation string
	result    string
	call      *authz.Call // the last; nil for none
	err       error       // what the caller is not told of
}

// Context answers the request's context, which ends with the server's patience. It is not
// the http.Request's: to put it there would copy that.
func (x *Exchange) Context() context.Context { return &x.deadline }

// Call makes the call of an authenticated principal.
func (x *Exchange) Call(r *http.Request, p authz.Principal, scheme string, nonce []byte) *authz.Call {
	x.call = &authz.Call{
		Principal: p, RequestID: x.RequestID, Time: x.Received, Source: x.Source,
		UserAgent: r.UserAgent(), Secure: x.Secure, Scheme: scheme, Nonce: nonce,
	}
	return x.call
}

// Note says, for the log line and the metrics, which operation this is and how it
// ended. operation must be one of the dialect's own names, never the caller's text.
func (x *Exchange) Note(operation string, err error) {
	x.operation, x.result = operation, resultOK
	if err != nil {
		x.result = string(fault.KindOf(err))
		x.err = err
	}
}

const resultOK = "OK"

// A Handler serves one request of a dialect, in the context of the exchange. A body that
// is too large or that broke off arrives as err, for the dialect to answer in its own form.
type Handler func(w http.ResponseWriter, r *http.Request, x *Exchange, err error)

// An Edge is the common front of the dialects.
type Edge struct {
	Logger  *slog.Logger
	Metrics *Metrics
	Now     func() time.Time
	// TrustedProxies may say in X-Forwarded-For whom a request came from.
	TrustedProxies []netip.Prefix
}

// Handle puts the edge in front of a dialect whose bodies have at most maxBody bytes.
func (e *Edge) Handle(dialect string, maxBody int64, h Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &Exchange{RequestID: newRequestID(), Received: e.Now(), Source: e.source(r), Secure: r.TLS != nil, dialect: dialect, operation: "-", result: "-"}
		x.deadline.Context, x.deadline.at = r.Context(), time.Now().Add(patience)
		x.id[0] = x.RequestID
		header := w.Header() // in net/http's spelling, which Set would look for each time
		header["X-Acs-Request-Id"], header["Cache-Control"], header["X-Content-Type-Options"] = x.id[:], noStore, noSniff
		if len(r.TransferEncoding) > 0 {
			// There may have been a Content-Length, too, which net/http drops silently. Whoever
			// believed that one sees other requests on this connection than we do, so it ends here.
			header["Connection"] = []string{"close"}
		}
		defer x.deadline.end()
		defer e.finish(w, x)
		err := e.read(w, r, x, maxBody) // slow clients wait here, with a small stack
		erase.After(func() { h(w, r, x, err) })
	})
}

// What no answer lacks.
var (
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
)

// read takes the body in and checks what must hold before anything is looked at.
func (e *Edge) read(w http.ResponseWriter, r *http.Request, x *Exchange, maxBody int64) error {
	if len(r.RequestURI) > MaxURL {
		return fault.TooLarge.New("the request URL has %d bytes; at most %d are allowed", len(r.RequestURI), MaxURL)
	}
	size := 0
	for name, values := range r.Header {
		for _, v := range values {
			size += len(name) + len(v) + 4
		}
	}
	if size > MaxHeader {
		return fault.TooLarge.New("the request headers have %d bytes; at most %d are allowed", size, MaxHeader)
	}
	if r.Header["Content-Encoding"] != nil {
		return fault.InvalidParameter.New("the body must be sent as it is, without a Content-Encoding")
	}
	if r.ContentLength == 0 {
		return nil
	}
	defer receiving(r.Context())()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return fault.TooLarge.New("the request body is larger than %d bytes", maxBody)
	}
	if err != nil {
		return fault.InvalidParameter.Wrap(err, "the request body could not be read")
	}
	x.Body = body
	return nil
}

// finish answers a request whose handler panicked and tells log and metrics of it.
func (e *Edge) finish(w http.ResponseWriter, x *Exchange) {
	if p := recover(); p != nil {
		if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
			panic(p)
		}
		x.result = string(fault.Internal)
		// A panic's value may hold data of the request; its type and place suffice.
		e.Logger.Error("panic", "request", x.RequestID, "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
		w.WriteHeader(http.StatusInternalServerError)
	}
	took := e.Now().Sub(x.Received)
	e.Metrics.observe(x, took)
	e.log(x, took)
}

// log writes the request's line. A success has its audit record, so its line is for who
// asks for it.
func (e *Edge) log(x *Exchange, took time.Duration) {
	level := slog.LevelInfo
	if x.result == resultOK {
		level = slog.LevelDebug
	}
	if e.Logger.Enabled(context.Background(), level) {
		source, principal := "", ""
		if x.call != nil && x.call.Account != "" {
			principal = x.call.ARN()
		}
		if x.Source.IsValid() { // a Unix socket has none
			source = x.Source.String()
		}
		e.Logger.Log(context.Background(), level, "request", "request", x.RequestID, "dialect", x.dialect, "operation", x.operation,
			"result", x.result, "principal", principal, "source", source, "ms", float64(took.Microseconds())/1000)
	}
	if errors.Is(x.err, context.Canceled) {
		return // the caller hung up, which any stranger can do as often as they like
	}
	switch fault.KindOf(x.err) {
	case fault.Internal, fault.Unavailable, fault.AuditUnavailable: // the operator must see why
		e.Logger.Error("request failed", "request", x.RequestID, "operation", x.operation, "error", x.err)
	}
}

// source answers the peer's address, or what the nearest untrusted hop is said to be
// when the peer is a trusted proxy.
func (e *Edge) source(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // a Unix socket
	}
	addr := peer.Addr().Unmap()
	if len(e.TrustedProxies) == 0 {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && e.trusted(addr); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = hop.Unmap()
	}
	return addr
}

func (e *Edge) trusted(a netip.Addr) bool { return within(a, e.TrustedProxies) }

func within(a netip.Addr, networks []netip.Prefix) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Only has a handler answer who calls from certain networks, and nobody else.
func (e *Edge) Only(networks []netip.Prefix, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !within(e.source(r), networks) {
			http.Error(w, "this is not for your network; the operator of the server can allow it", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// ClaimedKey answers the access key id that a request names, which proves nothing. What
// is not formed like an id is not answered: it is the caller's text, perhaps a secret
// put in the wrong place.
func ClaimedKey(r *http.Request) string {
	claimed := r.URL.Query().Get("AccessKeyId")
	if _, rest, found := strings.Cut(r.Header.Get("Authorization"), "Credential="); found {
		claimed, _, _ = strings.Cut(rest, ",")
		claimed, _, _ = strings.Cut(claimed, "/")
	}
	if !iam.ValidAccessKeyID(claimed) && !iam.ValidSessionKeyID(claimed) {
		return ""
	}
	return claimed
}

// newRequestID makes a random UUID in upper case, as Alibaba Cloud writes request ids.
func newRequestID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	const digits = "0123456789ABCDEF"
	id := make([]byte, 0, 36)
	for i, c := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			id = append(id, '-')
		}
		id = append(id, digits[c>>4], digits[c&15])
	}
	return string(id)
}
