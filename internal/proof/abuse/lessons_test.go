package abuse

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/config"
)

// Each test here is named after an incident of another product that it would have found.

// send sends one request and answers what came.
func (w *world) send(t *testing.T, r request) answer {
	t.Helper()
	m := r.message(w.api)
	return w.sendBytes(t, r.op.dialect, m.method, string(m.bytes()))
}

func (w *world) sendBytes(t *testing.T, dialect, method, sent string) answer {
	t.Helper()
	l := &line{w: w, dialect: dialect}
	defer l.close()
	a, err := l.exchange(method, sent, true)
	if err != nil {
		t.Fatalf("%v\n%s", err, describe(sent))
	}
	return a
}

func operationNamed(t *testing.T, dialect, name string) operation {
	t.Helper()
	for _, op := range operations(t) {
		if op.dialect == dialect && op.name == name {
			return op
		}
	}
	t.Fatalf("there is no operation %s", name)
	return operation{}
}

// An answer tells nothing about an access key to who has not its secret: not whether it
// is there, whether it is disabled, or how much of a signature was right. That it is
// there can be told from the time, as an id that was never issued is looked up in the
// database; ids are no secrets and cannot be guessed, and the RPC API says it openly, as
// its clients expect. Nothing else can be told from the time.
func TestL4RefusalsTellNothing(t *testing.T) {
	samples := number(t, "KEYWARD_TIMINGS", 1000)
	w := newWorld(t)
	if _, err := w.client(t, w.root).UpdateAccessKey(t.Context(), w.names["updated.ak"], api.UpdateAccessKeyRequest{Enabled: new(bool)}); err != nil {
		t.Fatal(err)
	}
	op := operationNamed(t, restDialect, "WhoAmI")
	g := newGenerator(w, nil, seed(t), 0)
	l := &line{w: w, dialect: restDialect}
	defer l.close()
	signed := func(id, secret string) message {
		r := w.valid(op, g)
		r.who = caller{id, secret}
		return r.message(w.api)
	}
	elsewhere := start(t, config.Limits{}, time.Now).root.id // well-formed, and of another server
	ways := map[string]func() message{
		"wrong":    func() message { return signed(w.nobody.id, "wrong") },
		"disabled": func() message { return signed(w.names["updated.ak"], "wrong") },
		"nearly right": func() message {
			m := signed(w.nobody.id, w.nobody.secret)
			a := m.value("Authorization")
			last := map[bool]string{true: "1", false: "0"}[strings.HasSuffix(a, "0")]
			m.set("Authorization", a[:len(a)-1]+last)
			return m
		},
		"unknown": func() message { return signed(elsewhere, "wrong") },
	}
	took, bodies := map[string][]float64{}, map[string]string{}
	names := slices.Sorted(maps.Keys(ways))
	for i := range samples + 100 {
		g.Shuffle(len(names), func(a, b int) { names[a], names[b] = names[b], names[a] })
		for _, name := range names {
			m := ways[name]()
			start := time.Now()
			a, err := l.exchange(m.method, string(m.bytes()), true)
			elapsed := time.Since(start)
			if err != nil {
				t.Fatal(err)
			}
			if i >= 100 { // the first are recorded one by one, and warm it up
				took[name] = append(took[name], float64(elapsed))
			}
			bodies[name] = fmt.Sprint(a.status, " ", strings.ReplaceAll(a.body, a.header.Get("x-acs-request-id"), "ID"))
		}
	}
	for _, name := range names {
		if diff := cmp.Diff(bodies["wrong"], bodies[name]); diff != "" {
			t.Errorf("the answers differ (-wrong +%s):\n%s", name, diff)
		}
		z := mannWhitney(took["wrong"], took[name])
		t.Logf("%s: %d samples, median %v, z = %.2f", name, samples, time.Duration(median(took[name])), z)
		if name != "unknown" && math.Abs(z) > 3.89 { // p < 0.0001, two-sided: three of them are held against one
			t.Errorf("the times tell %q from a wrong secret: z = %.2f", name, z)
		}
	}
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

// mannWhitney answers how many standard deviations the rank sum of a lies from where it
// would lie if a and b were of one distribution, whatever that is.
func mannWhitney(a, b []float64) float64 {
	type sample struct {
		value float64
		first bool
	}
	var all []sample
	for _, v := range a {
		all = append(all, sample{v, true})
	}
	for _, v := range b {
		all = append(all, sample{v, false})
	}
	slices.SortFunc(all, func(x, y sample) int { return int(math.Copysign(1, x.value-y.value)) })
	sum := 0.0
	for rank, s := range all {
		if s.first {
			sum += float64(rank + 1)
		}
	}
	n, m := float64(len(a)), float64(len(b))
	return (sum - n*(n+m+1)/2) / math.Sqrt(n*m*(n+m+1)/12)
}

func TestMannWhitneyTellsDistributionsApart(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	same := func(shift float64) (a, b []float64) {
		for range 2000 {
			a, b = append(a, random.ExpFloat64()), append(b, random.ExpFloat64()+shift)
		}
		return a, b
	}
	if z := mannWhitney(same(0)); math.Abs(z) > 3.29 {
		t.Errorf("equal distributions: z = %.2f", z)
	}
	if z := mannWhitney(same(0.2)); z > -3.29 {
		t.Errorf("a shift of a fifth: z = %.2f", z)
	}
}

// What nobody has signed costs little memory, however large, deep or compressed it is.
func TestL11LimitsHoldBeforeAuthentication(t *testing.T) {
	w := start(t, config.Limits{}, time.Now)
	for name, body := range map[string]string{
		"large":       strings.Repeat("x", 1<<20),
		"deep arrays": strings.Repeat("[", 1<<20),
		"deep object": strings.Repeat(`{"a":`, 1<<18),
		"a bomb":      bomb,
	} {
		for _, target := range []string{"/", "/v1/crypto/encrypt", "/v1/policies"} {
			const times, each = 20, 1 << 20 // bytes allocated at most by one request, on both of its ends
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range times {
				l := &line{w: w, dialect: restDialect}
				sent := "POST " + target + " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n" + body
				a, err := l.exchange("POST", sent, true)
				l.close()
				if err == nil && (a.status < 400 || a.status > 499) || err != nil && !hungUp(err) {
					t.Errorf("%s to %s: %d, %v", name, target, a.status, err)
				}
			}
			runtime.ReadMemStats(&after)
			// Each request was put together anew, too.
			if spent := (after.TotalAlloc-before.TotalAlloc)/times - 2*uint64(len(body)); int64(spent) > each {
				t.Errorf("%s to %s: %d bytes allocated by each request", name, target, spent)
			}
		}
	}
	w.log.check(t)
}

// A body that never ends is not read on.
func TestL11EndlessBodiesAreCutOff(t *testing.T) {
	w := start(t, config.Limits{}, time.Now)
	for _, target := range []string{"/", "/v1/policies"} {
		conn, err := net.Dial("tcp", w.api)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", target)
		chunk := "1000\r\n" + strings.Repeat("x", 0x1000) + "\r\n"
		sent := 0
		for err == nil && sent < 1<<30 {
			var n int
			n, err = io.WriteString(conn, chunk)
			sent += n
		}
		if err == nil || sent > 32<<20 { // the system's buffers
			t.Errorf("%s: %d bytes went, then %v", target, sent, err)
		}
		_ = conn.Close() // it is broken already
	}
}

// The limit of calls is one, whatever the dialect, the scheme and the encoding.
func TestL13OneQuotaForAllEncodings(t *testing.T) {
	const limit = 50
	w := start(t, config.Limits{CallsPerAccessKey: limit}, time.Now)
	g := newGenerator(w, nil, 1, 1)
	served, refused, began := 0, map[string]int{}, time.Now()
	for range 20 {
		for _, scheme := range []string{rpc10, acs3, acs3SM3, acs4, restDialect} {
			for _, method := range []string{"GET", "POST"} {
				for _, format := range []string{"json", "xml"} {
					op := rpc("DescribeRegions", "")
					if scheme == restDialect {
						op = operationNamed(t, restDialect, "WhoAmI")
					}
					r := w.valid(op, g)
					r.format = format
					if scheme != restDialect {
						r.scheme, r.method = scheme, method
						p := pair{"RegionId", "x"}
						if method == "POST" {
							r.form = append(r.form, p)
						} else {
							r.query = append(r.query, p)
						}
					}
					switch a := w.send(t, r); a.status {
					case 200:
						served++
					case 429:
						code, _, err := errorOf(a)
						if err != nil || a.header.Get("Retry-After") == "" {
							t.Errorf("%s: %v %s", scheme, err, a.body)
						}
						refused[code]++
					default:
						t.Fatalf("%s %s: %d %s", scheme, method, a.status, a.body)
					}
				}
			}
		}
	}
	most := limit + int(limit*time.Since(began).Seconds()) // meanwhile the bucket fills again
	if served < limit || served > most || refused["Throttled"] == 0 || refused["Rejected.Throttling"] == 0 {
		t.Errorf("%d calls were served, the limit is %d; refused: %v", served, limit, refused)
	}
}

// spellings answers thirty ways to spell a key in a path; good says that the server
// understands it.
func spellings(w *world, name string) map[string]bool {
	id, arn, alias := w.names[name], w.names[name+".arn"], w.names[name+".alias"]
	var hex string
	for _, b := range []byte(id) {
		hex += fmt.Sprintf("%%%02x", b)
	}
	return map[string]bool{
		id: true, escape(arn): false, arn: false, strings.ReplaceAll(alias, "/", "~"): true, strings.ReplaceAll(arn, "/", "~"): true, hex: true, strings.ToUpper(hex): true,
		strings.Replace(id, "-", "%2d", 1): true, strings.Replace(id, "-", "%2D", 1): true, escape(strings.ReplaceAll(w.names["account"], "/", "~")): false,
		strings.ReplaceAll("acs:kms:cn-hangzhou:"+w.names["account"]+":"+alias, "/", "~"): true,
		id + "/": false, "/" + id: false, "./" + id: false, "x/../" + id: false, id + "/.": false, id + "%2f": false, id + "%2F..": false, id + "%00": false, id + "%20": false, "%20" + id: false, id + "%0a": false,
		strings.ToUpper(id): false, strings.Replace(hex, "%", "%25", 1): false, id + ";a=b": false, id + "%3fa": false, id + ".": false, "key~" + id: false, "key/" + id: false, id + "%e2%80%8b": false, "%EF%BB%BF" + id: false, id + "~": false,
	}
}

// A policy that denies a key denies it under every spelling, in every operation.
func TestL14DenyHoldsUnderEverySpelling(t *testing.T) {
	w := newWorld(t)
	ctx, c := t.Context(), w.client(t, w.root)
	denied := w.deny(t)
	tried, rows := 0, w.rows(t)
	for _, op := range operations(t) {
		for _, f := range op.fields {
			if f.kind != keyName || op.refused {
				continue
			}
			name := strings.TrimSuffix(strings.TrimPrefix(f.value, "$"), ".arn")
			for spelt, good := range spellings(w, name) {
				g := newGenerator(w, nil, 1, uint64(tried))
				r := w.valid(op, g)
				r.who = denied
				plain := spelt // as it stands in a parameter
				if strings.HasPrefix(f.name, "{") {
					r.path = strings.Replace(op.path, f.name, spelt, 1)
					for _, other := range op.fields[1:] {
						if !strings.HasPrefix(other.name, "{") {
							break
						}
						r.path = strings.Replace(r.path, other.name, pathText(w.text(other.value), other.kind), 1)
					}
				} else {
					r.query, r.form, r.members = drop(r.query, f.name), drop(r.form, f.name), drop(r.members, f.name)
					plain = strings.ReplaceAll(spelt, "~", "/")
					r.put(g, f, plain)
				}
				tried++
				a := w.send(t, r)
				if a.status < 400 || a.status > 499 || good && strings.HasPrefix(f.name, "{") && a.status != 403 {
					t.Errorf("%s %s with %s %q: %d %s", op.dialect, op.name, f.name, plain, a.status, a.body)
				}
			}
		}
	}
	if diff := cmp.Diff(rows, w.rows(t)); diff != "" {
		t.Errorf("something was changed (-before +after):\n%s", diff)
	}
	if tried < 30*40 {
		t.Errorf("only %d requests", tried)
	}
	// Who is not denied is understood under the good spellings.
	if _, err := c.DescribeKey(ctx, w.names["key.arn"]); err != nil {
		t.Error(err)
	}
	w.log.check(t)
}

// deny makes somebody who may do everything but with keys.
func (w *world) deny(t *testing.T) caller {
	t.Helper()
	ctx, c := t.Context(), w.client(t, w.root)
	document, err := json.Marshal(map[string]any{"Version": "1", "Statement": []any{
		map[string]any{"Effect": "Allow", "Action": "*", "Resource": "*"},
		map[string]any{"Effect": "Deny", "Action": "kms:*", "Resource": "acs:kms:*:*:key/*"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreatePolicy(ctx, api.CreatePolicyRequest{Name: "denying", Document: string(document)}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateUser(ctx, api.CreateUserRequest{Name: "denied"}); err != nil {
		t.Fatal(err)
	}
	if err := c.AttachPolicy(ctx, "denied", "denying"); err != nil {
		t.Fatal(err)
	}
	issued, err := c.CreateAccessKey(ctx, "denied", api.CreateAccessKeyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return caller{issued.AccessKey.ID, string(issued.Secret)}
}

// named is the valid JSON request of an operation but for one name.
func (w *world) named(g *generator, op operation, f field, name string) request {
	for i := range op.fields {
		if op.fields[i].name == f.name {
			op.fields = slices.Clone(op.fields)
			op.fields[i].value = name
		}
	}
	r := w.valid(op, g)
	r.format = "json"
	if op.dialect == rpcDialect {
		r.scheme = acs3
	}
	return r
}

// oddParameters are values that CreateKey may get, good and bad, by parameter.
var oddParameters = map[string][]string{
	"KeySpec":                 {"", "Aliyun_AES_256", "EC_P256", "EC_SM2", "Aliyun_SM4", "AES", "ec_p256", "\x00"},
	"KeyUsage":                {"", "ENCRYPT/DECRYPT", "SIGN/VERIFY", "SIGN", "encrypt/decrypt"},
	"Origin":                  {"", "Aliyun_KMS", "EXTERNAL", "x"},
	"ProtectionLevel":         {"", "SOFTWARE", "HSM", "x"},
	"Description":             {"", "d", strings.Repeat("d", 8192), strings.Repeat("d", 8193), "\u202e", "a\nb"},
	"Tags":                    {"", "[]", "{}", `[{"TagKey":"a","TagValue":""}]`, `[{"TagKey":"a"}]`, `[{}]`, `[null]`, `[{"TagKey":"a","TagValue":"1"},{"TagKey":"a","TagValue":"2"}]`},
	"EnableAutomaticRotation": {"", "true", "false", "True", "yes"},
	"RotationInterval":        {"", "7d", "365d", "6d", "604800s", "0d", "-1d", "99999999999d", "8760h"},
	"DKMSInstanceId":          {"", "kst-x"},
	"KeyStorageMechanism":     {"", "x"},
	"Policy":                  {"", "{}", `{"Version":"1","Statement":[{"Effect":"Allow","Principal":{"RAM":"acs:ram::1111111111111111:user/a"},"Action":"kms:Encrypt","Resource":"*"}]}`},
	"DryRun":                  {"", "true"},
	"RegionId":                {"", "cn-hangzhou", "\xff"},
}

// oddMembers are the same for the REST API, as JSON.
var oddMembers = map[string][]string{
	"spec":        {`""`, `"Aliyun_AES_256"`, `"EC_P256"`, `"EC_SM2"`, `"AES"`, `null`, `1`},
	"usage":       {`""`, `"ENCRYPT/DECRYPT"`, `"SIGN/VERIFY"`, `"SIGN"`, `[]`},
	"description": {`""`, `"d"`, `"\ud800"`, `"\u0000"`, quote(strings.Repeat("d", 8193))},
	"rotation":    {`null`, `{}`, `{"enabled":true}`, `{"enabled":false,"intervalSeconds":604800}`, `{"enabled":true,"intervalSeconds":604800}`, `{"enabled":true,"intervalSeconds":-9223372036854775808}`, `{"enabled":true,"intervalSeconds":9223372036854775807}`, `{"intervalSeconds":0}`},
	"tags":        {`{}`, `null`, `{"a":""}`, `{"":""}`, `{"a":null}`, `[]`, `{"acs:a":"b"}`},
	"policy":      {`""`, `"{}"`, `{}`, `null`},
	"alias":       {`""`, `"alias/odd"`, `"alias/"`, `"alias/acs"`, `"x"`, `{}`},
}

// Every pair of odd parameters of CreateKey, and then random sets of them: nothing but
// keys and refusals comes of it.
func TestL17OddParameterPairs(t *testing.T) {
	w := newWorld(t)
	before := len(w.rows(t)["kms_key"])
	var made, tried atomic.Int64
	todo := make(chan request)
	var running sync.WaitGroup
	for range senders {
		running.Go(func() {
			l := &line{w: w, dialect: restDialect}
			defer l.close()
			for r := range todo {
				m := r.message(w.api)
				a, err := l.exchange(m.method, string(m.bytes()), true)
				tried.Add(1)
				switch {
				case err != nil:
					t.Errorf("%v\n%s", err, describe(string(m.bytes())))
				case a.status == 200:
					made.Add(1)
				case a.status < 400 || a.status > 499:
					t.Errorf("%d %s\n%s", a.status, a.body, describe(string(m.bytes())))
				default:
					if _, _, err := errorOf(a); err != nil {
						t.Errorf("%v: %s", err, a.body)
					}
				}
			}
		})
	}
	g := newGenerator(w, nil, seed(t), 0)
	for _, odd := range []map[string][]string{oddParameters, oddMembers} {
		w.everyPair(g, odd, todo)
	}
	for range number(t, "KEYWARD_PAIRS", 500) {
		w.randomSet(g, todo)
	}
	close(todo)
	running.Wait()
	t.Logf("%d requests made %d keys", tried.Load(), made.Load())
	if grown := len(w.rows(t)["kms_key"]) - before; grown != int(made.Load()) || grown == 0 {
		t.Errorf("%d keys were answered, %d are there", made.Load(), grown)
	}
	w.log.check(t)
}

func (w *world) everyPair(g *generator, odd map[string][]string, todo chan<- request) {
	for first, values := range odd {
		for second, others := range odd {
			if first >= second {
				continue
			}
			for _, one := range values {
				for _, two := range others {
					todo <- w.created(g, odd, pair{first, one}, pair{second, two})
				}
			}
		}
	}
}

// created is a CreateKey with these parameters.
func (w *world) created(g *generator, odd map[string][]string, with ...pair) request {
	if _, native := odd["spec"]; native {
		r := w.valid(operation{dialect: restDialect, name: "CreateKey", method: "POST", path: "/v1/keys", fields: []field{f("spec", word, "")}}, g)
		r.body, r.members = "", with
		return r
	}
	r := w.valid(rpc("CreateKey", ""), g)
	r.query = with
	return r
}

func (w *world) randomSet(g *generator, todo chan<- request) {
	odd := pick(g, oddParameters, oddMembers)
	var with []pair
	for name, values := range odd {
		if g.chance(0.5) {
			with = append(with, pair{name, pick(g, values...)})
		}
	}
	if len(with) > 0 {
		todo <- w.created(g, odd, with...)
	}
}
