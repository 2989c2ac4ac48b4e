package auditcmd

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/export"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cosign"
	"github.com/keyward/keyward/internal/fault"
)

func newAuditVerifyCmd(c *cli.Run) *cobra.Command {
	var file string
	var keys, witnessKeys, checkpoints []string
	source := &logSource{Run: c}
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "verify [DIR]",
		Short: c.T("Verify the audit logs, offline if need be", "验证审计日志，可离线进行"),
		Long: c.T(
			`Verify every audit log: recompute its Merkle tree from the records, and compare it with the
head that the log's key signed and with every checkpoint remembered from earlier. Finds any
edit, deletion, reordering, insertion or truncation; the exit status is then 3.

What is verified is an export (--export), a directory of tiles (DIR), a database
(--data-dir, --database) or, without any of these, what the running server sends through
the operator's socket.

Give the log's public key (--public-key), kept at a place that the server's administrators
cannot change. Without it the log's own claim is believed, and somebody who can replace
the whole log with another can replace the key, too. A truncation to an earlier signed
head shows only in a checkpoint that was kept (--checkpoint), or that a witness cosigned:
with --witness-key there must be such a checkpoint of every log, and it is said what the
witness has seen, and when.`,
			`验证每个审计日志：根据记录重新计算 Merkle 树，与日志密钥签名的日志头以及以前保存的检查点比较。
任何修改、删除、重排、插入或截断都会被发现，此时退出状态为 3。

验证对象可以是导出文件（--export）、tile 目录（DIR）、数据库（--data-dir、--database），
都不给出时，是运行中的服务器通过运维套接字发送的内容。

请给出日志的公钥（--public-key），并将其保存在服务器管理员无法修改的地方。
不给出时将采信日志自称的公钥，而能够整体替换日志的人也能替换公钥。
截断到较早的签名日志头，只有与保存的检查点（--checkpoint）或见证者联署的检查点比较才能发现：
使用 --witness-key 时，每个日志都必须有这样的检查点，并会说明见证者在何时看到了什么。`,
		),
		Example: "  keyward audit verify --export audit.jsonl --public-key audit.pub --checkpoint yesterday.checkpoint",
		Run: func(ctx context.Context, args []string) error {
			v := &verification{Run: c}
			if err := errors.Join(v.load(keys, checkpoints), v.loadWitnesses(witnessKeys)); err != nil {
				return err
			}
			var dir string
			if len(args) > 0 {
				dir = args[0]
			}
			reports, err := v.run(ctx, cmd, subject{source, file, dir})
			if err != nil {
				return err
			}
			return v.show(reports)
		},
	})
	source.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&file, "export", "", c.T("verify the export in `FILE`; - for standard input", "验证 `FILE` 中的导出；- 表示标准输入"))
	f.StringArrayVar(&keys, "public-key", nil, c.T("`KEY` of a log, or a file with it; may be repeated", "日志的公钥 `KEY`，或含有公钥的文件；可重复"))
	f.StringArrayVar(&checkpoints, "checkpoint", nil, c.T("`FILE` with a checkpoint remembered from earlier; may be repeated", "含有以前保存的检查点的 `FILE`；可重复"))
	f.StringArrayVar(&witnessKeys, "witness-key", nil, c.T("`KEY` of a witness that must have cosigned a checkpoint of each log; may be repeated", "见证者的公钥 `KEY`，每个日志必须有一个由它联署的检查点；可重复"))
	return cmd
}

// A subject is what is to be verified: one of a database or server, a file, a directory.
type subject struct {
	source    *logSource
	file, dir string
}

// A verification is what the person trusts, and what the logs claim.
type verification struct {
	*cli.Run
	keys       map[string]string // public keys that the person gave, by log
	remembered []remembered
	witnesses  []*cosign.Verifier
	claimed    map[string]string // public keys that logs claim, by log
	cosigned   map[string][]cosigned
}

// cosigned says how far a witness has seen a log, and when.
type cosigned struct {
	Witness string    `json:"witness"`
	Records int64     `json:"records"`
	At      time.Time `json:"at"`
}

// A remembered checkpoint is one that the person kept.
type remembered struct {
	file, log string
	signed    []byte
}

func (v *verification) load(keys, checkpoints []string) (err error) {
	v.claimed = map[string]string{}
	if v.keys, err = publicKeys(keys); err != nil {
		return err
	}
	for _, name := range checkpoints {
		signed, err := readEvidence(name)
		if err != nil {
			return err
		}
		if !isCheckpoint(string(signed)) {
			return fault.InvalidParameter.New("%s is not a checkpoint, as keyward audit checkpoint and keyward witness checkpoint write them", name)
		}
		log, _, _ := strings.Cut(string(signed), "\n")
		v.remembered = append(v.remembered, remembered{name, log, signed})
	}
	return nil
}

// loadWitnesses reads the keys of witnesses, each given as itself or in a file.
func (v *verification) loadWitnesses(given []string) error {
	v.cosigned = map[string][]cosigned{}
	keys, err := publicKeys(given)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		witness, err := cosign.NewVerifier(keys[name])
		if err != nil {
			return err
		}
		v.witnesses = append(v.witnesses, witness)
	}
	return nil
}

// run verifies what is there and then that nothing that should be there is missing.
func (v *verification) run(ctx context.Context, cmd *cobra.Command, what subject) ([]audit.Report, error) {
	reports, err := v.verify(ctx, cmd, what)
	if err != nil {
		return nil, err
	}
	for log := range v.keys {
		if _, found := v.claimed[log]; !found {
			return nil, &audit.TamperError{Log: log, Where: fault.Say("it is missing, though its public key was given")}
		}
	}
	for _, r := range v.remembered {
		if _, found := v.claimed[r.log]; !found {
			return nil, &audit.TamperError{Log: r.log, Where: fault.Say("it is missing, though there is a checkpoint of it: %s", r.file)}
		}
	}
	return reports, nil
}

func (v *verification) verify(ctx context.Context, cmd *cobra.Command, what subject) ([]audit.Report, error) {
	source, file := what.source, what.file
	switch {
	case file != "" && (source.direct() || source.socket != ""), what.dir != "" && (file != "" || source.direct() || source.socket != ""),
		source.dataDir != "" && source.database != "", source.direct() && source.socket != "":
		return nil, v.Usage(cmd, "name one thing to verify", "只能指定一个验证对象")
	case what.dir != "":
		return v.verifyTiles(cmd, what.dir)
	case file == "-":
		return v.verifyExport(ctx, v.In)
	case file != "":
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // it was only read
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		p := v.Progress(f, file, info.Size())
		defer p.Finish()
		return v.verifyExport(ctx, p)
	case source.direct():
		return v.verifyStore(ctx, cmd, source)
	}
	pr, pw := io.Pipe()
	defer func() { _ = pr.Close() }() // so that the other side ends when this one found enough
	go func() { pw.CloseWithError(source.export(ctx, cmd, pw)) }()
	return v.verifyExport(ctx, pr)
}

func (v *verification) verifyExport(ctx context.Context, r io.Reader) ([]audit.Report, error) {
	var refused error
	reports, err := export.Verify(cli.Interruptible(ctx, r), func(log, claimed string) audit.Trust {
		trust, err := v.trust(log, claimed)
		refused = errors.Join(refused, err)
		return trust
	}, nil)
	if refused != nil {
		return nil, refused // it explains what comes of it
	}
	return reports, err
}

func (v *verification) verifyStore(ctx context.Context, cmd *cobra.Command, source *logSource) (reports []audit.Report, err error) {
	db, err := source.open(ctx, cmd)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	strays, err := db.Strays(ctx)
	if err != nil {
		return nil, err
	}
	if len(strays) > 0 {
		return nil, &audit.TamperError{Log: strays[0], Where: fault.Say("it has records and no signed head")}
	}
	logs, err := db.Logs(ctx)
	if err != nil {
		return nil, err
	}
	for _, id := range logs {
		trust, err := v.trust(id.Origin, id.PublicKey)
		if err != nil {
			return nil, err
		}
		report, err := audit.VerifyStore(ctx, db, id.Origin, trust)
		if err != nil {
			return nil, err
		}
		reports = append(reports, report)
	}
	return reports, nil
}

// trust answers what to believe of a log. Every checkpoint of it that the person kept
// must be signed by its key; package audit would pass over one that is not.
func (v *verification) trust(log, claimed string) (audit.Trust, error) {
	v.claimed[log] = claimed
	trust := audit.Trust{PublicKey: claimed}
	key, given := v.keys[log]
	if given {
		trust.PublicKey = key
	} else if len(v.keys) > 0 {
		return trust, &audit.TamperError{Log: log, Where: fault.Say("its public key is not among those given; a server that is new has to be made known with --public-key")}
	}
	for _, r := range v.remembered {
		if r.log != log {
			continue
		}
		if _, err := audit.OpenCheckpoint(r.signed, trust.PublicKey); err != nil && given {
			return trust, &cli.Problem{Message: fmt.Sprintf(v.T("the checkpoint %s is not signed by the given key", "检查点 %s 不是由给出的密钥签名的"), r.file), Cause: err}
		} else if err != nil {
			return trust, &audit.TamperError{Log: log, Where: fault.Say("it claims a public key that did not sign the checkpoint %s", r.file)}
		}
		trust.Remembered = append(trust.Remembered, r.signed)
	}
	return trust, v.witnessed(log, trust)
}

// witnessed notes, for each witness that the person named, the newest checkpoint of the
// log that it cosigned. There must be one.
func (v *verification) witnessed(log string, trust audit.Trust) error {
	for _, w := range v.witnesses {
		newest := cosigned{Witness: w.Name(), Records: -1}
		for _, signed := range trust.Remembered {
			at, err := w.Time(signed)
			c, openErr := audit.OpenCheckpoint(signed, trust.PublicKey)
			if err == nil && openErr == nil && (c.Size > newest.Records || c.Size == newest.Records && at.After(newest.At)) {
				newest.Records, newest.At = c.Size, at
			}
		}
		if newest.Records < 0 {
			return &cli.Problem{
				Message: fmt.Sprintf(v.T("no checkpoint of log %q is cosigned by %s", "没有由 %[2]s 联署的日志 %[1]q 的检查点"), log, w.Name()),
				Next:    v.T("fetch it from the witness and give it with --checkpoint", "请从见证者处获取，并用 --checkpoint 给出"),
			}
		}
		v.cosigned[log] = append(v.cosigned[log], newest)
	}
	return nil
}

// A proven log is a report as it is shown.
type proven struct {
	Log         string     `json:"log"`
	Records     int64      `json:"records"`
	Root        string     `json:"root"`
	At          time.Time  `json:"at,omitzero"`
	Checkpoints []int64    `json:"checkpoints"` // sizes of the remembered ones that it contains
	Cosigned    []cosigned `json:"cosigned"`    // what the named witnesses have seen of it
	PublicKey   string     `json:"publicKey"`
	KeyGiven    bool       `json:"keyGiven"` // the person gave the key; otherwise the log claimed it
}

func (v *verification) show(reports []audit.Report) error {
	all := []proven{}
	claimed := false
	for _, r := range reports {
		p := proven{Log: r.Log, Records: r.Size, Root: base64.StdEncoding.EncodeToString(r.Root[:]), At: r.At, Checkpoints: append([]int64{}, r.Remembered...), Cosigned: append([]cosigned{}, v.cosigned[r.Log]...)}
		p.PublicKey, p.KeyGiven = v.keys[r.Log]
		if !p.KeyGiven {
			p.PublicKey, claimed = v.claimed[r.Log], true
		}
		all = append(all, p)
	}
	if err := v.Show(all, func(t *cli.Table) {
		for _, p := range all {
			t.Add(v.T("Log", "日志"), p.Log)
			t.Add(v.T("Proven", "已证明"), fmt.Sprintf(v.T("%d records, complete and in order", "%d 条记录，完整且有序"), p.Records))
			t.Add(v.T("Root", "根哈希"), p.Root)
			if !p.At.IsZero() {
				t.Add(v.T("Newest", "最新"), cli.When(p.At))
			}
			t.Add(v.T("Contains the checkpoints of", "包含检查点，其记录数为"), cli.OrDash(strings.Join(numbers(p.Checkpoints), ", ")))
			for _, c := range p.Cosigned {
				t.Add(v.T("Cosigned by", "联署者")+" "+c.Witness, fmt.Sprintf(v.T("%d records at %s", "%d 条记录，时间 %s"), c.Records, cli.When(c.At)))
			}
			t.Add(v.T("Public key", "公钥"), p.PublicKey)
		}
	}); err != nil {
		return err
	}
	if len(all) == 0 {
		v.Say("there is no audit log yet", "还没有审计日志")
	}
	if claimed {
		v.Say("note: the public key is the log's own claim; give --public-key to prove who signed",
			"注意：公钥是日志自称的；请给出 --public-key 以证明签名者")
	}
	return nil
}

func numbers(values []int64) []string {
	out := make([]string, len(values))
	for i, n := range values {
		out[i] = strconv.FormatInt(n, 10)
	}
	return out
}
