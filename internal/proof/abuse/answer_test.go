package abuse

import (
	"bufio"
	"cmp"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/api"
)

// An answer is one answer with its body.
type answer struct {
	status int
	header http.Header
	body   string
	closed bool // the server hangs up after it
}

// A line is a connection that is opened again when the server has closed it.
type line struct {
	w       *world
	dialect string
	conn    net.Conn
	in      *bufio.Reader
}

const patience = 20 * time.Second

// exchange sends bytes and reads one answer. whole says that they are a whole request,
// so that an answer must come; otherwise the sender hangs up, and none is an answer, too.
func (l *line) exchange(method, sent string, whole bool) (answer, error) {
	for fresh := false; ; fresh = true {
		if l.conn == nil {
			if err := l.open(); err != nil {
				return answer{}, err
			}
			fresh = true
		}
		a, err := l.try(method, sent, whole)
		if err != nil || a.closed || !whole {
			l.close()
		}
		if err == nil || fresh {
			return a, err
		}
	}
}

func (l *line) open() (err error) {
	if l.conn, err = l.w.dial(l.dialect); err == nil {
		l.in = bufio.NewReader(l.conn)
	}
	return err
}

func (l *line) close() {
	if l.conn != nil {
		_ = l.conn.Close()
		l.conn = nil
	}
}

func (l *line) try(method, sent string, whole bool) (answer, error) {
	if err := l.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return answer{}, err
	}
	if _, err := io.WriteString(l.conn, sent); err != nil && whole && len(sent) < 32<<10 {
		return answer{}, err // of what is larger, the server may have seen enough
	}
	if half, ok := l.conn.(interface{ CloseWrite() error }); ok && !whole {
		_ = half.CloseWrite()
	}
	resp, err := http.ReadResponse(l.in, &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body), resp.Close}, err
}

// hungUp tells whether a connection ended without an answer.
func hungUp(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op) && !op.Timeout()
}

// codes are the documented codes with their statuses, by dialect.
type codes map[string]map[string]bool

// documentedCodes reads docs/errors.md.
func documentedCodes(t *testing.T) codes {
	t.Helper()
	text, err := os.ReadFile("../../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	rest, rpc := map[string]bool{}, map[string]bool{}
	cell := regexp.MustCompile("`([A-Za-z.]+)` ([0-9]{3})")
	other := regexp.MustCompile("`: `([A-Za-z.]+)`(?: ([0-9]{3}))?\\)") // of some operations, perhaps with a status of their own
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Za-z]+)` \\| ([0-9]{3}) \\| (.*?) \\|").FindAllStringSubmatch(string(text), -1) {
		rest[row[1]+" "+row[2]] = true
		for _, m := range cell.FindAllStringSubmatch(row[3], -1) {
			rpc[m[1]+" "+m[2]] = true
			for _, o := range other.FindAllStringSubmatch(row[3], -1) {
				rpc[o[1]+" "+cmp.Or(o[2], m[2])] = true
			}
		}
	}
	// A dry run answers InvalidParameter, MissingParameter and NoPermission under other names.
	rpc["ValidationError 400"], rpc["AccessDeniedError 403"], rpc["DryRunOperationError 400"] = true, true, true
	if len(rest) < 30 || len(rpc) < 30 {
		t.Fatalf("docs/errors.md has %d and %d codes", len(rest), len(rpc))
	}
	return codes{restDialect: rest, operatorDialect: rest, rpcDialect: rpc}
}

var requestID = regexp.MustCompile(`^[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$`)

// belowTheEdge are the statuses that the HTTP server answers by itself to what is no
// request that a dialect could see.
var belowTheEdge = map[int]bool{400: true, 417: true, 431: true, 501: true, 505: true}

// check says what is wrong with the answer to a bad request; nil for nothing.
func (c codes) check(dialect, method string, raw bool, a answer) error {
	id := a.header.Get("x-acs-request-id")
	if id == "" {
		if !raw || !belowTheEdge[a.status] || !a.closed || len(a.body) > 200 || a.body != "" && !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
			return errors.New("it is answered by nobody of ours")
		}
		return nil
	}
	if (a.status < 400 || a.status > 499) && !(raw && a.status == http.StatusServiceUnavailable) { // who hangs up is not read for
		return errors.New("it is not refused")
	}
	if !requestID.MatchString(id) || a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" {
		return errors.New("the headers are not those of every answer")
	}
	if method == "HEAD" {
		return nil
	}
	code, bodyID, err := errorOf(a)
	switch {
	case err != nil:
		return err
	case bodyID != id:
		return fmt.Errorf("the body has the request id %q", bodyID)
	case c.known(dialect, code, a.status):
	case (raw || dialect == rpcDialect) && (c.known(restDialect, code, a.status) || c.known(rpcDialect, code, a.status)):
		// A wrong path leads from one dialect into another.
	default:
		return fmt.Errorf("%s is no documented code of status %d", code, a.status)
	}
	return nil
}

func (c codes) known(dialect, code string, status int) bool {
	return c[dialect][code+" "+strconv.Itoa(status)]
}

// errorOf reads the code and the request id out of the body of a refusal.
func errorOf(a answer) (code, id string, err error) {
	switch kind := a.header.Get("Content-Type"); kind {
	case api.ProblemType:
		var p api.Problem
		err = json.Unmarshal([]byte(a.body), &p)
		if err == nil && (p.Status != a.status || p.Type != "about:blank" || p.Title == "" || p.Detail == "") {
			err = errors.New("the problem is incomplete")
		}
		return p.Code, p.RequestID, err
	case "application/json;charset=utf-8", "text/xml;charset=utf-8":
		var e struct{ RequestId, HostId, Code, Message, Recommend string } //nolint:revive // the wire's spelling
		if strings.HasPrefix(kind, "text/xml") {
			err = xml.Unmarshal([]byte(a.body), &e)
		} else {
			err = json.Unmarshal([]byte(a.body), &e)
		}
		if err == nil && (e.Message == "" || e.Recommend == "") {
			err = errors.New("the error is incomplete")
		}
		return e.Code, e.RequestId, err
	default:
		return "", "", fmt.Errorf("the content type is %q", kind)
	}
}
