package auditcmd

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/export"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/store/database"
)

// maxEvidence bounds the files that keys, checkpoints and proofs are read from, in bytes.
const maxEvidence = 1 << 20

// A logSource says where whole audit logs are read from: a database, or the server
// behind the operator's socket.
type logSource struct {
	*cli.Run
	dataDir, database, socket string
}

func (s *logSource) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.dataDir, "data-dir", "", s.T("read the database in `DIR` itself", "直接读取目录 `DIR` 中的数据库"))
	f.StringVar(&s.database, "database", "", s.T("read the database at `URL` itself: sqlite:PATH or postgres://...; a password comes from PGPASSWORD or PGPASSFILE",
		"直接读取 `URL` 处的数据库：sqlite:PATH 或 postgres://...；密码取自 PGPASSWORD 或 PGPASSFILE"))
	f.StringVar(&s.socket, "socket", "", s.T("ask the server behind the operator's socket at `PATH`", "通过位于 `PATH` 的运维套接字询问服务器"))
}

// direct tells whether a database is to be read.
func (s *logSource) direct() bool { return s.dataDir != "" || s.database != "" }

// open opens the database. It refuses to make one that is not there.
func (s *logSource) open(ctx context.Context, cmd *cobra.Command) (*database.DB, error) {
	address := s.database
	if address == "" {
		address = "sqlite:" + filepath.Join(s.dataDir, "keyward.db")
	}
	if path, isFile := strings.CutPrefix(address, "sqlite:"); isFile {
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
	} else if hasPassword(address) {
		return nil, s.Usage(cmd, "a password on a command line is seen by every user of the machine; set PGPASSWORD or PGPASSFILE", "命令行上的密码会被本机所有用户看到；请设置 PGPASSWORD 或 PGPASSFILE")
	}
	return database.OpenReadOnly(ctx, address)
}

func hasPassword(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	_, has := u.User.Password()
	return has || u.Query().Has("password")
}

// export writes all logs to w.
func (s *logSource) export(ctx context.Context, cmd *cobra.Command, w io.Writer) (err error) {
	if !s.direct() {
		server, err := remote.Operator(s.Run, s.socket, "")
		if err != nil {
			return err
		}
		return server.ExportAudit(ctx, w)
	}
	db, err := s.open(ctx, cmd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	logs, err := db.Logs(ctx)
	if err != nil {
		return err
	}
	for _, id := range logs {
		if err := export.Write(ctx, db, id, w); err != nil {
			return err
		}
	}
	return nil
}

func newAuditExportCmd(c *cli.Run) *cobra.Command {
	var out, dir string
	source := &logSource{Run: c}
	target := cli.Place{Run: c}
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "export",
		Short: c.T("Write every audit log whole, as operator", "以运维身份导出完整的审计日志"),
		Long: c.T(
			`Write every audit log whole, as operator: for each log a header and then its records, one
JSON object a line. "keyward audit verify --export" verifies it, with nothing but the
log's public key.

With --tiles each log becomes a directory of static files in the format
c2sp.org/tlog-tiles, which any web server can serve. Running it again adds what is new.
"keyward audit verify DIR" verifies it.`,
			`以运维身份导出完整的审计日志：每个日志先是一行头部，然后是记录，每行一个 JSON 对象。
"keyward audit verify --export" 只需日志的公钥即可验证。

使用 --tiles 时，每个日志成为一个静态文件目录，格式为 c2sp.org/tlog-tiles，
任何 Web 服务器都可以提供。再次执行只会增加新内容。"keyward audit verify DIR" 可以验证它。`,
		),
		Run: func(ctx context.Context, _ []string) error {
			if dir != "" && (out != "" || target.Force) {
				return c.Usage(cmd, "--tiles goes without --out and --force", "--tiles 不能与 --out 和 --force 同时使用")
			}
			if dir != "" {
				return source.exportTiles(ctx, cmd, dir)
			}
			if out == "" || out == "-" {
				return source.export(ctx, cmd, c.Out)
			}
			return target.Replace(out, 0o600, func(w io.Writer) error { return source.export(ctx, cmd, w) })
		},
	})
	source.flags(cmd)
	cmd.Flags().StringVar(&out, "out", "", c.T("write to `FILE`", "写入文件 `FILE`"))
	cmd.Flags().StringVar(&dir, "tiles", "", c.T("write static tiles below `DIR`, or add to those there", "将静态 tile 文件写入目录 `DIR`，或在已有文件上增加"))
	cmd.Flags().BoolVar(&target.Force, "force", false, c.T("replace a file that exists", "覆盖已存在的文件"))
	return cmd
}

func newAuditProveCmd(c *cli.Run) *cobra.Command {
	var log, out, check, socket string
	var keys []string
	target := cli.Place{Run: c}
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "prove [SEQ]",
		Short: c.T("Prove that a record is in the log, or check such a proof", "证明某条记录在日志中，或检查这样的证明"),
		Long: c.T(
			`Prove that the log holds record number SEQ: write the record, its Merkle path and the
signed head of the log. With --check such a proof is checked, offline, against the log's
public key.`,
			`证明日志中有序号为 SEQ 的记录：写出该记录、它的 Merkle 路径以及签名的日志头。
使用 --check 时，用日志的公钥离线检查这样的证明。`,
		),
		Example: "  keyward audit prove 42 --out record.proof\n  keyward audit prove --check record.proof --public-key audit.pub",
		Run: func(ctx context.Context, args []string) error {
			switch {
			case (check == "") != (len(args) == 1):
				return c.Usage(cmd, "give SEQ or --check", "请给出 SEQ 或 --check 之一")
			case check != "":
				return checkProof(c, cmd, check, keys)
			}
			seq, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || seq < 0 {
				return c.Usage(cmd, "SEQ is the number of a record", "SEQ 是记录的序号")
			}
			proof, err := prove(ctx, c, cmd, socket, api.AuditProofRequest{Log: log, Seq: seq})
			if err != nil {
				return err
			}
			write := func(w io.Writer) error { _, err := io.WriteString(w, proof.Proof); return err }
			switch {
			case out != "":
				return target.Replace(out, 0o600, write)
			case c.Output == "json":
				return cli.WriteJSON(c.Out, proof)
			}
			return write(c.Out)
		},
	})
	f := cmd.Flags()
	f.StringVar(&log, "log", "", c.T("`NAME` of the log, if there are several", "日志名称 `NAME`（有多个日志时）"))
	f.StringVar(&socket, "socket", "", c.T("ask the server behind the operator's socket at `PATH`", "通过位于 `PATH` 的运维套接字询问服务器"))
	f.StringVar(&out, "out", "", c.T("write to `FILE`", "写入文件 `FILE`"))
	f.BoolVar(&target.Force, "force", false, c.T("replace a file that exists", "覆盖已存在的文件"))
	f.StringVar(&check, "check", "", c.T("check the proof in `FILE`", "检查 `FILE` 中的证明"))
	f.StringArrayVar(&keys, "public-key", nil, c.T("`KEY` of the log, or a file with it; may be repeated", "日志的公钥 `KEY`，或含有公钥的文件；可重复"))
	return cmd
}

// An auditor is asked for proofs: the API, or the operator's socket.
type auditor interface {
	ListAuditLogs(ctx context.Context) (api.AuditLogList, error)
	ProveAuditRecord(ctx context.Context, in api.AuditProofRequest) (api.AuditProof, error)
}

// prove asks for a proof; without a log's name it takes the only one.
func prove(ctx context.Context, c *cli.Run, cmd *cobra.Command, socket string, in api.AuditProofRequest) (api.AuditProof, error) {
	server, err := auditorOf(c, socket)
	if err != nil {
		return api.AuditProof{}, err
	}
	if in.Log == "" {
		all, err := server.ListAuditLogs(ctx)
		if err != nil {
			return api.AuditProof{}, err
		}
		if len(all.Logs) != 1 {
			return api.AuditProof{}, c.Usage(cmd, "there are %d logs; name one with --log", "有 %d 个日志；请用 --log 指定", len(all.Logs))
		}
		in.Log = all.Logs[0].Origin
	}
	return server.ProveAuditRecord(ctx, in)
}

func auditorOf(c *cli.Run, socket string) (auditor, error) {
	if socket != "" {
		return remote.Operator(c, socket, "")
	}
	return remote.Connect(c)
}

func newAuditPublicKeyCmd(c *cli.Run) *cobra.Command {
	return newLogsCmd(c, "public-key", c.T("Write the public keys of the audit logs, to be kept elsewhere", "输出审计日志的公钥，供另行保存"),
		func(l api.AuditLog) string { return l.PublicKey + "\n" })
}

func newAuditCheckpointCmd(c *cli.Run) *cobra.Command {
	return newLogsCmd(c, "checkpoint", c.T("Write the newest signed head of an audit log, to be kept elsewhere", "输出审计日志最新的签名日志头，供另行保存"),
		func(l api.AuditLog) string { return l.Checkpoint })
}

// newLogsCmd builds a command that writes one thing about each log.
func newLogsCmd(c *cli.Run, use string, short string, of func(api.AuditLog) string) *cobra.Command {
	var log, socket string
	cmd := c.Command(cli.Command{
		Use: use, Short: short,
		Run: func(ctx context.Context, _ []string) error {
			server, err := auditorOf(c, socket)
			if err != nil {
				return err
			}
			all, err := server.ListAuditLogs(ctx)
			if err != nil {
				return err
			}
			all.Logs = slices.DeleteFunc(all.Logs, func(l api.AuditLog) bool { return log != "" && l.Origin != log })
			if len(all.Logs) == 0 { // a file without one would look like evidence
				return fault.ResourceNotFound.New("there is no such audit log; without --log all of them are written")
			}
			if c.Output == "json" {
				return cli.WriteJSON(c.Out, all)
			}
			for _, l := range all.Logs {
				if _, err := io.WriteString(c.Out, of(l)); err != nil {
					return fmt.Errorf("writing the result: %w", err)
				}
			}
			return nil
		},
	})
	cmd.Flags().StringVar(&log, "log", "", c.T("only of the log with this `NAME`", "只输出名称为 `NAME` 的日志"))
	cmd.Flags().StringVar(&socket, "socket", "", c.T("ask the server behind the operator's socket at `PATH`", "通过位于 `PATH` 的运维套接字询问服务器"))
	return cmd
}

// checkProof checks a proof offline.
func checkProof(c *cli.Run, cmd *cobra.Command, name string, given []string) error {
	keys, err := publicKeys(given)
	if err != nil {
		return err
	}
	proof, err := readEvidence(name)
	if err != nil {
		return err
	}
	_, signed, _ := strings.Cut(string(proof), "\n\n")
	if !isCheckpoint(signed) {
		return fault.InvalidParameter.New("%s is not a proof, as keyward audit prove writes them", name)
	}
	log, _, _ := strings.Cut(signed, "\n")
	key, ok := keys[log]
	if !ok {
		return c.Usage(cmd, "the proof is of log %q; give its key with --public-key, from a place that you trust", "该证明属于日志 %q；请用 --public-key 给出其公钥，公钥须来自可信之处", log)
	}
	entry, head, err := audit.VerifyProof(proof, key)
	if err != nil {
		where, _ := errors.AsType[fault.Text](err)
		return &audit.TamperError{Log: log, Where: where}
	}
	return c.Show(entry, func(t *cli.Table) {
		t.Add(c.T("Proven", "已证明"), fmt.Sprintf(c.T("record %d is among the first %d of %s", "记录 %d 在 %[3]s 的前 %[2]d 条记录中"), entry.Seq, head.Size, head.Origin))
		t.Add(c.T("Time", "时间"), cli.When(entry.Time))
		t.Add(c.T("Action", "操作"), entry.Action)
		t.Add(c.T("Result", "结果"), entry.Result)
		t.Add(c.T("By", "执行者"), cli.OrDash(entry.Principal))
		t.Add(c.T("From", "来源"), cli.OrDash(entry.Source))
		t.Add(c.T("Resource", "资源"), cli.OrDash(entry.Resource))
		t.Add(c.T("Request", "请求"), cli.OrDash(entry.RequestID))
	})
}

// publicKeys answers the given keys by the names of their logs. Each is a key itself,
// or a file with one on each line.
func publicKeys(given []string) (map[string]string, error) {
	keys := map[string]string{}
	for _, one := range given {
		content, err := keyOrFile(one)
		if err != nil {
			return nil, err
		}
		found := false
		for line := range strings.Lines(string(content)) {
			key := strings.TrimSpace(line)
			if key == "" {
				continue
			}
			if !isKey(key) {
				return nil, noKeys(one)
			}
			name, _, _ := strings.Cut(key, "+")
			keys[name], found = key, true
		}
		if !found { // it would prove nothing
			return nil, noKeys(one)
		}
	}
	return keys, nil
}

// noKeys says that what was given as public keys is none.
func noKeys(given string) error {
	return fault.InvalidParameter.New("%s must hold public keys and nothing else, as keyward audit public-key and keyward witness init print them", given)
}

// isKey tells whether a line has the form of a public key: name, hash and key. Whatever else was
// given by mistake must not look like the key of a log that is missing.
func isKey(line string) bool {
	name, rest, _ := strings.Cut(line, "+")
	hash, key, _ := strings.Cut(rest, "+")
	_, err := base64.StdEncoding.DecodeString(key)
	return name != "" && len(hash) == 8 && key != "" && err == nil
}

// isCheckpoint tells whether something has the form of a signed head, for the same reason.
func isCheckpoint(signed string) bool {
	text, signatures, _ := strings.Cut(signed, "\n\n")
	return strings.Count(text, "\n") >= 2 && text[0] != '\n' && strings.HasPrefix(signatures, "— ")
}

// keyOrFile answers a key that was given as itself, or else what is in the file of that name.
func keyOrFile(given string) ([]byte, error) {
	content, err := readEvidence(given)
	if errors.Is(err, fs.ErrNotExist) && strings.Contains(given, "+") {
		return []byte(given), nil
	}
	return content, err
}

// readEvidence reads a small file.
func readEvidence(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(f, maxEvidence))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return content, nil
}
