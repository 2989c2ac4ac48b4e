package scancmd

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/custom"
	"github.com/keyward/keyward/internal/leak/host"
	"github.com/keyward/keyward/internal/leak/ignore"
	"github.com/keyward/keyward/internal/leak/report"
	"github.com/keyward/keyward/internal/leak/rules"
	"github.com/keyward/keyward/internal/leak/search"
)

// A scan is what the scan commands have in common: how to search and what to say.
type scan struct {
	*cli.Run
	cmd           *cobra.Command
	format        string
	severity      string
	keyFile       string
	noInlineAllow bool
	rulesVersion  string // of all rules, the user's among them
	rulesFile     string
	ignoreFile    string
	accept        bool
	entry         ignore.Entry // of what is accepted
	report        bool
	origin        string // of what is reported
	mending       mending
	hasher        leak.Hasher

	ignores *ignore.File
}

func (s *scan) flags(cmd *cobra.Command) {
	s.cmd = cmd
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&s.format, "format", "", s.T("`FORMAT` of the report: human, json, sarif, gitlab or junit (default human)", "报告的格式 `FORMAT`：human、json、sarif、gitlab 或 junit（默认 human）"))
	f.StringVar(&s.severity, "severity", leak.Medium.String(), s.T("report findings of this `SEVERITY` and worse: critical, high, medium or low", "只报告此级别 `SEVERITY` 及以上：critical、high、medium 或 low"))
	f.StringVar(&s.keyFile, "key-file", "", s.T("`FILE` with the key of the fingerprints (KEYWARD_SCAN_KEY_FILE; made when missing)", "计算指纹所用密钥的文件 `FILE`（KEYWARD_SCAN_KEY_FILE；不存在时自动创建）"))
	f.BoolVar(&s.noInlineAllow, "no-inline-allow", false, s.T("report what a comment in its line allows", "行内注释允许的内容也要报告"))
	f.StringVar(&s.rulesFile, "rules", "", s.T("`FILE` with own rules, as gitleaks writes them (default .gitleaks.toml, if it is there)", "自定义规则文件 `FILE`，格式与 gitleaks 相同（默认 .gitleaks.toml，如果存在）"))
	f.StringVar(&s.ignoreFile, "ignore-file", "", s.T("`FILE` with what is not to be reported (default .keyward-scan.toml, if it is there)", "忽略文件 `FILE`（默认 .keyward-scan.toml，如果存在）"))
	f.BoolVar(&s.accept, "accept", false, s.T("write what is found into the ignore file; needs --owner and --reason", "将发现的内容写入忽略文件；需要 --owner 和 --reason"))
	f.StringVar(&s.entry.Owner, "owner", "", s.T("`NAME` of who answers for what is accepted", "接受者 `NAME`"))
	f.StringVar(&s.entry.Reason, "reason", "", s.T("`TEXT`: why it is accepted", "接受的原因 `TEXT`"))
	f.Var(cli.Ahead(&s.entry.Expires, s.Now), "until", s.T("`TIME` until which it is accepted: a date, a time or 90d", "接受的截止时间 `TIME`：日期、时间或 90d"))
	f.BoolVar(&s.report, "report", false, s.T("report what is found to the server; secrets as keyed hashes only", "将发现的内容上报到服务器；密钥只以带密钥的哈希上报"))
	f.StringVar(&s.origin, "origin", "", s.T("`NAME` of what is scanned, for --report (default the repository's URL, or HOST:DIRECTORY)", "上报时所扫描内容的名称 `NAME`（默认为仓库 URL，或 主机:目录）"))
	cli.Complete(cmd, "format", report.Formats()...)
	cli.Complete(cmd, "severity", "critical", "high", "medium", "low")
}

func newScanCmd(c *cli.Run) *cobra.Command {
	s := &scan{Run: c}
	cmd := c.Command(cli.Command{
		Use:   "scan [PATH...]",
		Short: c.T("Find keys and passwords that got out", "查找泄露的密钥和密码"),
		Long: c.T(
			`Look for credentials in files and directories, the current one by default, or in what
comes on standard input for the path "-". Nothing leaves this machine, unless you ask with
--report that the server compares what is found with what it keeps: it is told where, and of
secrets a keyed hash.

Exit status: 0 nothing was found, 1 something was, 2 an error, or something could not be
looked at, or there was nothing to look at.`,
			`在文件和目录（默认为当前目录）中查找密钥和密码；路径为 "-" 时读取标准输入。任何内容都不会离开本机；
只有指定 --report 时，才会将位置和密钥的带密钥哈希上报服务器，与其管理的内容比对。

退出码：0 未发现；1 有发现；2 出错、有内容未能检查，或没有可检查的内容。`,
		),
		Example: "  keyward scan\n  keyward scan --format sarif src > scan.sarif\n  kubectl logs my-pod | keyward scan -",
		Run: func(ctx context.Context, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			return s.search(ctx, args[0], func(ctx context.Context, run *search.Search) error {
				paths := slices.DeleteFunc(slices.Clone(args), func(path string) bool { return path == "-" })
				if len(paths) < len(args) {
					in := bufio.NewReader(cli.Interruptible(ctx, c.In))
					if _, err := in.Peek(1); errors.Is(err, io.EOF) {
						run.Problem("-", errors.New(c.T("standard input is empty: did the command before the pipe fail?", "标准输入为空：管道前的命令是否失败了？")))
					} else if err := run.Lane().Reader("-", in); err != nil {
						run.Problem("-", err)
					}
				}
				return run.Files(ctx, paths)
			})
		},
	}, newScanGitCmd(c), newScanPushCmd(c), newScanImageCmd(c), newScanHostCmd(c), newScanMirrorCmd(c))
	s.flags(cmd)
	s.mending.flags(c, cmd)
	return cmd
}

// search makes a search, has it run, and writes the report. root is where the files lie
// that say what to ignore.
func (s *scan) search(ctx context.Context, root string, look func(context.Context, *search.Search) error) error {
	threshold, err := s.check()
	if err != nil {
		return err
	}
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		root = "."
	}
	told, err := s.reporter(ctx, root)
	if err != nil {
		return err
	}
	r, err := s.gather(ctx, root, told, look)
	if err != nil {
		return err
	}
	all := len(r.Findings)
	if told != nil {
		if err := s.tellServer(ctx, told, r.Findings, threshold); err != nil {
			return err
		}
	}
	r.Findings = slices.DeleteFunc(r.Findings, func(f leak.Finding) bool { return f.Severity < threshold })
	r.Below = all - len(r.Findings)
	if s.accept {
		return s.keep(r)
	}
	if s.mending.on {
		return s.mend(ctx, r)
	}
	unused, over := s.ignores.Unused()
	r.Unused = append(asUnused(unused, false), asUnused(over, true)...)
	return s.tell(r)
}

// gather makes a search, has it run, and answers what it came to. Findings have marks for
// whom they are told to, if there is one.
func (s *scan) gather(ctx context.Context, root string, told *reporter, look func(context.Context, *search.Search) error) (r report.Report, err error) {
	if s.Alone {
		thrifty()
	}
	options, problems, err := s.options(root)
	if err != nil {
		return r, &cli.Problem{Message: s.T("the scan cannot begin", "无法开始扫描"), Cause: err, Status: cli.ExitPartial}
	}
	if told != nil {
		options.Hasher = options.Hasher.Sharing(told.key)
	}
	s.hasher = options.Hasher
	started := s.Now()
	run := search.New(options)
	for _, p := range problems {
		run.Problem(s.rulesFile, p)
	}
	stop := s.watch(run)
	err = look(ctx, run)
	stop()
	if err != nil {
		return r, &cli.Problem{Message: s.T("the scan did not come to its end", "扫描未能完成"), Cause: err, Status: cli.ExitPartial}
	}
	return report.Report{Version: cli.ThisBuild().Version, Findings: run.Findings(), Coverage: run.Coverage(), Rules: options.Scanner.Rules(), Started: started, Ended: s.Now()}, nil
}

// check looks at the flags.
func (s *scan) check() (leak.Severity, error) {
	if s.format == "" {
		s.format = "human"
		if s.Output == "json" {
			s.format = "json"
		}
	}
	if err := s.OneOf(s.cmd, "format", s.format, report.Formats()...); err != nil {
		return 0, err
	}
	threshold, ok := leak.ParseSeverity(s.severity)
	if !ok {
		return 0, s.OneOf(s.cmd, "severity", s.severity, "critical", "high", "medium", "low")
	}
	if s.accept && s.mending.on || s.mending.dry && !s.mending.on {
		return 0, s.Usage(s.cmd, "--fix and --accept exclude each other, and --dry-run needs --fix", "--fix 与 --accept 不能同时使用；--dry-run 需要 --fix")
	}
	if s.accept && (s.entry.Owner == "" || s.entry.Reason == "") {
		return 0, s.Usage(s.cmd, "--accept needs --owner and --reason", "--accept 需要 --owner 和 --reason")
	}
	return threshold, nil
}

// options answers how to search below root, and what is wrong with the user's rules.
func (s *scan) options(root string) (o search.Options, problems []error, err error) {
	o = search.Options{InlineAllow: !s.noInlineAllow, Workers: runtime.GOMAXPROCS(0), Now: s.Now}
	all := rules.All()
	s.rulesVersion = fmt.Sprint(rules.Version)
	if content, err := beside(root, &s.rulesFile, ".gitleaks.toml"); err != nil {
		return o, nil, err
	} else if content != nil {
		own, err := custom.Parse(content, all)
		if err != nil {
			return o, nil, fmt.Errorf("%s: %w", s.rulesFile, err)
		}
		all = append(all, own.Rules...)
		s.rulesVersion += fmt.Sprintf(" %x", sha256.Sum256(content))
		o.Allow, problems = own.Allowed, own.Problems
	}
	if o.Scanner, err = leak.New(all); err != nil {
		return o, nil, err
	}
	if err := s.readIgnores(root); err != nil {
		return o, nil, err
	}
	key := s.ignores.Key()
	if s.ignores.New() && !s.accept {
		if key, err = s.key(); err != nil {
			return o, nil, fmt.Errorf("the key of the fingerprints: %w", err)
		}
	}
	o.Hasher = leak.NewHasher(key)
	o.Ignore = func(f leak.Finding, at leak.Location) bool {
		if inside, err := filepath.Rel(root, at.Path); err == nil {
			at.Path = filepath.ToSlash(inside)
		}
		return s.ignores.Ignores(f, at)
	}
	return o, problems, nil
}

// beside reads a file that the user named, or that lies at the root; nil if neither is so.
func beside(root string, name *string, usual string) ([]byte, error) {
	named := *name != ""
	if !named {
		*name = filepath.Join(root, usual)
	}
	content, err := os.ReadFile(*name)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return nil, nil
	}
	return content, err
}

// readIgnores reads what is to be ignored. Who accepts something for the first time gets
// a new file.
func (s *scan) readIgnores(root string) error {
	content, err := beside(root, &s.ignoreFile, ignore.FileName)
	if errors.Is(err, fs.ErrNotExist) && s.accept {
		content, err = nil, nil
	}
	if err != nil {
		return err
	}
	s.ignores = ignore.New(s.Now())
	if content != nil {
		if s.ignores, err = ignore.Parse(content, s.Now()); err != nil {
			return fmt.Errorf("%s: %w", s.ignoreFile, err)
		}
	}
	places, err := os.ReadFile(filepath.Join(root, ".gitleaksignore"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.ignores.Gitleaks(places)
}

// keep writes what was found into the ignore file.
func (s *scan) keep(r report.Report) error {
	s.ignores.Accept(r.Findings, s.entry)
	content, err := s.ignores.Marshal()
	if err == nil {
		err = cli.Place{Run: s.Run, Force: true}.Write(s.ignoreFile, 0o644, content)
	}
	if err != nil {
		return &cli.Problem{Message: s.T("the ignore file cannot be written", "无法写入忽略文件"), Cause: err, Status: cli.ExitPartial}
	}
	s.covered(r)
	s.Say("Accepted: %s, in %s.", "已接受 %s，写入 %s。", findings(s.Run, len(r.Findings)), s.ignoreFile)
	if r.Coverage.Partial() || r.Coverage.Nothing() {
		return &cli.Problem{Message: s.T("not everything was looked at", "有内容未能检查"), Status: cli.ExitPartial}
	}
	return nil
}

func asUnused(entries []ignore.Entry, expired bool) (out []report.Unused) {
	for _, e := range entries {
		out = append(out, report.Unused{Fingerprint: e.Fingerprint, Owner: e.Owner, Reason: e.Reason, Expired: expired})
	}
	return out
}

// tell writes the report and answers what the exit status must say.
func (s *scan) tell(r report.Report) error {
	write := func() error { return report.Write(s.Out, s.format, r) }
	if s.format == "human" {
		write = func() error { return report.Human(s.Out, r, report.Style{Chinese: s.Lang == cli.Chinese, Places: 10}) }
	}
	if err := write(); err != nil {
		return &cli.Problem{Message: err.Error(), Status: cli.ExitPartial}
	}
	s.covered(r)
	switch n := len(r.Findings); {
	case r.Coverage.Nothing():
		return &cli.Problem{Message: s.T("nothing was scanned", "没有扫描任何内容"), Status: cli.ExitPartial, Next: s.T("check the paths", "请检查路径")}
	case r.Coverage.Partial() && n == 0:
		return &cli.Problem{Message: fmt.Sprintf(s.T("%s could not be looked at; in the rest nothing was found", "有 %s 未能检查；其余部分没有发现"), things(s.Run, r)), Status: cli.ExitPartial}
	case r.Coverage.Partial():
		return &cli.Problem{Message: fmt.Sprintf(s.T("%s, and %s could not be looked at", "发现 %s，另有 %s 未能检查"), findings(s.Run, n), things(s.Run, r)), Status: cli.ExitPartial}
	case n > 0:
		return &cli.Problem{Message: s.T("", "发现 ") + findings(s.Run, n), Status: cli.ExitFindings}
	}
	return nil
}

// covered says what was looked at and what was not.
func (s *scan) covered(r report.Report) {
	v := r.Coverage
	for i, p := range v.Problems {
		if i == 20 {
			s.Say("… and %d more", "……以及另外 %d 项", len(v.Problems)-i)
			break
		}
		s.Say("not looked at: %s: %s", "未能检查：%s：%s", cli.Printable(p.Path), cli.Printable(s.T(p.What, p.Chinese)))
	}
	s.Say("Scanned: %s, %s, %s in %s.", "已扫描：%s，%s，%s，用时 %s。", count(s.Run, v.Files, "file", "files", "个文件"), count(s.Run, v.Members, "member of archives", "members of archives", "个归档成员"), cli.ByteCount(v.Bytes), r.Ended.Sub(r.Started).Round(time.Millisecond))
	if v.Blobs > 0 {
		s.Say("Of git: %s.", "git：%s。", count(s.Run, v.Blobs, "object", "objects", "个对象"))
	}
	if v.Layers > 0 {
		s.Say("Of images: %s.", "镜像：%s。", count(s.Run, v.Layers, "layer", "layers", "层"))
	}
	var skipped []string
	for reason, n := range v.Skipped {
		skipped = append(skipped, fmt.Sprintf("%s: %d", s.skipReason(reason), n))
	}
	if slices.Sort(skipped); len(skipped) > 0 {
		s.Say("Left out: %s.", "未包括：%s。", strings.Join(skipped, s.T(", ", "，")))
	}
	if n := v.Ignored + v.Allowed; n > 0 {
		s.Say("Ignored: %s by the ignore file, %d by comments.", "已忽略：忽略文件 %s，注释 %d 处。", count(s.Run, v.Ignored, "place", "places", "处"), v.Allowed)
	}
	for _, u := range r.Unused {
		if u.Expired {
			s.Say("This ignore is over: %s (%s: %s)", "此忽略项已过期：%s（%s：%s）", u.Fingerprint, u.Owner, u.Reason)
		} else {
			s.Say("Nothing needed this ignore: %s (%s: %s)", "此忽略项未被用到：%s（%s：%s）", u.Fingerprint, u.Owner, u.Reason)
		}
	}
	if r.Below > 0 {
		s.Say("Below --severity %s: %s.", "低于 --severity %s：%s。", s.severity, findings(s.Run, r.Below))
	}
}

// count says how many there are of something.
func count(c *cli.Run, n int64, one, many, zh string) string {
	switch {
	case c.Lang == cli.Chinese:
		return fmt.Sprintf("%d %s", n, zh)
	case n == 1:
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func findings(c *cli.Run, n int) string { return count(c, int64(n), "finding", "findings", "项") }

func things(c *cli.Run, r report.Report) string {
	return count(c, int64(len(r.Coverage.Problems)), "thing", "things", "项")
}

// skipReasons names in Chinese what was left out.
var skipReasons = map[string]string{"links": "符号链接", "devices, sockets and pipes": "设备、套接字和管道", "git objects": "git 对象目录（请用 scan git）",
	host.ForeignProcess: "他人的进程", host.ForeignFile: "他人的文件", host.ForeignHome: "他人的主目录", host.ForeignDirectory: "他人的其他目录"}

func (s *scan) skipReason(reason string) string {
	if zh := skipReasons[reason]; zh != "" && s.Lang == cli.Chinese {
		return zh
	}
	return reason
}

// watch draws on a terminal how far the search is, until it is stopped.
func (s *scan) watch(run *search.Search) (stop func()) {
	if s.Columns() == 0 || s.Output == "json" {
		return func() {}
	}
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		ticker := time.NewTicker(5 * cli.Redraw)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				fmt.Fprint(s.Err, "\r\x1b[K")
				return
			case <-ticker.C:
				v := run.Coverage()
				line := fmt.Sprintf(s.T("%d files, %d blobs, %s", "%d 个文件，%d 个对象，%s"), v.Files, v.Blobs, cli.ByteCount(v.Bytes))
				fmt.Fprintf(s.Err, "\r%s\x1b[K", cli.Shorten(line, s.Width()-1))
			}
		}
	}()
	return func() { close(done); <-gone }
}

// thrifty has the process, which does nothing else, keep to 30 MiB beside the pages of the
// program itself: it is to have less than 36. What is short does not collect at all, which would
// take longer than the scan.
func thrifty() {
	debug.SetMemoryLimit(30 << 20)
	debug.SetGCPercent(400)
}

const scanKeySize = 32

// key answers the key of the fingerprints, which it makes when there is none: fingerprints
// compare between the runs that share it.
func (s *scan) key() ([]byte, error) {
	path := s.keyFile
	if path == "" {
		path = s.Getenv("KEYWARD_SCAN_KEY_FILE")
	}
	if path == "" {
		path = s.HomeFile("scan.key")
	}
	if path == "" {
		s.Say("Warning: there is no home directory; fingerprints compare within this run only.", "警告：没有主目录，指纹只能在本次运行内比较。")
		return randomKey(), nil
	}
	key, err := os.ReadFile(path)
	switch {
	case err == nil && len(key) == scanKeySize:
		return key, nil
	case err == nil:
		return nil, fmt.Errorf("%s has %d bytes, not %d", path, len(key), scanKeySize)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	key = randomKey()
	err = cli.Place{Run: s.Run}.Replace(path, 0o600, func(w io.Writer) error { _, err := w.Write(key); return err })
	if other, readErr := os.ReadFile(path); readErr == nil && len(other) == scanKeySize {
		return other, nil // this one, or that of another run which made it meanwhile
	}
	return nil, err
}

func randomKey() []byte {
	key := make([]byte, scanKeySize)
	_, _ = rand.Read(key) // never fails
	return key
}
