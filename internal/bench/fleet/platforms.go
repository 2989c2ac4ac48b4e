package fleet

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyward/keyward/internal/cloud/paysim"
)

// platforms are payment platforms of one merchant each, on one address. None of them waits
// for another, as one platform of all merchants would have it.
type platforms struct {
	server           *httptest.Server
	created, deleted atomic.Int64 // keys, by the API

	mu  sync.RWMutex // guards all
	all map[string]*paysim.Platform
}

// A merchant is one with a key that was made by hand.
type merchant struct {
	name, url, admin string
	definition       []byte
	key, secret      string
}

func newPlatforms() *platforms {
	p := &platforms{all: map[string]*paysim.Platform{}}
	p.server = httptest.NewServer(p)
	return p
}

func (p *platforms) close() { p.server.Close() }

// add makes the i-th merchant on a platform of its own.
func (p *platforms) add(i int) (m merchant, err error) {
	m = merchant{name: "shop-" + strconv.Itoa(i), definition: paysim.Definition()}
	m.url = p.server.URL + "/" + m.name
	platform := paysim.New(time.Now)
	m.admin = platform.AddMerchant(m.name)
	if m.key, m.secret, err = platform.AddKey(m.name, "by hand", 0); err != nil {
		return m, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all[m.name] = platform
	return m, nil
}

// ServeHTTP implements http.Handler.
func (p *platforms) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	p.mu.RLock()
	platform := p.all[name]
	p.mu.RUnlock()
	if platform == nil {
		http.NotFound(w, r)
		return
	}
	out := &watched{ResponseWriter: w}
	http.StripPrefix("/"+name, platform).ServeHTTP(out, r)
	switch out.status {
	case http.StatusCreated:
		p.created.Add(1)
	case http.StatusNoContent:
		p.deleted.Add(1)
	}
}

// watched remembers the status of an answer.
type watched struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *watched) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
