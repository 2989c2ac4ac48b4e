package contract

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// A replay answers requests with recorded exchanges, in their order.
type replay struct {
	exchanges []Exchange
	at        int
	lose      int  // so many requests are lost before the first is answered
	cut       bool // every request is looked at, and its answer is lost
	sent      int
	instead   *Response // of every answer; nil for the recorded ones
	wrong     error     // the first request that was not the recorded one
}

// RoundTrip implements http.RoundTripper.
func (p *replay) RoundTrip(r *http.Request) (*http.Response, error) {
	p.sent++
	if p.lose > 0 {
		p.lose--
		return nil, io.ErrUnexpectedEOF
	}
	if p.at == len(p.exchanges) {
		return nil, p.fail("request %d is one more than was recorded", p.at+1)
	}
	e := p.exchanges[p.at]
	want, err := url.Parse(e.Request.URL)
	if err != nil || want.Scheme != r.URL.Scheme || want.Host != r.URL.Host || !e.Matches(r) {
		// The path and query of a definition hold no secret; its headers may.
		return nil, p.fail("request %d is %s %s, or has other headers or another body; recorded is %s %s", p.at+1, r.Method, r.URL, e.Method(), e.Request.URL)
	}
	if p.cut {
		return nil, io.ErrUnexpectedEOF
	}
	answer := e.Response
	if p.instead != nil {
		answer = *p.instead // again and again: reads are repeated
	} else {
		p.at++
	}
	return answer.HTTP(r), nil
}

func (p *replay) fail(format string, args ...any) error {
	if p.wrong == nil {
		p.wrong = fmt.Errorf(format, args...)
	}
	return errors.New("the conversation is not the recorded one")
}

// HTTP answers the answer as package net/http has it.
func (r Response) HTTP(to *http.Request) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}}
	for name, value := range r.Headers {
		h.Set(name, value)
	}
	return &http.Response{
		StatusCode: r.Status, Status: http.StatusText(r.Status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(bytes.NewReader(r.Body())), ContentLength: int64(len(r.Body())), Request: to,
	}
}
