package leak

import (
	"bytes"
	"cmp"
	"path"
	"slices"

	"github.com/keyward/keyward/internal/leak/judge"
	"github.com/keyward/keyward/internal/leak/prefilter"
	"github.com/keyward/keyward/internal/leak/syntax"
)

// Context is how much text a part should have before and behind what belongs to it, in
// bytes: more than any structure that is looked for.
const Context = 8 << 10

// A Part is a stretch of a document.
type Part struct {
	Text []byte
	// From and To say what belongs to this part: what begins at From or later and before To.
	// The rest is context, which belongs to the parts beside it.
	From, To int
	Path     string // its words are hints
	// Pool says that the text is a list of strings, one in each line, without an order that
	// means anything, as in compiled programs: what belongs together does not stand together.
	Pool bool
}

// A Match is a credential in a part.
type Match struct {
	Rule       *Rule
	Start, End int // of the secret in Part.Text
	Confidence Confidence
	Severity   Severity
	Identity   []byte // what the fingerprint is of, if not Text[Start:End]
	KeyID      []byte // the identifier that stands with it; points into Part.Text

	rank   int         // how strong the evidence is, between matches of the same stretch
	named  syntax.Span // the name that it is assigned to, if that is what found it
	paired bool        // it is an identifier that is said with its secret, not beside it
}

// A Worker scans parts, one after the other. It is for one goroutine.
type Worker struct {
	scanner  *Scanner
	hits     prefilter.Hits
	near     nearHints
	onPath   pathHints
	matches  []Match
	values   []syntax.Assignment // to names that secrets have
	plain    []byte              // a name, and
	word     []byte              // a word of it, as they are compared
	lastName int                 // where the name ends that was looked at last
	part     Part

	gbk, kubernetes bool // what it met
}

// Worker answers a new worker of the scanner.
func (s *Scanner) Worker() *Worker { return &Worker{scanner: s} }

// Scan answers what stands in a part, in the order of its places. The answer is valid
// until the next call.
func (w *Worker) Scan(p Part) []Match {
	w.part, w.matches, w.values, w.lastName, w.near.known, w.gbk, w.kubernetes = p, w.matches[:0], w.values[:0], -1, false, false, false
	w.scanner.anchors.Find(p.Text, &w.hits)
	for _, h := range w.hits.All {
		u := w.scanner.uses[h.Pattern]
		end := int(h.End)
		start := end - len(w.scanner.byPattern[h.Pattern])
		switch {
		case u.token != nil:
			w.token(u, start, end)
		case u.rule != nil:
			w.find(u.rule, start, end)
		case u.gbk:
			w.gbk = true
		case u.kubernetes:
			w.kubernetes = true
		default:
			w.name(start, end)
		}
	}
	w.pairs()
	w.settle()
	w.dropVectors()
	w.matches = slices.DeleteFunc(w.matches, func(m Match) bool {
		return m.Start < p.From || m.Start >= p.To || m.Rule.Class == Public || m.paired
	})
	return w.matches
}

// GBK tells whether the part that was scanned last names secrets in Chinese and in GBK: in
// UTF-8 it has names that were not understood.
func (w *Worker) GBK() bool { return w.gbk }

// Kubernetes tells whether the part that was scanned last has a Secret of Kubernetes: its
// values are encoded, and were not understood.
func (w *Worker) Kubernetes() bool { return w.kubernetes }

// ScanWhole answers what a whole file is, if it is a key.
func (w *Worker) ScanWhole(content []byte) (Match, bool) {
	if len(content) > MaxWhole {
		return Match{}, false
	}
	for _, r := range w.scanner.whole {
		if f, ok := r.Whole(content); ok {
			return matchOf(r, f), true
		}
	}
	return Match{}, false
}

func matchOf(r *Rule, f Found) Match {
	m := Match{Rule: r, Start: f.Start, End: f.End, Confidence: f.Confidence, Severity: r.Severity, Identity: f.Identity, rank: rankStructure}
	if f.Weak {
		m.Severity = f.Severity
	}
	if f.Yields {
		m.rank = rankToken - 1
	}
	return m
}

// Ranks of evidence.
const (
	rankAlone     = 100   // a name
	rankPath      = 200   // a hint in the path
	rankNear      = 1000  // a hint near, less its distance
	rankOwnName   = 5000  // a hint in the name
	rankPair      = 20000 // an identifier near, less its distance
	rankToken     = 30000 // a form of its own, plus its length
	rankStructure = 90000
)

func (w *Worker) find(r *Rule, start, end int) {
	if f, ok := r.Find.Look(w.part, start, end); ok {
		w.matches = append(w.matches, matchOf(r, f))
	}
}

// token cuts out a token whose prefix may stand at text[start:end].
func (w *Worker) token(u use, start, end int) {
	text, t := w.part.Text, u.token
	if string(text[start:end]) != t.Prefix || t.Lead == nil && !boundary(text, start) {
		return // in another case, or within a word
	}
	stop := end
	for stop < len(text) && stop-end <= t.Max && t.Set[text[stop]] {
		stop++
	}
	if n := stop - end; n < t.Min || n > t.Max {
		return
	}
	for pad := 0; pad < t.Pad && stop < len(text) && text[stop] == '='; pad++ {
		stop++
	}
	if stop < len(text) && isWord(text[stop]) {
		return
	}
	if t.Lead != nil {
		from := start
		for from > 0 && start-from <= t.Lead.Max && t.Lead.Set[text[from-1]] {
			from--
		}
		if n := start - from; n < t.Lead.Min || n > t.Lead.Max {
			return
		}
		start = from
	}
	proven, ok := u.rule.judge(text[start:stop])
	if !ok {
		return
	}
	m := Match{Rule: u.rule, Start: start, End: stop, Confidence: Likely, Severity: u.rule.Severity, rank: rankToken + stop - start}
	if proven {
		m.Confidence = Certain
	}
	if t.Shared {
		m.rank += w.hint(u.rule.Provider, syntax.Assignment{Name: syntax.Span{Start: start, End: start}, Value: syntax.Span{Start: start, End: stop}})
	}
	if u.rule.Class != Secret {
		m.KeyID = text[start:stop]
	}
	w.matches = append(w.matches, m)
}

func isWord(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '_'
}

// boundary tells whether a token may begin here: what stands before is no letter or digit,
// except one that is an escape's.
func boundary(text []byte, at int) bool {
	if at == 0 || !isWord(text[at-1]) {
		return true
	}
	behind := func(n int, mark string) bool {
		return at >= n && bytes.HasPrefix(text[at-n:at], []byte(mark))
	}
	switch c := text[at-1]; {
	case bytes.IndexByte([]byte("nrtbf0"), c) >= 0 && behind(2, `\`):
		return true
	case isHex(c):
		return behind(3, "%") || behind(4, `\x`) || behind(6, `\u`)
	}
	return false
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }

// name looks at the value of a name that has a stem.
func (w *Worker) name(start, end int) {
	if end <= w.lastName {
		return // the same name has several stems
	}
	text := w.part.Text
	if end-start == 2 && end < len(text) && text[end] >= 'a' && text[end] <= 'z' {
		return // ak and sk end names, or stand between capitals
	}
	a, ok := syntax.At(text, start, end)
	if !ok {
		return
	}
	w.lastName = a.Name.End
	got := a.Value.In(text)
	if len(got) < 6 || len(got) > 2000 {
		return
	}
	w.values = append(w.values, a)
	w.plain = syntax.Plain(w.plain[:0], a.Name.In(text))
	best := Match{rank: -1}
	for n := range w.scanner.endings.lengths(w.plain) {
		for _, u := range w.scanner.named[string(w.plain[len(w.plain)-n:])] {
			best = w.better(best, u, a)
		}
	}
	w.plain = syntax.Plain(append(w.plain[:0], '='), syntax.LastWord(a.Name.In(text)))
	for _, u := range w.scanner.named[string(w.plain)] {
		best = w.better(best, u, a)
	}
	if best.rank >= 0 {
		w.matches = append(w.matches, best)
	}
}

// better answers the match of an assignment with a rule, if it is one and the evidence for
// it is stronger than for the best so far.
func (w *Worker) better(best Match, u namedUse, a syntax.Assignment) Match {
	got := a.Value.In(w.part.Text)
	if !u.named.Fits(got) || u.named.Literal && !w.literal(a) {
		return best
	}
	rank := w.evidence(u, a)
	if rank <= best.rank {
		return best
	}
	proven, ok := u.rule.judge(got)
	if !ok {
		return best
	}
	best = Match{Rule: u.rule, Start: a.Value.Start, End: a.Value.End, Confidence: Likely, Severity: u.rule.Severity, rank: rank, named: a.Name}
	switch {
	case u.rule.Class != Secret:
		best.KeyID = got
	case proven:
		best.Confidence = Certain
	case rank < rankNear:
		best.Confidence = Possible
	}
	return best
}

// maxAlike is how many values without a form of their own may have the same name in a part.
const maxAlike = 8

// dropVectors drops hexadecimal values that nothing but their name speaks for, where many
// have the same: those are tables of test vectors.
func (w *Worker) dropVectors() {
	name := func(m Match) string {
		if m.rank != rankAlone || m.named.End == 0 || !judge.Hex(bytes.ToLower(w.part.Text[m.Start:m.End])) {
			return ""
		}
		return string(m.named.In(w.part.Text))
	}
	var alike map[string]int
	for _, m := range w.matches {
		if n := name(m); n != "" {
			if alike == nil {
				alike = map[string]int{}
			}
			alike[n]++
		}
	}
	w.matches = slices.DeleteFunc(w.matches, func(m Match) bool { return alike != nil && alike[name(m)] > maxAlike && name(m) != "" })
}

// sources are the ends of files in whose languages a literal has quotes.
var sources = map[string]bool{".go": true, ".java": true, ".js": true, ".mjs": true, ".ts": true, ".tsx": true, ".jsx": true, ".vue": true, ".py": true, ".c": true, ".h": true, ".cc": true, ".cpp": true,
	".cs": true, ".rs": true, ".kt": true, ".swift": true, ".rb": true, ".php": true, ".scala": true, ".m": true, ".dart": true, ".lua": true, ".groovy": true, ".wxs": true}

// literal tells whether the notation of an assignment is that of a value, and not of an
// expression or of prose.
func (w *Worker) literal(a syntax.Assignment) bool {
	text := w.part.Text
	v := a.Value.In(text)
	begin := max(0, bytes.LastIndexByte(text[:a.Name.Start], '\n')+1, a.Name.Start-200)
	before := bytes.TrimLeft(text[begin:a.Name.Start], " \t")
	if a.Prose {
		command := text[a.Name.Start] == '-' || bytes.HasPrefix(before, []byte("ENV ")) || bytes.HasPrefix(before, []byte("ARG ")) || bytes.HasPrefix(before, []byte("set ")) || bytes.Contains(before, []byte("login "))
		cell := len(before) == 0 && path.Ext(w.part.Path) == ".csv" && text[a.Value.Start-1] == ','
		netrc := len(before) == 0 && (path.Base(w.part.Path) == ".netrc" || path.Base(w.part.Path) == "_netrc")
		statement := a.Quoted && string(a.Name.In(text)) == "PASSWORD" // CREATE USER u WITH PASSWORD 'p'
		if !command && !cell && !netrc && !statement {
			return false
		}
	}
	if a.Quoted {
		return true
	}
	switch string(a.Name.In(text)) {
	case "PASS", "PWD": // the result of a test, the working directory
		return false
	}
	if sources[path.Ext(w.part.Path)] || len(v) > 64 || bytes.ContainsAny(v, "[({*") {
		return false
	}
	if a.Value.End < len(text) {
		switch text[a.Value.End] {
		case '[', '(', '{':
			return false
		case ',', ';', ')', '.':
			m := judge.MixOf(v)
			return m.Digit > 0 && (m.Upper > 0 && m.Lower > 0 || bytes.ContainsAny(v, "@#!^")) || judge.Random(v)
		}
	}
	return true
}

// settle keeps of the matches that overlap the one with the strongest evidence, in the
// order of their places.
func (w *Worker) settle() {
	slices.SortStableFunc(w.matches, func(a, b Match) int { return cmp.Compare(a.Start, b.Start) })
	kept := w.matches[:0]
	for rest := w.matches; len(rest) > 0; {
		n, end := 1, rest[0].End // the first n overlap, directly or by others
		for n < len(rest) && rest[n].Start < end {
			end = max(end, rest[n].End)
			n++
		}
		cluster := rest[:n]
		rest = rest[n:]
		if n == 1 {
			kept = append(kept, cluster[0])
			continue
		}
		kept = append(kept, strongest(slices.Clone(cluster))...)
	}
	w.matches = kept
}

// strongest answers the matches of a cluster that remain, in the order of their places.
func strongest(cluster []Match) []Match {
	slices.SortStableFunc(cluster, func(a, b Match) int { return cmp.Compare(b.rank, a.rank) })
	kept := cluster[:0]
	for _, m := range cluster {
		if !slices.ContainsFunc(kept, func(k Match) bool { return m.Start < k.End && k.Start < m.End }) {
			kept = append(kept, m)
		}
	}
	slices.SortFunc(kept, func(a, b Match) int { return cmp.Compare(a.Start, b.Start) })
	return kept
}
