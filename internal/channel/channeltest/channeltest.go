// Package channeltest simulates what stands at the other end of the channels: the robots of
// chats, PagerDuty, Alertmanager, a receiver of webhooks, SMS gateways, a mail server.
//
// Each simulator is stricter than its original where that is documented: it refuses a
// field that it does not know, a signature or a size that is wrong, a message too many.
// What it took it keeps, so that a test can count. All may be used concurrently.
package channeltest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// A Log is what a simulator took.
type Log struct {
	mu    sync.Mutex
	taken [][]byte
}

// Taken answers the messages so far.
func (l *Log) Taken() [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([][]byte(nil), l.taken...)
}

// take keeps a message. The lock is held.
func (l *Log) take(body []byte) { l.taken = append(l.taken, body) }

// A limit counts messages in a minute and blocks who sends too many.
type limit struct {
	times   []time.Time
	blocked time.Time
}

// over notes a message and tells whether it is one too many.
func (l *limit) over(now time.Time, most int, within, block time.Duration) bool {
	if now.Before(l.blocked) {
		return true
	}
	for len(l.times) > 0 && now.Sub(l.times[0]) >= within {
		l.times = l.times[1:]
	}
	if l.times = append(l.times, now); len(l.times) > most {
		l.blocked = now.Add(block)
		return true
	}
	return false
}

// read answers the body of a request that is JSON of this form and nothing else.
func read(r *http.Request, into any) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return nil, fmt.Errorf("%s of %s", r.Method, r.Header.Get("Content-Type"))
	}
	if !utf8.Valid(body) {
		return nil, fmt.Errorf("the body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("something follows the JSON")
	}
	return body, nil
}

func write(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // who hung up does not read it
}

func sum(key, text string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
