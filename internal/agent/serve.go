package agent

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/durable"
	"github.com/keyward/keyward/internal/material"
)

const (
	maxWait  = time.Minute // of a program for the next generation
	maxUse   = 4 << 10     // bytes of a report
	farewell = 2 * time.Second
)

// Handler serves the endpoint of this machine. With a token it belongs behind a TCP
// address: then every request shows the token, and names a loopback address as its host,
// so that no page in a browser gets anywhere by a name that it controls.
func (a *Agent) Handler(token material.Bytes) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+delivery.KeysPath+"{rollout}", a.serveKey)
	mux.HandleFunc("POST "+delivery.KeysPath+"{rollout}"+delivery.UseSuffix, a.serveUse)
	mux.HandleFunc("GET "+delivery.StatusPath, func(w http.ResponseWriter, _ *http.Request) { answer(w, a.Status()) })
	if token.Len() == 0 {
		return mux
	}
	want := []byte("Bearer " + string(token.Expose()))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !localHost(r.Host):
			refuse(w, http.StatusMisdirectedRequest, "MisdirectedRequest", "name the host as localhost or by its loopback address")
		case subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1:
			refuse(w, http.StatusUnauthorized, "Unauthorized", "show the token of token_file: Authorization: Bearer …")
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

// localHost tells whether a Host header names this machine, whatever a resolver says.
func localHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// serveKey answers both versions. With after=N it waits for a generation above N, at most
// for wait=30s, and then answers what there is.
func (a *Agent) serveKey(w http.ResponseWriter, r *http.Request) {
	after, wait, err := waiting(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidParameter", err.Error())
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		k, moved, ok := a.Key(r.PathValue("rollout"))
		if ok && k.Generation > after {
			answer(w, k)
			return
		}
		select {
		case <-moved:
		case <-r.Context().Done():
			refuse(w, http.StatusServiceUnavailable, "ServiceUnavailable", "the agent stops; ask again")
			return
		case <-timer.C:
			if ok {
				answer(w, k)
			} else {
				refuse(w, http.StatusNotFound, "NotFound", "this machine has no such rollout yet; keyward agent status shows what it has")
			}
			return
		}
	}
}

func waiting(r *http.Request) (after int64, wait time.Duration, err error) {
	q := r.URL.Query()
	if text := q.Get("after"); text != "" {
		if after, err = strconv.ParseInt(text, 10, 64); err != nil || after < 0 {
			return 0, 0, errors.New("after must be a generation, such as 7")
		}
	}
	if text := q.Get("wait"); text != "" {
		if wait, err = time.ParseDuration(text); err != nil || wait < 0 || wait > maxWait {
			return 0, 0, errors.New("wait must be a time such as 30s, at most 1m")
		}
	}
	return after, wait, nil
}

// serveUse takes in what a program says.
func (a *Agent) serveUse(w http.ResponseWriter, r *http.Request) {
	var u delivery.Use
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxUse))
	d.DisallowUnknownFields()
	switch err := d.Decode(&u); {
	case err != nil || u.Version == "" || u.Times < 0 || u.Result != delivery.ResultUsed && u.Result != delivery.ResultRefused:
		refuse(w, http.StatusBadRequest, "InvalidParameter", `send {"version": "…", "result": "used" or "refused"}`)
	case !a.Use(r.PathValue("rollout"), u):
		refuse(w, http.StatusConflict, "StateConflict", "that is neither the primary nor the fallback version of now; read the key again")
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func answer(w http.ResponseWriter, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(what) // whoever asked is gone
}

func refuse(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(api.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail}) // whoever asked is gone
}

// serve serves the endpoint until ctx ends.
func (a *Agent) serve(ctx context.Context, l net.Listener, token material.Bytes) error {
	defer token.Zero()
	s := &http.Server{
		Handler: a.Handler(token), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: maxWait + 10*time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, BaseContext: func(net.Listener) context.Context { return ctx }, // who waits is let go
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	a.options.Logger.Info("keyward agent listens", "address", a.options.Config.Listen, "node", a.node.Path(), "server", a.node.Server)
	select {
	case err := <-served:
		return fmt.Errorf("serving programs: %w", err)
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	_ = s.Shutdown(patience) // whoever still waits asks again
	<-served
	return nil
}

// listen opens the socket or the address, and makes the token if one is needed.
func (a *Agent) listen() (net.Listener, material.Bytes, error) {
	c := a.options.Config
	if a.options.Listener != nil {
		return a.options.Listener, material.Bytes{}, nil
	}
	if !filepath.IsAbs(c.Listen) {
		token, err := a.token()
		if err != nil {
			return nil, token, err
		}
		l, err := net.Listen("tcp", c.Listen)
		if err != nil {
			return nil, token, fmt.Errorf("listening for programs: %w", err)
		}
		return l, token, nil
	}
	l, err := listenSocket(c.Listen, c.GID)
	return l, material.Bytes{}, err
}

// listenSocket makes a socket for its owner and a group. It is made in a directory that
// nobody else may enter, and moves to its place when its owner and mode are right.
func listenSocket(path string, gid int) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("listening for programs: %s is there and no socket", path)
	}
	dir := path + ".new"
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil { // a crash left the one before
		return nil, fmt.Errorf("listening for programs: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is empty, and private
	made := filepath.Join(dir, "s")
	l, err := net.Listen("unix", made)
	if err != nil {
		return nil, fmt.Errorf("listening for programs: %w", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // by then the name may be another agent's
	err = os.Chown(made, -1, gid)
	if err == nil {
		err = os.Chmod(made, 0o660)
	}
	if err == nil {
		err = os.Rename(made, path)
	}
	if err != nil {
		_ = l.Close() // nobody was served
		return nil, fmt.Errorf("listening for programs: %w", err)
	}
	return l, nil
}

const tokenSize = 32

// token answers what programs must show. It stays the same over restarts: programs read
// it once.
func (a *Agent) token() (material.Bytes, error) {
	path := a.options.Config.TokenFile
	content, err := os.ReadFile(path)
	if err == nil && len(content) == 2*tokenSize+1 {
		info, err := os.Stat(path)
		if err == nil && info.Mode().Perm()&0o027 != 0 {
			err = fmt.Errorf("others may read or write %s; remove it, and the agent makes another", path)
		}
		return material.NewBytes(content[:2*tokenSize]), err
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return material.Bytes{}, fmt.Errorf("reading the token of programs: %w", err)
	}
	token := material.NewBytes(hex.AppendEncode(nil, material.Random(tokenSize).Expose()))
	err = durable.Replace(path, append(append([]byte{}, token.Expose()...), '\n')) // for the owner only
	if err == nil {
		err = os.Chown(path, -1, a.options.Config.GID)
	}
	if err == nil {
		err = os.Chmod(path, 0o640)
	}
	if err != nil {
		return token, fmt.Errorf("making the token of programs: %w", err)
	}
	return token, nil
}
