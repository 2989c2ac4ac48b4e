package abuse

import (
	"fmt"
	"maps"
	"regexp"
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

// A twin is the name of something that another account has, and one of the same form and
// length that nobody has.
type twin struct{ foreign, missing string }

// twins answers them by the kind of field that names such things, and, where the table has
// no kind for them, by the name of the field. Of channels, incidents, findings and
// rotations the other account has none in this world; any of its names stands for them.
func (w *world) twins() (byKind map[kind][]twin, byName map[string]twin) {
	n := w.names
	missing := "key-" + strings.Repeat("a", len(n["foreign"])-len("key-"))
	arn := func(name string) string { return "acs:kms:cn-hangzhou:" + n["foreign.account"] + ":" + name }
	byKind = map[kind][]twin{
		keyName: {
			{n["foreign"], missing}, {n["foreign.alias"], "alias/missing"}, {n["foreign.arn"], strings.Replace(n["foreign.arn"], n["foreign"], missing, 1)},
			{arn(n["foreign.alias"]), arn("alias/missing")},
		},
		versionID:      {{n["foreign.version"], "00000000-0000-4000-8000-000000000000"}},
		oldAlias:       {{n["foreign.alias"], "alias/missing"}, {arn(n["foreign.alias"]), arn("alias/missing")}},
		userName:       {{"stranger", "nonesuch"}},
		policyName:     {{"foreign-policy", "missing-policy"}},
		secretName:     {{"foreign-secret", "missing-secret"}, {n["foreign.secret"], strings.Replace(n["foreign.secret"], "foreign-secret", "missing-secret", 1)}},
		sinkName:       {{"foreign-sink", "missing-sink"}},
		nodeName:       {{"foreign-node", "missing-node"}},
		rolloutName:    {{"foreign-rollout", "missing-rollout"}},
		targetName:     {{"foreign-target", "missing-target"}},
		offerName:      {{"foreign-offer", "missing-offer"}},
		repositoryName: {{"foreign-repository", "missing-repository"}},
		instanceName:   {{"foreign-instance", "missing-instance"}, {n["foreign.instance"], "kst-aaaaaaaaaaaaaaaaaaaaaaaaaa"}},
		roleName:       {{"foreign-role", "missing-role"}},
		tokenID:        {{n["foreign.token"], "0000000000000000"}},
		accessKey:      {{n["stranger.ak"], n["missing.ak"]}},
		sequence:       {{n["foreign.seq"], "999999"}},
		blob:           {{n["foreign.blob"], n["mangled.blob"]}},
	}
	byName = map[string]twin{
		"{idp}":      {"foreign-idp", "missing-idp"},
		"{provider}": {"foreign-provider", "missing-provider"}, "provider": {"foreign-provider", "missing-provider"}, "{plan}": {"foreign-plan", "missing-plan"}, "plan": {"foreign-plan", "missing-plan"},
		"{person}": {"foreign-person", "missing-person"}, "person": {"foreign-person", "missing-person"}, "{rota}": {"foreign-rota", "missing-rota"},
		"{rule}": {"foreign-rule", "missing-rule"}, "{approval}": {n["foreign.approval"], n["foreign.approval"][:len(n["foreign.approval"])-1] + "0"},
		"ResourceId.1": {n["foreign"], missing}, "aliases": {n["foreign.alias"], "alias/missing"}, "resource": {n["foreign.arn"], strings.Replace(n["foreign.arn"], n["foreign"], missing, 1)},
		"{channel}": {"stranger", "nonesuch"}, "{incident}": {"stranger", "nonesuch"}, "{rotation}": {"stranger", "nonesuch"}, "{id}": {"stranger", "nonesuch"}, "{log}": {"stranger", "nonesuch"}, "{credential}": {"stranger", "nonesuch"}, "{account}": {"stranger", "nonesuch"},
	}
	return byKind, byName
}

// A spelling writes a name in another way, of which some server, somewhere, has thought that
// it is the same.
type spelling struct {
	name string
	of   func(string) string
	raw  bool // stands in a path as it is
}

// spellingsOf answers the spellings of names, in a field or in a path.
func (w *world) spellingsOf(inPath bool) []spelling {
	owner, own := w.names["foreign.account"], w.names["account"]
	around := func(before, after string) func(string) string {
		return func(s string) string { return before + s + after }
	}
	hex := func(format string) func(string) string {
		return func(s string) string {
			var b strings.Builder
			for _, c := range []byte(strings.ReplaceAll(s, "/", "~")) {
				fmt.Fprintf(&b, format, c)
			}
			return b.String()
		}
	}
	list := []spelling{
		{"plain", around("", ""), false}, {"upper case", strings.ToUpper, false}, {"title case", func(s string) string { return strings.ToUpper(s[:1]) + s[1:] }, false},
		{"space after", around("", " "), false}, {"space before", around(" ", ""), false}, {"NUL after", around("", "\x00"), false}, {"newline after", around("", "\n"), false},
		{"zero-width space", around("", "\u200b"), false}, {"slash after", around("", "/"), false}, {"slash before", around("/", ""), false},
		{"dot", around("./", ""), false}, {"up", around("../"+owner+"/", ""), false}, {"qualified", around(owner+"/", ""), false}, {"with colon", around(owner+":", ""), false},
		{"as key", around("key/", ""), false}, {"in the owner's name", around("acs:kms:cn-hangzhou:"+owner+":key/", ""), false}, {"in the owner's alias", around("acs:kms:cn-hangzhou:"+owner+":", ""), false},
		{"in the own name", around("acs:kms:cn-hangzhou:"+own+":key/", ""), false}, {"no account", around("acs:kms:cn-hangzhou::key/", ""), false}, {"any account", around("acs:kms:cn-hangzhou:*:key/", ""), false},
		{"no region", around("acs:kms::"+owner+":key/", ""), false}, {"any region", around("acs:kms:*:"+owner+":key/", ""), false}, {"shouted", around("ACS:KMS:cn-hangzhou:"+owner+":key/", ""), false},
		{"of RAM", around("acs:ram::"+owner+":user/", ""), false}, {"of keyward", around("acs:keyward:cn-hangzhou:"+owner+":", ""), false}, {"percent", hex("%%%02x"), false}, {"star", around("", "*"), false},
	}
	if inPath {
		list = append(list, spelling{"hexadecimal", hex("%%%02x"), true}, spelling{"HEXADECIMAL", hex("%%%02X"), true}, spelling{"twice hexadecimal", hex("%%25%02x"), true}, spelling{"parameter after", around("", ";a=b"), true})
	}
	return list
}

// Every operation treats what belongs to another account as what is not there, to the
// letter, however it is spelt. The matrix is made from the tables of the operations: every
// name in a path must have a twin.
func TestL15EveryRouteWithForeignNames(t *testing.T) {
	w := newWorld(t)
	g := newGenerator(w, nil, 1, 1)
	w.names["missing.ak"] = start(t, config.Limits{}, time.Now).root.id
	w.names["mangled.blob"] = g.shortened("foreign.blob")
	records, err := w.client(t, w.foreign).ListAuditRecords(t.Context(), api.ListAuditRecordsRequest{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	w.names["foreign.seq"] = fmt.Sprint(records.Records[0].Seq)
	cells := w.cells(t)
	rows, todo := w.rows(t), make(chan cell)
	var tried atomic.Int64
	var running sync.WaitGroup
	for n := range senders {
		running.Go(func() {
			l := &line{w: w, dialect: restDialect}
			defer l.close()
			g := newGenerator(w, nil, 1, uint64(n+2))
			for c := range todo {
				tried.Add(w.tryCell(t, l, g, c))
			}
		})
	}
	for _, c := range cells {
		todo <- c
	}
	close(todo)
	running.Wait()
	if diff := cmp.Diff(rows, w.rows(t)); diff != "" {
		t.Errorf("something was changed (-before +after):\n%s", diff)
	}
	t.Logf("%d names in the operations, %d pairs of requests", len(cells), tried.Load())
	if len(cells) < 300 || tried.Load() < 9000 {
		t.Errorf("only %d names and %d pairs", len(cells), tried.Load())
	}
	w.checkOwner(t, g, cells)
	w.checkLists(t, g)
	w.checkBorrower(t, g, cells)
	w.log.check(t)
}

// checkBorrower holds that a key's policy opens what it names to whom it names, and nothing
// else to anybody: every other operation of the borrower, and every operation of the root
// user of the same account, still cannot tell the key from one that is missing.
func (w *world) checkBorrower(t *testing.T, g *generator, cells []cell) {
	t.Helper()
	ctx, owner := t.Context(), w.names["foreign.account"]
	borrower := w.borrower(t)
	lend := `{"Version":"1","Statement":{"Effect":"Allow","Principal":{"RAM":"acs:ram::` + w.names["account"] + `:user/borrower"},"Action":["kms:Encrypt","kms:DescribeKey"],"Resource":"*"}}`
	if err := w.client(t, w.foreign).SetKeyPolicy(ctx, w.names["foreign"], api.KeyPolicy{Document: lend}); err != nil {
		t.Fatal(err)
	}
	opened := 0
	for _, c := range cells {
		if c.f.kind != keyName || !strings.HasPrefix(c.foreign, "acs:kms:cn-hangzhou:"+owner+":key/") {
			continue
		}
		lent := slices.Contains([]string{"Encrypt", "EncryptBatch", "DescribeKey", "PublishKey"}, c.op.name) // the last one describes it
		for who, caller := range map[string]caller{"borrower": borrower, "root": w.root} {
			var said [2]string
			for i, name := range []string{c.foreign, c.missing} {
				r := w.named(g, c.op, c.f, name)
				r.who = caller
				a := w.send(t, r)
				said[i] = fmt.Sprint(a.status, " ", neutral(a, name))
			}
			switch open := lent && who == "borrower"; {
			case open != strings.HasPrefix(said[0], "200"), !open && said[0] != said[1]:
				t.Errorf("%s %s by the %s, with what is lent and with what is missing:\n%s\n%s", c.op.dialect, c.op.name, who, said[0], said[1])
			case open:
				opened++
			}
		}
	}
	if opened != 6 { // two operations in two dialects, and two of REST
		t.Errorf("%d operations are open to the borrower", opened)
	}
}

// borrower makes a user whose own account allows everything in every way.
func (w *world) borrower(t *testing.T) caller {
	t.Helper()
	ctx, c := t.Context(), w.client(t, w.root)
	document := `{"Version":"1","Statement":{"Effect":"Allow","Action":"*","Resource":["*","acs:kms:*:` + w.names["foreign.account"] + `:*"]}}`
	if _, err := c.CreatePolicy(ctx, api.CreatePolicyRequest{Name: "borrowing", Document: document}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateUser(ctx, api.CreateUserRequest{Name: "borrower"}); err != nil {
		t.Fatal(err)
	}
	if err := c.AttachPolicy(ctx, "borrower", "borrowing"); err != nil {
		t.Fatal(err)
	}
	issued, err := c.CreateAccessKey(ctx, "borrower", api.CreateAccessKeyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return caller{issued.AccessKey.ID, string(issued.Secret)}
}

// checkOwner holds that the twins are there for the account that has them: otherwise the
// matrix would compare nothing with nothing.
func (w *world) checkOwner(t *testing.T, g *generator, cells []cell) {
	t.Helper()
	seen := map[string]bool{}
	for _, c := range cells {
		if c.op.method != "GET" || !strings.HasPrefix(c.f.name, "{") || strings.Count(c.op.path, "{") > 1 || seen[c.foreign] {
			continue
		}
		r := w.named(g, c.op, c.f, c.foreign)
		r.who = w.foreign
		if a := w.send(t, r); a.status == 200 {
			seen[c.foreign] = true
		}
	}
	if len(seen) < 12 {
		t.Errorf("the other account finds only %v", slices.Sorted(maps.Keys(seen)))
	}
}

// A cell of the matrix is one name in one operation.
type cell struct {
	op operation
	f  field
	twin
}

// cells makes the matrix from the tables.
func (w *world) cells(t *testing.T) (cells []cell) {
	t.Helper()
	byKind, byName := w.twins()
	for _, op := range operations(t) {
		if op.dialect == operatorDialect {
			continue // the operator sees all accounts
		}
		for _, f := range op.fields {
			pairs := byKind[f.kind]
			if pair, ok := byName[f.name]; ok && (f.kind == userName || f.kind == texts || f.kind == label) {
				pairs = []twin{pair}
			}
			if f.name == "uses" {
				continue // how often, which is nobody's
			}
			switch f.kind {
			case newName, newAlias, newSecret, stageName, secretVersion:
				continue // makes something of the own account, or is part of what another field names
			}
			if len(pairs) == 0 && strings.HasPrefix(f.name, "{") {
				t.Errorf("%s %s: nothing is known of another account's %s", op.dialect, op.name, f.name)
			}
			for _, pair := range pairs {
				cells = append(cells, cell{op, f, pair})
			}
		}
	}
	return cells
}

// tryCell sends an operation with what is foreign and with what is missing, in every
// spelling, and holds the answers against each other.
func (w *world) tryCell(t *testing.T, l *line, g *generator, c cell) (tried int64) {
	t.Helper()
	op, f := c.op, c.f
	named := f.required && op.name != "SimulatePolicy" // which asks about a name, whatever is there
	for _, s := range w.spellingsOf(strings.HasPrefix(f.name, "{")) {
		if s.name != "plain" && (f.kind == sequence || f.kind == blob) {
			continue // these are no names
		}
		var said [2]string
		for i, name := range []string{c.foreign, c.missing} {
			spelt := s.of(name)
			r := w.named(g, op, f, spelt)
			if s.raw {
				r.path = strings.Replace(r.path, pathText(spelt, f.kind), spelt, 1)
			}
			m := r.message(w.api)
			a, err := l.exchange(m.method, string(m.bytes()), true)
			if err != nil || a.status >= 500 || a.status < 400 && named {
				t.Errorf("%s %s with %s %q (%s): %v %d %s", op.dialect, op.name, f.name, spelt, s.name, err, a.status, a.body)
			}
			said[i] = fmt.Sprint(a.status, " ", neutral(a, spelt, name))
		}
		tried++
		if said[0] != said[1] {
			t.Errorf("%s %s with %s (%s): what is foreign and what is missing differ:\n%s\n%s", op.dialect, op.name, f.name, s.name, said[0], said[1])
		}
	}
	return tried
}

var hostID = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)

// neutral answers what was said, without the request's id and without the name itself.
func neutral(a answer, names ...string) string {
	body := strings.ReplaceAll(a.body, a.header.Get("x-acs-request-id"), "ID")
	body = hostID.ReplaceAllString(body, "HOST") // a short name may be in a port
	for _, name := range names {
		last := name[strings.LastIndexAny(name, ":/")+1:]
		for _, text := range []string{name, strings.ToUpper(name), last, strings.ToUpper(last), strings.ToUpper(last[:min(1, len(last))]) + last[min(1, len(last)):], strings.ReplaceAll(name, "%25", "%")} {
			if text != "" {
				body = strings.ReplaceAll(body, text, "NAME")
			}
		}
	}
	return body
}

// checkLists looks for anything foreign in every list.
func (w *world) checkLists(t *testing.T, g *generator) {
	t.Helper()
	for _, op := range operations(t) {
		if op.dialect == operatorDialect || !strings.HasPrefix(op.name, "List") {
			continue
		}
		a := w.send(t, w.valid(op, g))
		if a.status != 200 {
			t.Errorf("%s %s: %d %s", op.dialect, op.name, a.status, a.body)
		}
		for _, name := range []string{w.names["foreign"], w.names["foreign.account"], w.names["foreign.version"], w.names["foreign.secret"], w.names["stranger.ak"], "stranger", "foreign-"} {
			if strings.Contains(a.body, name) {
				t.Errorf("%s %s answers %s of another account: %s", op.dialect, op.name, name, a.body)
			}
		}
	}
}
