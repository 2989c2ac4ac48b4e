package tencenttest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/lazy"
)

// A refusal is an error of the API.
type refusal struct{ Code, Message string }

func (r *refusal) Error() string { return r.Code + ": " + r.Message }

func refuse(code, format string, args ...any) error {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// A call is a request that was understood.
type call struct {
	service, version, action string
	id                       string // of the request
	caller                   *user
	key                      *key
	now                      time.Time
	parameters
}

// parameters are those of all actions together; a request may hold no others.
type parameters struct {
	TargetUin           *uint64
	SubUin              *uint64
	AccessKeyID         string `json:"AccessKeyId"`
	Status              string
	Description         string
	SecretIDList        []string `json:"SecretIdList"`
	FilterSubAccountUin []uint64
	Offset, Limit       *int
	Page, Rp            *int
	AttachType          *int
	StrategyType        *int
	Keyword             string
}

// ServeHTTP implements http.Handler.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 10<<20))
	if err != nil {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		return
	}
	s.mu.Lock()
	s.made++
	id := fmt.Sprintf("00000000-0000-4000-8000-%012x", s.made)
	result, err := s.perform(r, body, id)
	answer, failure := json.Marshal(map[string]any{"Response": finish(result, err, id)})
	s.mu.Unlock()
	if failure != nil {
		http.Error(w, failure.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer) // the client notices
}

// finish makes the object of an answer: the result or the error, and the request's id.
func finish(result map[string]any, err error, id string) map[string]any {
	if err != nil {
		result = map[string]any{"Error": err}
	}
	if result == nil {
		result = map[string]any{}
	}
	result["RequestId"] = id
	return result
}

// perform does what a request asks for, in the order of the real service: who, how
// often, whether it may, and what. s.mu is held.
func (s *Service) perform(r *http.Request, body []byte, id string) (map[string]any, error) {
	c := call{version: r.Header.Get("X-TC-Version"), action: r.Header.Get("X-TC-Action"), id: id, now: s.now()}
	if err := s.authenticate(&c, r, body); err != nil {
		return nil, err
	}
	act, ok := actions[c.service+":"+c.action]
	if !ok {
		return nil, refuse("InvalidAction", "The action `%s` does not exist or is not published.", c.action)
	}
	if want := versions[c.service]; c.version != want {
		return nil, refuse("NoSuchVersion", "The version `%s` does not exist.", c.version)
	}
	if err := s.admit(&c); err != nil {
		return nil, err
	}
	if name := c.service + ":" + c.action; c.caller.denied[name] {
		return nil, refuse("AuthFailure.UnauthorizedOperation", "You are not authorized to perform this operation. Check your CAM policies, and ensure that you are using the correct access keys. [request id:%s]you are not authorized to perform operation (%s)\nresource (*) has no permission\n", c.id, name)
	}
	in := json.NewDecoder(bytes.NewReader(body))
	in.DisallowUnknownFields()
	if err := in.Decode(&c.parameters); err != nil {
		if name, found := strings.CutPrefix(err.Error(), "json: unknown field "); found {
			return nil, refuse("UnknownParameter", "The parameter `%s` is not recognized.", strings.Trim(name, `"`))
		}
		return nil, refuse("InvalidParameter", "The request is not a JSON object of this action's parameters.")
	}
	result, err := act(s, &c)
	if err == nil {
		s.calls[c.action]++
	}
	return result, err
}

var authorization = lazy.Regexp(`^TC3-HMAC-SHA256 Credential=([^/]+)/(\d{4}-\d\d-\d\d)/([a-z0-9]+)/tc3_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$`)

// authenticate finds out who sent a request.
func (s *Service) authenticate(c *call, r *http.Request, body []byte) error {
	m := authorization().FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil || r.Method != http.MethodPost || r.URL.Path != "/" {
		return refuse("AuthFailure.InvalidAuthorization", "The request's Authorization header is not of the form of TC3-HMAC-SHA256.")
	}
	id, date, service, names, signature := m[1], m[2], m[3], strings.Split(m[4], ";"), m[5]
	seconds, err := strconv.ParseInt(r.Header.Get("X-TC-Timestamp"), 10, 64)
	at := time.Unix(seconds, 0)
	if err != nil || at.UTC().Format(time.DateOnly) != date || !slices.Contains(names, "content-type") || !slices.Contains(names, "host") {
		return refuse("AuthFailure.InvalidAuthorization", "The Credential's date does not match X-TC-Timestamp, or a header is not signed.")
	}
	if away := c.now.Sub(at).Abs(); away > 5*time.Minute {
		return refuse("AuthFailure.SignatureExpire", "The provided credentials have expired: X-TC-Timestamp is %d seconds from the server's time.", int(away.Seconds()))
	}
	k := s.keys[id]
	if k == nil || k.Inactive || c.now.Before(k.known) {
		return refuse("AuthFailure.SecretIdNotFound", "The SecretId is not found, please ensure that your SecretId is correct.")
	}
	if r.Header.Get("X-TC-Token") != "" {
		return refuse("AuthFailure.TokenFailure", "The token is not valid.")
	}
	var headers strings.Builder
	for _, name := range names {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "x-tc-action":
			value = strings.ToLower(value)
		}
		headers.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	canonical := "POST\n/\n" + r.URL.RawQuery + "\n" + headers.String() + "\n" + m[4] + "\n" + hash(string(body))
	signing := []byte("TC3" + k.Secret)
	for _, part := range []string{date, service, "tc3_request"} {
		signing = sign(signing, part)
	}
	text := "TC3-HMAC-SHA256\n" + r.Header.Get("X-TC-Timestamp") + "\n" + date + "/" + service + "/tc3_request\n" + hash(canonical)
	if !hmac.Equal([]byte(hex.EncodeToString(sign(signing, text))), []byte(signature)) {
		return refuse("AuthFailure.SignatureFailure", "The provided credentials could not be validated. Please check your signature is correct.")
	}
	c.service, c.key, c.caller = service, k, k.owner
	k.use(c.now)
	return nil
}

func sign(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// admit refuses what comes too often: more than the limit in any second.
func (s *Service) admit(c *call) error {
	limit, ok := s.limits[c.action]
	if !ok {
		limit = 20
	}
	name := fmt.Sprintf("%d/%s", c.caller.root.Uin, c.action)
	old := slices.IndexFunc(s.recent[name], func(at time.Time) bool { return c.now.Sub(at) < time.Second })
	if old < 0 {
		old = len(s.recent[name])
	}
	s.recent[name] = s.recent[name][old:]
	if n := len(s.recent[name]); n >= limit {
		return refuse("RequestLimitExceeded", "Your current request times equals to `%d` in a second, which exceeds the frequency limit `%d` for a second. Please reduce the frequency of calls.", n+1, limit)
	}
	s.recent[name] = append(s.recent[name], c.now)
	return nil
}
