package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"runtime"
	"sync"
	"time"
)

// A form is what all requests of one operation to one server have in common.
type form struct {
	host   string
	action string
	query  string // in the spelling that signatures cover
	keyID  string
	secret string
}

const (
	scheme        = "ACS3-HMAC-SHA256"
	signedHeaders = "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"
	apiVersion    = "2016-01-20"
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
	head, middle, tail string // around signature and nonce
	marks              []mark
}

type mark struct {
	signature [signSize]byte
	nonce     [nonceSize]byte
}

// sign fills the pool with new requests, as many as any contender can take in a turn
// of the given length.
func (p *pool) sign(length time.Duration) {
	date := time.Now().UTC().Format("2006-01-02T15:04:05Z")
	p.head = "POST /?" + p.query + " HTTP/1.1\r\nHost: " + p.host +
		"\r\nUser-Agent: AlibabaCloud (linux; amd64) Golang/1.26.8 Core/0.01 TeaDSL/1\r\nContent-Length: 0\r\nAuthorization: " +
		scheme + " Credential=" + p.keyID + ",SignedHeaders=" + signedHeaders + ",Signature="
	p.middle = "\r\naccept: application/json\r\nx-acs-action: " + p.action + "\r\nx-acs-content-sha256: " + emptyHash +
		"\r\nx-acs-date: " + date + "\r\nx-acs-signature-nonce: "
	p.tail = "\r\nx-acs-version: " + apiVersion + "\r\nAccept-Encoding: gzip\r\n\r\n"
	p.marks = make([]mark, max(1, int(length.Seconds()*fastest)))
	var signers sync.WaitGroup
	share := (len(p.marks) + runtime.NumCPU() - 1) / runtime.NumCPU()
	for rest := p.marks; len(rest) > 0; {
		part := rest[:min(share, len(rest))]
		rest = rest[len(part):]
		signers.Go(func() { p.signPart(date, part) })
	}
	signers.Wait()
}

func (p *pool) signPart(date string, part []mark) {
	before := "POST\n/\n" + p.query + "\nhost:" + p.host + "\nx-acs-action:" + p.action +
		"\nx-acs-content-sha256:" + emptyHash + "\nx-acs-date:" + date + "\nx-acs-signature-nonce:"
	after := "\nx-acs-version:" + apiVersion + "\n\n" + signedHeaders + "\n" + emptyHash
	mac := hmac.New(sha256.New, []byte(p.secret))
	var canonical, text []byte
	for i := range part {
		m := &part[i]
		var nonce [nonceSize / 2]byte
		rand.Read(nonce[:])
		hex.Encode(m.nonce[:], nonce[:])
		canonical = append(append(append(canonical[:0], before...), m.nonce[:]...), after...)
		sum := sha256.Sum256(canonical)
		text = hex.AppendEncode(append(text[:0], scheme+"\n"...), sum[:])
		mac.Reset()
		mac.Write(text)
		hex.Encode(m.signature[:], mac.Sum(sum[:0]))
	}
}

// append writes request i to b.
func (p *pool) append(b []byte, i int) []byte {
	m := &p.marks[i]
	b = append(append(b, p.head...), m.signature[:]...)
	b = append(append(b, p.middle...), m.nonce[:]...)
	return append(b, p.tail...)
}
