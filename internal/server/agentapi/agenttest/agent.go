// Package agenttest is the smallest agent: it joins, watches and reports, and keeps what it
// was given in memory. Tests of the server use it, and let it lie.
package agenttest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/api/delivery"
)

// An Agent is one node's. Its methods may not be called concurrently.
type Agent struct {
	URL     string
	HTTP    *http.Client
	Now     func() time.Time
	Account string
	Name    string
	Have    map[string]int64             // generation by rollout
	Values  map[string]map[string]string // by rollout and version
	Primary map[string]string            // version by rollout

	sign ed25519.PrivateKey
	seal hpke.PrivateKey
}

// An Answer is an answer that is not a success.
type Answer struct {
	Status  int
	Header  http.Header
	Problem api.Problem
}

// Error implements error.
func (a *Answer) Error() string {
	return fmt.Sprintf("%d %s: %s", a.Status, a.Problem.Code, a.Problem.Detail)
}

// New makes an agent with new keys that has not joined.
func New(url string, client *http.Client, now func() time.Time) *Agent {
	_, sign, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	seal, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		panic(err)
	}
	return &Agent{
		URL: url, HTTP: client, Now: now, Have: map[string]int64{}, Values: map[string]map[string]string{}, Primary: map[string]string{}, sign: sign, seal: seal,
	}
}

// Keys answers the public keys.
func (a *Agent) Keys() (sign, seal []byte) {
	return a.sign.Public().(ed25519.PublicKey), a.seal.PublicKey().Bytes()
}

// Join joins with a token.
func (a *Agent) Join(ctx context.Context, token, name string) error {
	sign, seal := a.Keys()
	body, err := json.Marshal(delivery.JoinRequest{Token: api.SecretText(token), Name: name, SignKey: sign, SealKey: seal})
	if err != nil {
		return err
	}
	var out delivery.JoinAnswer
	err = a.Send(ctx, a.Request(delivery.JoinPath, body, time.Time{}), &out)
	if err == nil {
		a.Account, a.Name = out.Account, out.Name
	}
	return err
}

// Request makes a request, signed unless at is zero.
func (a *Agent) Request(path string, body []byte, at time.Time) *http.Request {
	r, err := http.NewRequest(http.MethodPost, a.URL+path, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if !at.IsZero() {
		name, text := a.Account+"/"+a.Name, at.UTC().Format(time.RFC3339Nano)
		r.Header.Set(delivery.NodeHeader, name)
		r.Header.Set(delivery.TimeHeader, text)
		r.Header.Set(delivery.SignatureHeader, base64.StdEncoding.EncodeToString(ed25519.Sign(a.sign, delivery.SignedMessage(path, name, text, body))))
	}
	return r
}

// Send sends a request and reads its answer, an [*Answer] as error for what is no success.
func (a *Agent) Send(ctx context.Context, r *http.Request, into any) error {
	res, err := a.HTTP.Do(r.WithContext(ctx))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		out := &Answer{Status: res.StatusCode, Header: res.Header}
		_ = json.Unmarshal(body, &out.Problem) // the status says enough
		return out
	}
	return json.Unmarshal(body, into)
}

// Watch asks for what is new and takes it in.
func (a *Agent) Watch(ctx context.Context, wait int) (out delivery.WatchAnswer, err error) {
	body, err := json.Marshal(delivery.WatchRequest{Have: a.Have, Wait: wait})
	if err != nil {
		return out, err
	}
	if err := a.Send(ctx, a.Request(delivery.WatchPath, body, a.Now()), &out); err != nil {
		return out, err
	}
	kept := map[string]bool{}
	for _, name := range out.Rollouts {
		kept[name] = true
	}
	for name := range a.Have {
		if !kept[name] {
			delete(a.Have, name)
			delete(a.Values, name)
			delete(a.Primary, name)
		}
	}
	for _, b := range out.Bundles {
		if b.Generation <= a.Have[b.Rollout] {
			continue
		}
		values := map[string]string{}
		for _, s := range []delivery.Sealed{b.Primary, b.Fallback} {
			if s.Version == "" {
				continue
			}
			value, err := hpke.Open(a.seal, hpke.HKDFSHA256(), hpke.AES256GCM(), delivery.SealedInfo(a.Account, b.Rollout, a.Name, s.Version), s.Value)
			if err != nil {
				return out, err
			}
			values[s.Version] = string(value)
		}
		a.Have[b.Rollout], a.Values[b.Rollout], a.Primary[b.Rollout] = b.Generation, values, b.Primary.Version
	}
	return out, nil
}

// Ack makes an honest acknowledgement of what the agent has.
func (a *Agent) Ack(rollout, level string) delivery.Ack {
	version := a.Primary[rollout]
	key := sha256.Sum256([]byte("keyward-proof-v1\n" + a.Values[rollout][version]))
	mac := hmac.New(sha256.New, key[:])
	mac.Write(delivery.ProofMessage(a.Account, rollout, a.Name, version, a.Have[rollout]))
	return delivery.Ack{Rollout: rollout, Generation: a.Have[rollout], Level: level, Proof: mac.Sum(nil)}
}

// Report reports.
func (a *Agent) Report(ctx context.Context, acks ...delivery.Ack) (out delivery.ReportAnswer, err error) {
	body, err := json.Marshal(delivery.ReportRequest{Version: "test", Acks: acks})
	if err != nil {
		return out, err
	}
	return out, a.Send(ctx, a.Request(delivery.ReportPath, body, a.Now()), &out)
}
