package abuse

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/app"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/clock"
	"github.com/keyward/keyward/internal/config"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/database"
)

// A refusing is a world whose audit log can be made to fail.
type refusing struct {
	*world
	store    *failing
	writable *sql.DB // for triggers
	ahead    atomic.Int64
	g        *generator
	ops      []operation
	sent     map[string]sentCall // by request id
	refused  atomic.Int64
	calls    atomic.Int64
}

// A sentCall is a call that was made while the log failed.
type sentCall struct {
	name    string
	refused bool
	changed map[string]int // rows that became others, by table
}

var errInjected = errors.New("injected failure")

// newRefusing makes a world in which every operation is valid, also those for which
// something must be a week old.
func newRefusing(t *testing.T) *refusing {
	t.Helper()
	r := &refusing{store: &failing{}, sent: map[string]sentCall{}}
	now := func() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) }
	begun := time.Now()
	r.world = start(t, config.Limits{}, now, func(o *app.Options) {
		o.AuditStore = func(s audit.Store) audit.Store { r.store.Store = s; return r.store }
		o.Machine = func() clock.Machine { return clock.Machine{Boot: "test", Since: now().Sub(begun)} }
		o.Awake = func() time.Duration { return time.Since(begun) }
	})
	r.fill(t)
	r.g, r.ops = newGenerator(r.world, nil, 1, 1), audited(t)
	var err error
	if r.writable, err = sql.Open("sqlite", "file:"+strings.TrimPrefix(string(r.config.Database), "sqlite:")+"?_pragma=busy_timeout(5000)"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.writable.Close() }) // what it wrote was looked at
	r.ahead.Store(int64(8 * 24 * time.Hour))
	r.fillShares(t)
	return r
}

// audited answers every operation that leaves a record. Those that end or begin an engine
// are not among them; they have tests of their own.
func audited(t *testing.T) (out []operation) {
	t.Helper()
	for _, op := range operations(t) {
		if op.dialect == operatorDialect {
			continue
		}
		if op.name == "CreateKeyVersion" { // of a key each, which is a week old in this world
			op.refused, op.fields = false, []field{need(op.fields[0].name, keyName, "$describe."+map[string]string{rpcDialect: "rpc", restDialect: "rest"}[op.dialect])}
		}
		if op.name == "RevokeNodeToken" { // tokens live for a week at most: whoever makes one there forgets this one
			op.refused = true
		}
		out = append(out, op)
	}
	known := maps.Clone(unaudited)
	for _, op := range operatorAudited {
		known[op.method+" "+op.path] = true
		out = append(out, op)
	}
	for _, op := range operatorEngine {
		known[op] = true
	}
	text, err := os.ReadFile("../../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## The operator API")
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("\\| `((?:GET|POST) /v1/[a-z/-]+)` \\|").FindAllStringSubmatch(table, -1) {
		documented[m[1]] = true
	}
	if diff := gocmp.Diff(documented, known); diff != "" {
		t.Fatalf("operations of the operator (-documented +tried):\n%s", diff)
	}
	return out
}

// unaudited is what an operator reads without a record: how the server stands.
var unaudited = map[string]bool{"GET /v1/status": true, "GET /v1/audit/logs": true, "POST /v1/session": true}

// operatorEngine begins or ends an engine.
var operatorEngine = []string{"POST /v1/init", "POST /v1/unseal", "POST /v1/seal"}

func opening(name, members string) operation {
	return operation{dialect: operatorDialect, name: "OpenRootKey " + name, method: "POST", path: "/v1/root-key", fields: []field{{name: "", value: members}}}
}

// operatorAudited is what an operator does on record.
var operatorAudited = []operation{
	{dialect: operatorDialect, name: "CreateAccount", method: "POST", path: "/v1/accounts", fields: []field{need("name", newName, "made")}},
	{dialect: operatorDialect, name: "ListAccounts", method: "GET", path: "/v1/accounts"},
	{dialect: operatorDialect, name: "ProveAuditRecord", method: "GET", path: "/v1/audit/proof", fields: []field{need("log", texts, "$log"), need("seq", sequence, "$seq")}},
	{dialect: operatorDialect, name: "ExportAudit", method: "GET", path: "/v1/audit/export"},
	{dialect: operatorDialect, name: "Scrub", method: "POST", path: "/v1/scrub"},
	{dialect: operatorDialect, name: "AcceptClock", method: "POST", path: "/v1/clock", refused: true}, // it has not jumped
	{dialect: operatorDialect, name: "CancelRootKeySession", method: "POST", path: "/v1/cancel", fields: []field{need("session", texts, "$session")}},
	opening("test", `{"act":"test","passphrase":"$passphrase"}`),
	refused(opening("wrong", `{"act":"test","passphrase":"bm90IHRoaXMgb25lIGVpdGhlcg=="}`)),
	opening("add", `{"act":"add","passphrase":"$passphrase","name":"more","shares":3,"threshold":2}`),
	opening("remove", `{"act":"remove","passphrase":"$passphrase","name":"spare","acceptUntested":true}`),
	opening("epoch", `{"act":"epoch","passphrase":"$passphrase"}`),
	opening("share", `{"act":"test","share":"$share"}`),
}

// fillShares makes root envelopes, and begins a session.
func (r *refusing) fillShares(t *testing.T) {
	t.Helper()
	r.names["passphrase"] = base64.StdEncoding.EncodeToString([]byte(sealtest.Passphrase))
	for _, members := range []string{
		`{"act":"add","passphrase":"$passphrase","name":"holders","shares":3,"threshold":2}`,
		`{"act":"add","passphrase":"$passphrase","name":"spare","newPassphrase":"` + base64.StdEncoding.EncodeToString([]byte("another fake passphrase")) + `"}`,
		`{"act":"test","share":"$share"}`,
	} {
		a := r.call(t, opening("", members))
		var out api.RootKeySession
		if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.status != 200 {
			t.Fatalf("%s: %d %s", members, a.status, a.body)
		}
		if len(out.Deliveries) > 0 {
			r.names["share"] = string(out.Deliveries[0].Text)
		}
		r.names["session"] = string(out.Session)
	}
}

// call makes the valid call of an operation.
func (r *refusing) call(t *testing.T, op operation) answer {
	t.Helper()
	m := r.request(op)
	return r.sendBytes(t, op.dialect, m.method, string(m.bytes()))
}

func (r *refusing) request(op operation) message {
	if len(op.fields) == 1 && op.fields[0].name == "" { // a body as it is
		q := request{op: op, method: op.method, path: op.path, kind: "application/json", body: op.fields[0].value}
		for _, name := range []string{"passphrase", "share"} {
			q.body = strings.ReplaceAll(q.body, "$"+name, r.names[name])
		}
		return q.message(r.api)
	}
	if op.name == "CancelRootKeySession" {
		q := request{op: op, method: op.method, path: op.path, kind: "application/json", members: []pair{{"session", quote(r.names["session"])}}}
		return q.message(r.api)
	}
	q := r.valid(op, r.g)
	q.date = timestamp(time.Now().Add(time.Duration(r.ahead.Load())))
	return q.message(r.api)
}

// arm makes the log fail until disarm is called.
func (r *refusing) arm(t *testing.T, f failure) (disarm func()) {
	t.Helper()
	undo := func() {}
	if f.step == atDevice {
		device := "/dev/full"
		if errors.Is(f.err, syscall.EINVAL) {
			device = "/dev/null"
		}
		undo = replaceJournal(t, r.config.DataDir, device)
	}
	r.store.failure.Store(&f)
	return func() {
		r.store.failure.Store(nil)
		undo()
	}
}

// trigger has the database refuse to write certain tables.
func (r *refusing) trigger(t *testing.T, at step) (undo func()) {
	t.Helper()
	tables := map[string][]string{"audit_batch": {"INSERT"}}
	switch at {
	case atHead:
		tables = map[string][]string{"audit_log": {"UPDATE"}}
	case atChange:
		tables = map[string][]string{}
		for name := range r.rows(t) {
			tables[name] = []string{"INSERT", "UPDATE", "DELETE"}
		}
	}
	do := func(statement string) {
		t.Helper()
		if _, err := r.writable.ExecContext(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for table, verbs := range tables {
		for _, verb := range verbs {
			do("CREATE TRIGGER fail_" + table + "_" + verb + " BEFORE " + verb + " ON " + table + " BEGIN SELECT RAISE(ABORT, 'injected failure'); END")
		}
	}
	return func() {
		for table, verbs := range tables {
			for _, verb := range verbs {
				do("DROP TRIGGER fail_" + table + "_" + verb)
			}
		}
	}
}

// What an answer may say when the log failed.
const (
	saysNothing = "nothing was done; try again"
	saysUnsure  = "it is not certain that nothing was done; look before you try again"
)

// checkRefused says what is wrong with an answer that was given while the log failed.
func (r *refusing) checkRefused(op operation, a answer) error {
	code, _, err := errorOf(a)
	want := "AuditUnavailable"
	if op.dialect == rpcDialect {
		want = "ServiceUnavailableTemporary"
	}
	switch {
	case a.status != 503:
		return fmt.Errorf("the status is %d", a.status)
	case err != nil:
		return err
	case code != want:
		return fmt.Errorf("the code is %s, want %s", code, want)
	case !strings.Contains(a.body, saysNothing) && !strings.Contains(a.body, saysUnsure):
		return errors.New("it does not say what was done")
	case len(a.body) > 700:
		return errors.New("it says more than an error")
	}
	whole := a.body + fmt.Sprint(a.header)
	for _, secret := range r.canaries() {
		if strings.Contains(whole, secret) {
			return fmt.Errorf("it holds %.12s…", secret)
		}
	}
	return nil
}

// canaries are what no refusal may hold.
func (r *refusing) canaries() []string {
	out := []string{
		"known secret", base64.StdEncoding.EncodeToString([]byte("known secret one")), base64.StdEncoding.EncodeToString([]byte("known secret two")),
		"known plaintext", base64.StdEncoding.EncodeToString([]byte("known plaintext")), "a25vd24=", "BEGIN PUBLIC KEY",
		r.root.secret, r.nobody.secret, r.foreign.secret, sealtest.Passphrase,
	}
	for _, name := range []string{"blob", "rsa.blob", "signature", "share", "passphrase"} {
		out = append(out, r.names[name])
	}
	return out
}

var whoAmI = operation{dialect: restDialect, name: "WhoAmI", method: "GET", path: "/v1/whoami"}

// heal waits until the log is well again after a failure; a call may be refused once
// when it turns out that what seemed to fail took effect.
func (r *refusing) heal(t *testing.T) {
	t.Helper()
	var a answer
	for range 2 {
		if a = r.call(t, whoAmI); a.status == 200 {
			return
		}
	}
	t.Fatalf("after the failure is over, the log does not get well: %d %s", a.status, a.body)
}

// refusals are the failures that must change nothing.
func refusals() map[string]failure {
	out := map[string]failure{}
	for name, f := range map[string]failure{
		"begin":            {step: atBegin, err: errInjected},
		"claim":            {step: atClaim, err: errInjected},
		"change":           {step: atChange, err: errInjected},
		"insert":           {step: atInsert, err: errInjected},
		"move head":        {step: atHead, err: errInjected},
		"commit":           {step: atCommit, err: syscall.EIO},
		"no space":         {step: atDevice, err: syscall.ENOSPC},
		"sync":             {step: atDevice, err: syscall.EINVAL},
		"database is gone": {step: atBegin, err: sql.ErrConnDone, head: sql.ErrConnDone, probe: sql.ErrConnDone},
	} {
		out[name] = f
		f.probe = errInjected
		out[name+", probe fails"] = f
	}
	return out
}

// TestAuditFailure makes every audited operation while writing its record fails at every
// step. It must be refused, whatever it is and wherever that is, and change nothing. That
// the commit took effect and only the answer was lost is the one case in which something
// may have happened: exactly what the operation's one record says, and the answer says
// that it is not certain.
func TestAuditFailure(t *testing.T) {
	before := goroutines()
	var refused, calls, routes, steps atomic.Int64
	t.Run("worlds", func(t *testing.T) {
		kinds := refusals()
		names := slices.Sorted(maps.Keys(kinds))
		const worlds = 3
		for part := range worlds {
			t.Run(fmt.Sprintf("refused %d", part), func(t *testing.T) {
				t.Parallel()
				r := newRefusing(t)
				routes.Store(int64(len(r.ops)))
				for i, name := range names {
					if i%worlds == part {
						r.refuse(t, name, kinds[name])
						steps.Add(1)
					}
				}
				if part == 0 {
					for name, f := range map[string]failure{"hang at begin": {step: atBegin}, "hang at commit": {step: atCommit}} {
						r.hang(t, name, f)
						steps.Add(1)
					}
				}
				r.everythingWorks(t)
				r.verify(t)
				refused.Add(r.refused.Load())
				calls.Add(r.calls.Load())
			})
		}
		for name, f := range map[string]failure{
			"commit lost, head unreadable": {step: afterward, err: errInjected, head: errInjected},
			"commit lost, probe fails":     {step: afterward, err: errInjected, probe: errInjected},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r := newRefusing(t)
				r.lose(t, name, f)
				steps.Add(1)
				r.verify(t)
				refused.Add(r.refused.Load())
				calls.Add(r.calls.Load())
			})
		}
	})
	t.Logf("%d audited operations, %d ways to fail: %d of %d calls refused", routes.Load(), steps.Load(), refused.Load(), calls.Load())
	if refused.Load() != calls.Load() || os.Getenv("KEYWARD_REFUSALS") == "all" && calls.Load() != routes.Load()*steps.Load() {
		t.Error("not all calls were refused")
	}
	awaitGoroutines(t, before)
}

// refuse makes every call under one failure.
func (r *refusing) refuse(t *testing.T, name string, f failure) {
	t.Helper()
	rows := r.rows(t)
	if f.step == atChange || f.step == atInsert || f.step == atHead {
		defer r.trigger(t, f.step)() // for the whole step: calls that change nothing do not meet it
	}
	for _, op := range r.part(name) {
		hits := r.store.hits.Load()
		disarm := r.arm(t, f)
		a := r.call(t, op)
		for range 5 { // on a busy machine the store may fail by itself before it comes to this failure
			if f.step == atDevice || r.store.hits.Load() > hits {
				break
			}
			a = r.call(t, op)
		}
		disarm()
		r.note(t, name, op, a)
		if f.step != atDevice && r.store.hits.Load() == hits {
			t.Errorf("%s: %s %s met no failure", name, op.dialect, op.name)
		}
		if f.probe != nil || f.step == atDevice {
			r.heal(t) // else the next call does
		}
	}
	r.heal(t)
	if diff := gocmp.Diff(rows, r.rows(t)); diff != "" {
		t.Errorf("%s: rows changed (-before +after):\n%s", name, diff)
	}
}

// part answers the operations that are called under one failure: all if
// KEYWARD_REFUSALS=all, otherwise a fifth, of each failure another one.
func (r *refusing) part(name string) (out []operation) {
	if os.Getenv("KEYWARD_REFUSALS") == "all" {
		return r.ops
	}
	names := slices.Sorted(maps.Keys(refusals()))
	for i, op := range r.ops {
		if (i+slices.Index(names, name))%5 == 0 {
			out = append(out, op)
		}
	}
	return out
}

// note checks a refusal and remembers it.
func (r *refusing) note(t *testing.T, name string, op operation, a answer) {
	t.Helper()
	r.calls.Add(1)
	if err := r.checkRefused(op, a); err != nil {
		t.Errorf("%s: %s %s: %v\n%d %.600s", name, op.dialect, op.name, err, a.status, a.body)
		return
	}
	r.refused.Add(1)
	r.sent[a.header.Get("x-acs-request-id")] = sentCall{name: op.dialect + " " + op.name, refused: true}
}

// hang makes every call at once while the store hangs.
func (r *refusing) hang(t *testing.T, name string, f failure) {
	t.Helper()
	rows := r.rows(t)
	messages, answers := make([]message, len(r.ops)), make([]answer, len(r.ops))
	for i, op := range r.ops {
		messages[i] = r.request(op)
	}
	disarm := r.arm(t, f)
	var running sync.WaitGroup
	for i, op := range r.ops {
		running.Go(func() {
			l := &line{w: r.world, dialect: op.dialect}
			defer l.close()
			a, err := l.exchange(messages[i].method, string(messages[i].bytes()), true)
			if err != nil {
				t.Errorf("%s: %s %s: %v", name, op.dialect, op.name, err)
			}
			answers[i] = a
		})
	}
	running.Wait()
	disarm()
	for i, op := range r.ops {
		r.note(t, name, op, answers[i])
	}
	r.heal(t)
	if diff := gocmp.Diff(rows, r.rows(t)); diff != "" {
		t.Errorf("%s: rows changed (-before +after):\n%s", name, diff)
	}
}

// lose makes every call with a commit whose answer is lost.
func (r *refusing) lose(t *testing.T, name string, f failure) {
	t.Helper()
	rows := r.rows(t)
	for _, op := range r.part(name) {
		a := r.unsure(t, op, f)
		r.note(t, name, op, a)
		if !strings.Contains(a.body, saysUnsure) {
			t.Errorf("%s: %s %s does not say that it is not certain: %.300s", name, op.dialect, op.name, a.body)
		}
		after := r.rows(t)
		r.sent[a.header.Get("x-acs-request-id")] = sentCall{name: op.dialect + " " + op.name, changed: changes(rows, after)}
		r.heal(t)
		rows = after
	}
}

// unsure makes a call until its own commit meets the failure. A record of what keyward does
// by itself may meet it first; then the call is refused for certain, and has no record.
func (r *refusing) unsure(t *testing.T, op operation, f failure) (a answer) {
	t.Helper()
	for try := 1; ; try++ {
		disarm := r.arm(t, f)
		a = r.call(t, op)
		disarm()
		if try == 5 || !strings.Contains(a.body, saysNothing) {
			return a
		}
		r.sent[a.header.Get("x-acs-request-id")] = sentCall{name: op.dialect + " " + op.name, refused: true}
		r.heal(t)
	}
}

// changes counts the rows that became others, came or went, by table. Three tables are left
// out: job has what is to be done later, row_floor what the log says of rows that are gone, and
// leak_sighting what a search said that it saw, which is no decision and is not bound.
func changes(before, after map[string][]string) map[string]int {
	out := map[string]int{}
	for table := range after {
		if table == "job" || table == "row_floor" || table == "leak_sighting" {
			continue
		}
		ids := map[string]bool{}
		for _, row := range slices.Concat(without(before[table], after[table]), without(after[table], before[table])) {
			id, _, _ := strings.Cut(row, "] ")
			ids[id] = true
		}
		if len(ids) > 0 {
			out[table] = len(ids)
		}
	}
	return out
}

// without answers what of a list is not in the other.
func without(list, other []string) (out []string) {
	for _, row := range list {
		if !slices.Contains(other, row) {
			out = append(out, row)
		}
	}
	return out
}

// everythingWorks makes every valid call.
func (r *refusing) everythingWorks(t *testing.T) {
	t.Helper()
	for _, op := range r.ops {
		// What waited for an approval has lapsed in this world's eight days.
		refused := op.refused || op.name == "Reject" && op.dialect == restDialect
		if a := r.call(t, op); (a.status < 300) == refused {
			t.Errorf("when the failures are over, %s %s: %d %.300s", op.dialect, op.name, a.status, a.body)
		}
	}
}

// preparesFirst are the operations before which keyward itself does what has a record of its
// own: it reads the plan's secret, or makes the account's scan key.
var preparesFirst = map[string]bool{
	restDialect + " CreateRotationPlan": true, restDialect + " UpdateRotationPlan": true,
	restDialect + " GetScanKey": true, restDialect + " ReportLeaks": true,
}

// verify stops the server and verifies its log: that it is whole, and that it has no
// record of what was refused, and one of what took effect.
func (r *refusing) verify(t *testing.T) {
	t.Helper()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	db, err := database.OpenReadOnly(t.Context(), string(r.config.Database))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // it was only read
	logs, err := db.Logs(t.Context())
	if err != nil || len(logs) != 1 {
		t.Fatalf("%d logs, %v", len(logs), err)
	}
	if _, err := audit.VerifyStore(t.Context(), db, logs[0].Origin, audit.Trust{PublicKey: logs[0].PublicKey}); err != nil {
		t.Errorf("the log does not verify: %v", err)
	}
	records := map[string][]audit.Entry{}
	err = db.Batches(t.Context(), logs[0].Origin, 0, func(b audit.Batch) error {
		for leaf := range strings.Lines(string(b.Leaves)) {
			e, err := audit.ParseEntry([]byte(strings.TrimSuffix(leaf, "\n")))
			if err != nil {
				return err
			}
			records[e.RequestID] = append(records[e.RequestID], e)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, call := range r.sent {
		have := records[id]
		if call.refused {
			if len(have) != 0 {
				t.Errorf("%s was refused and has a record: %+v", call.name, have)
			}
			continue
		}
		if strings.HasPrefix(call.name, operatorDialect) {
			continue // its records have no request id
		}
		if preparesFirst[call.name] && len(have)+len(call.changed) == 0 {
			continue // that record met the failure, and so it did nothing
		}
		written := map[string]int{}
		for _, e := range have {
			for _, effect := range e.Effects {
				written[effect.Table]++
			}
		}
		if diff := gocmp.Diff(written, call.changed); len(have) != 1 || diff != "" {
			t.Errorf("%s has %d records, want 1; rows (-in the records +in the database):\n%s", call.name, len(have), diff)
		}
	}
}

func awaitGoroutines(t *testing.T, before int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); goroutines() > before+5 && time.Now().Before(end); {
		runtime.Gosched()
		time.Sleep(10 * time.Millisecond) // goroutines end on their own time; there is nothing to wait on
	}
	if after := goroutines(); after > before+5 {
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines before, %d after:\n%s", before, after, stacks[:runtime.Stack(stacks, true)])
	}
}
