package auditcmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/config"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/witness"
)

// witnessConnections is how many connections one address may hold to a witness at once.
const witnessConnections = 64

// A witnessing is one run of keyward witness.
type witnessing struct {
	*cli.Run
	state, listen    string
	logs             []string
	certFile, tlsKey string
	plain            bool
}

func newWitnessCmd(c *cli.Run) *cobra.Command {
	w := &witnessing{Run: c}
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "witness",
		Short: c.T("Cosign the audit logs of other machines", "为其他机器的审计日志联署"),
		Long: c.T(
			`Run a witness: it cosigns the checkpoints of audit logs, each only if it continues the one
that it cosigned before. A log that is cut back, replaced, or shown differently to
different people is found out, as long as the witness is in other hands than the log.

It needs no database and no secret but its own key: run "keyward witness init" first.
Name each log with its public key, as "keyward audit public-key" prints it, or a file with
it. A log whose name differs from its key's is written KEY=NAME.`,
			`运行见证者：它为审计日志的检查点联署，且仅当检查点延续其上次联署的检查点时才联署。
只要见证者与日志不由同一方掌管，日志被截断、被替换或向不同的人展示不同内容，都会被发现。

见证者不需要数据库，除自己的密钥外也不需要其他秘密：请先执行 "keyward witness init"。
用日志的公钥（"keyward audit public-key" 的输出，或含有它的文件）指定每个日志。
日志名称与公钥中的名称不同时，写作 KEY=NAME。`,
		),
		Example: "  keyward witness init --state /var/lib/witness --name witness.example.com/w1\n  keyward witness --state /var/lib/witness --log audit.pub --listen 127.0.0.1:7421",
		Run:     func(ctx context.Context, _ []string) error { return w.run(ctx, cmd) },
	}, newWitnessInitCmd(c), newWitnessStatusCmd(c), newWitnessCheckpointCmd(c))
	f := cmd.Flags()
	stateFlag(w.Run, cmd, &w.state)
	f.StringVar(&w.listen, "listen", "127.0.0.1:7421", c.T("`ADDRESS` to listen on; port 0 chooses a free one", "监听地址 `ADDRESS`；端口为 0 时自动选择空闲端口"))
	f.StringArrayVar(&w.logs, "log", nil, c.T("`KEY` of a log, KEY=NAME, or a file with keys; may be repeated", "日志的公钥 `KEY`、KEY=NAME，或含有公钥的文件；可重复"))
	f.StringVar(&w.certFile, "tls-cert", "", c.T("serve https with the certificate in `FILE`", "用 `FILE` 中的证书提供 https 服务"))
	f.StringVar(&w.tlsKey, "tls-key", "", c.T("`FILE` with the certificate's key", "证书密钥文件 `FILE`"))
	f.BoolVar(&w.plain, "plain", false, c.T("serve http on a network: what is exchanged is signed and no secret", "在网络上提供 http 服务：交换的内容都已签名且不含秘密"))
	return cmd
}

func stateFlag(c *cli.Run, cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "state", "", c.T("`DIR` with the key and what was cosigned", "保存密钥和联署记录的目录 `DIR`"))
}

// noState answers what to say when --state is missing.
func noState(c *cli.Run, cmd *cobra.Command) error {
	return c.Usage(cmd, "--state is missing", "缺少 --state")
}

func newWitnessInitCmd(c *cli.Run) *cobra.Command {
	var dir, name string
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:     "init",
		Short:   c.T("Make the key of a new witness", "为新的见证者生成密钥"),
		Example: "  keyward witness init --state /var/lib/witness --name witness.example.com/w1",
		Run: func(context.Context, []string) error {
			if dir == "" {
				return noState(c, cmd)
			}
			if name == "" {
				return c.Usage(cmd, "--name is missing: a URL without https://, such as witness.example.com/w1", "缺少 --name：不带 https:// 的 URL，例如 witness.example.com/w1")
			}
			public, err := witness.Init(dir, name)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintln(c.Out, public); err != nil {
				return fmt.Errorf("writing the result: %w", err)
			}
			c.Say(`
This is the witness's public key. Next:
1. here:           keyward witness --state %[1]s --log AUDIT-PUBLIC-KEY --listen ADDRESS
2. on the server:  in its configuration, then start it again
     [[witness]]
     url = "https://ADDRESS"
     key = "%[2]s"
3. who audits:     keep this key, for audit verify --witness-key
Back up nothing: a witness that was put back to an earlier state is no witness.`, `
以上是见证者的公钥。接下来：
1. 在本机：   keyward witness --state %[1]s --log 审计日志公钥 --listen 地址
2. 在服务器： 写入其配置，然后重新启动
     [[witness]]
     url = "https://地址"
     key = "%[2]s"
3. 审计人员： 保存此公钥，用于 audit verify --witness-key
不要备份：被恢复到较早状态的见证者就不再是见证者。`, dir, public)
			return nil
		},
	})
	stateFlag(c, cmd, &dir)
	cmd.Flags().StringVar(&name, "name", "", c.T("`NAME` of the witness: a URL without its scheme, which need not lead anywhere", "见证者名称 `NAME`：不带协议的 URL，不必真实可达"))
	return cmd
}

func newWitnessStatusCmd(c *cli.Run) *cobra.Command {
	var dir string
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "status",
		Short: c.T("Show which logs were cosigned, how far, and every conflict", "显示已联署的日志、进度以及所有冲突"),
		Run: func(context.Context, []string) error {
			if dir == "" {
				return noState(c, cmd)
			}
			all, err := witness.Inspect(dir)
			if err != nil {
				return err
			}
			rows := []witnessed{}
			for _, s := range all {
				rows = append(rows, witnessed{s.Origin, s.Size, s.At, append([]string{}, s.Conflicts...)})
			}
			return c.Show(rows, func(t *cli.Table) {
				t.Add(c.T("LOG", "日志"), c.T("RECORDS", "记录数"), c.T("COSIGNED", "联署时间"), c.T("CONFLICTS", "冲突"))
				for _, r := range rows {
					t.Add(r.Log, fmt.Sprint(r.Records), cli.When(r.CosignedAt), cli.OrDash(strings.Join(r.Conflicts, " ")))
				}
			})
		},
	})
	stateFlag(c, cmd, &dir)
	return cmd
}

// A witnessed log is a witness's standing as it is shown.
type witnessed struct {
	Log        string    `json:"log"`
	Records    int64     `json:"records"`
	CosignedAt time.Time `json:"cosignedAt"` // when it grew to that
	Conflicts  []string  `json:"conflicts"`  // files with the evidence
}

func newWitnessCheckpointCmd(c *cli.Run) *cobra.Command {
	var dir, log string
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "checkpoint",
		Short: c.T("Write the newest cosigned checkpoint, for audit verify", "输出最新的联署检查点，供 audit verify 使用"),
		Run: func(context.Context, []string) error {
			if dir == "" {
				return noState(c, cmd)
			}
			all, err := witness.Inspect(dir)
			if err != nil {
				return err
			}
			all = slices.DeleteFunc(all, func(s witness.Standing) bool { return len(s.Checkpoint) == 0 || log != "" && s.Origin != log })
			if len(all) == 0 { // an empty file would look like evidence
				return fault.ResourceNotFound.New("the witness in %s has cosigned no such log; keyward witness status shows those that it has", dir)
			}
			for _, s := range all {
				if _, err := c.Out.Write(s.Checkpoint); err != nil {
					return fmt.Errorf("writing the result: %w", err)
				}
			}
			return nil
		},
	})
	stateFlag(c, cmd, &dir)
	cmd.Flags().StringVar(&log, "log", "", c.T("only of the log with this `NAME`", "只输出名称为 `NAME` 的日志"))
	return cmd
}

// run serves until ctx ends.
func (w *witnessing) run(ctx context.Context, cmd *cobra.Command) error {
	if w.state == "" {
		return noState(w.Run, cmd)
	}
	if len(w.logs) == 0 {
		return w.Usage(cmd, "--log is missing: the public key of a log, as keyward audit public-key prints it", "缺少 --log：日志的公钥，即 keyward audit public-key 的输出")
	}
	if (w.certFile == "") != (w.tlsKey == "") {
		return w.Usage(cmd, "--tls-cert and --tls-key belong together", "--tls-cert 与 --tls-key 必须同时给出")
	}
	logs, err := witnessLogs(w.logs)
	if err != nil {
		return err
	}
	logger, err := cli.NewLogger(w.Err, config.Log{Format: "text", Level: "info"})
	if err != nil {
		return err
	}
	signer, err := witness.ReadKey(w.state)
	if errors.Is(err, fs.ErrNotExist) {
		return &cli.Problem{Message: fmt.Sprintf(w.T("there is no witness in %s", "%s 中没有见证者"), w.state), Next: w.T("run: keyward witness init", "请执行：keyward witness init")}
	}
	if err != nil {
		return err
	}
	unlock, err := witness.Lock(w.state)
	if err != nil {
		return err
	}
	defer unlock()
	witnessing, err := witness.Open(witness.Options{Dir: w.state, Signer: signer, Logs: logs, Now: time.Now, Logger: logger})
	if err != nil {
		return err
	}
	return w.serve(ctx, cmd, witnessing, logger)
}

// serve serves until ctx ends.
func (w *witnessing) serve(ctx context.Context, cmd *cobra.Command, served *witness.Witness, logger *slog.Logger) error {
	l, err := net.Listen("tcp", w.listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	address := l.Addr().String()
	if to, err := netip.ParseAddrPort(address); w.certFile == "" && !w.plain && (err != nil || !to.Addr().Unmap().IsLoopback()) {
		_ = l.Close() // nothing was served
		return w.Usage(cmd, "%s is not a loopback address: give --tls-cert and --tls-key, or --plain", "%s 不是回环地址：请给出 --tls-cert 和 --tls-key，或 --plain", address)
	}
	s := &http.Server{
		Handler: served.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // what strangers do to a connection is not worth a line
	}
	drained := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(drained)
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = s.Shutdown(patience) // whoever still waits asks again
	})
	serve, scheme := s.Serve, "http"
	if w.certFile != "" {
		s.TLSConfig, scheme = server.TLS(w.certFile, w.tlsKey, "1.2", logger), "https"
		serve = func(l net.Listener) error { return s.ServeTLS(l, "", "") }
	}
	fmt.Fprintf(w.Out, w.T("the witness listens on %s://%s\n", "见证者正在监听 %s://%s\n"), scheme, address)
	if err := serve(server.LimitConnections(l, witnessConnections)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	<-drained
	return nil
}

// witnessLogs reads the values of --log.
func witnessLogs(given []string) ([]witness.Log, error) {
	var logs []witness.Log
	for _, one := range given {
		content, err := keyOrFile(one)
		if err != nil {
			return nil, err
		}
		found := false
		for line := range strings.Lines(string(content)) {
			line = strings.TrimSpace(line)
			if line == "" {
				continue
			}
			key, origin, named := strings.Cut(line, "=") // no key ends with a =, for it has 33 bytes
			if !isKey(key) {
				return nil, noKeys(one)
			}
			if !named {
				origin, _, _ = strings.Cut(key, "+")
			}
			logs, found = append(logs, witness.Log{Origin: origin, PublicKey: key}), true
		}
		if !found {
			return nil, noKeys(one)
		}
	}
	return logs, nil
}
