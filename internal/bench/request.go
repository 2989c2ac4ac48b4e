package main

import (
	"crypto/hmac"
	cryptorand "crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"time"
)

// A form is what all requests of one operation to one server have in common.
type form struct {
	host   string
	action string   // of the RPC dialect; "" for the REST dialect, whose requests read
	sts    bool     // the action is of the Security Token Service
	query  string   // in the spelling that signatures cover
	paths  []string // that requests go to one after the other; none for "/"
	keyID  string
	secret string
	// whole makes a request of the XKS Proxy API, which has no nonce: the same one may be
	// sent again for five minutes. Nil for the other dialects.
	whole func(now time.Time) []byte
}

const (
	scheme        = "ACS3-HMAC-SHA256"
	signedHeaders = "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"
	signedByREST  = "host;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce" // as package client signs
	versionKMS    = "2016-01-20"
	versionSTS    = "2015-04-01"
	// emptyHash is SHA-256 of the empty body: all parameters are in the query.
	emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

	nonceSize = 2 * 16          // hexadecimal, as the SDK makes them
	signSize  = 2 * sha256.Size // hexadecimal
	fastest   = 120_000         // requests per second that a pool lasts for
)

// A pool is requests that were signed ahead. Only nonce and signature differ, so the
// rest is kept once. Those who read it share it; only sign changes it.
type pool struct {
	form
	head, middle, tail string // around signature and nonce; method and path stand before them
	shift              int    // index of the first request's path
	same               []byte // the request, if all are the same
	marks              []mark
}

type mark struct {
	signature [signSize]byte
	nonce     [nonceSize]byte
}

// sign fills the pool with new requests, as many as any contender can take in a turn
// of the given length.
func (p *pool) sign(length time.Duration) { p.signMany(max(1, int(length.Seconds()*fastest))) }

// signMany fills the pool with so many new requests.
func (p *pool) signMany(n int) {
	if p.whole != nil {
		p.same, p.marks = p.whole(time.Now()), make([]mark, n)
		return
	}
	date := time.Now().UTC().Format("2006-01-02T15:04:05Z")
	p.head = " HTTP/1.1\r\nHost: " + p.host + "\r\n" + p.agent() + "Authorization: " + scheme + " Credential=" + p.keyID + ",SignedHeaders=" + p.signed() + ",Signature="
	if p.query != "" {
		p.head = "?" + p.query + p.head
	}
	p.middle = "\r\nx-acs-content-sha256: " + emptyHash + "\r\nx-acs-date: " + date + "\r\nx-acs-signature-nonce: "
	p.tail = "\r\nAccept-Encoding: gzip\r\n\r\n"
	if p.action != "" {
		p.middle = "\r\naccept: application/json\r\nx-acs-action: " + p.action + p.middle
		p.tail = "\r\nx-acs-version: " + p.version() + p.tail
	}
	if len(p.paths) > 0 {
		p.shift = rand.IntN(len(p.paths))
	}
	p.marks = make([]mark, n)
	var signers sync.WaitGroup
	share := (n + runtime.NumCPU() - 1) / runtime.NumCPU()
	for first := 0; first < n; first += share {
		signers.Go(func() { p.signPart(date, first, min(first+share, n)) })
	}
	signers.Wait()
}

func (p *pool) agent() string {
	if p.action == "" {
		return "User-Agent: Go-http-client/1.1\r\n"
	}
	return "User-Agent: AlibabaCloud (linux; amd64) Golang/1.26.8 Core/0.01 TeaDSL/1\r\nContent-Length: 0\r\n"
}

func (p *pool) version() string {
	if p.sts {
		return versionSTS
	}
	return versionKMS
}

func (p *pool) signed() string {
	if p.action == "" {
		return signedByREST
	}
	return signedHeaders
}

func (p *pool) method() string {
	if p.action == "" {
		return "GET "
	}
	return "POST "
}

// path answers where request i goes.
func (p *pool) path(i int) string {
	if len(p.paths) == 0 {
		return "/"
	}
	return p.paths[(p.shift+i)%len(p.paths)]
}

func (p *pool) signPart(date string, first, end int) {
	method := strings.TrimSpace(p.method()) + "\n"
	before, after := "\n"+p.query+"\nhost:"+p.host, "\n\n"+p.signed()+"\n"+emptyHash
	if p.action != "" {
		before += "\nx-acs-action:" + p.action
		after = "\nx-acs-version:" + p.version() + after
	}
	before += "\nx-acs-content-sha256:" + emptyHash + "\nx-acs-date:" + date + "\nx-acs-signature-nonce:"
	mac := hmac.New(sha256.New, []byte(p.secret))
	var canonical, text []byte
	for i := first; i < end; i++ {
		m := &p.marks[i]
		var nonce [nonceSize / 2]byte
		cryptorand.Read(nonce[:])
		hex.Encode(m.nonce[:], nonce[:])
		canonical = append(append(append(canonical[:0], method...), p.path(i)...), before...)
		canonical = append(append(canonical, m.nonce[:]...), after...)
		sum := sha256.Sum256(canonical)
		text = hex.AppendEncode(append(text[:0], scheme+"\n"...), sum[:])
		mac.Reset()
		mac.Write(text)
		hex.Encode(m.signature[:], mac.Sum(sum[:0]))
	}
}

// append writes request i to b.
func (p *pool) append(b []byte, i int) []byte {
	if p.same != nil {
		return append(b, p.same...)
	}
	m := &p.marks[i]
	b = append(append(b, p.method()...), p.path(i)...)
	b = append(append(b, p.head...), m.signature[:]...)
	b = append(append(b, p.middle...), m.nonce[:]...)
	return append(b, p.tail...)
}
