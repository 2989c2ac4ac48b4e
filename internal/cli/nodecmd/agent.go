package nodecmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/agent"
	agentconfig "github.com/keyward/keyward/internal/agent/config"
	"github.com/keyward/keyward/internal/agent/identity"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/config"
)

func newAgentCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "agent",
		Short: c.T("Have keys delivered to this machine", "将密钥交付到本机"),
		Long: c.T(
			`Have keys delivered to this machine: the agent joins a server with a one-time token, keeps
what it is given in a sealed cache, writes files, runs a reload command, probes that the
new key works, and tells the server how far it is. Programs read the files, or ask the
agent at a socket. docs/agent.md has a whole example.`,
			`将密钥交付到本机：agent 使用一次性令牌加入服务器，把收到的内容保存在加密的缓存中，
写出文件，执行重新加载命令，探测新密钥是否可用，并向服务器报告进度。程序可以读取文件，
也可以通过套接字询问 agent。完整示例见 docs/agent.md。`,
		),
	}, newAgentJoinCmd(c), newAgentRunCmd(c), newAgentStatusCmd(c), newAgentCheckCmd(c))
}

// A joining is one run of keyward agent join.
type joining struct {
	*cli.Run
	server, tokenFile, name, ca, state string
}

func newAgentJoinCmd(c *cli.Run) *cobra.Command {
	j := joining{Run: c}
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "join",
		Short: c.T("Make this machine a node of a server", "使本机成为服务器的一个节点"),
		Long: c.T(
			`Make this machine a node of a server. It makes the machine's keys in the state directory;
their private parts never leave it. The token stands in a file, or "-" reads it from
standard input. If the answer is lost, run it again: the machine shows the same keys.`,
			`使本机成为服务器的一个节点。本机的密钥在状态目录中生成，其私钥部分从不离开本机。
令牌放在文件中，或用 "-" 从标准输入读取。若应答丢失，再执行一次即可：本机会出示同一组密钥。`,
		),
		Example: "  keyward agent join --server https://keyward.example.com:7420 --token-file token",
		Secrets: true,
		Run:     func(ctx context.Context, _ []string) error { return j.run(ctx, cmd) },
	})
	f := cmd.Flags()
	f.StringVar(&j.server, "server", "", c.T("`URL` of the server", "服务器的 `URL`"))
	f.StringVar(&j.tokenFile, "token-file", "", c.T("`FILE` with the token; - for standard input", "含有令牌的文件 `FILE`；- 表示标准输入"))
	f.StringVar(&j.name, "name", "", c.T("`NAME` of the node, unless the token says it; the machine's host name if not given", "节点名称 `NAME`（除非令牌已指定）；未给出时用主机名"))
	f.StringVar(&j.ca, "ca", "", c.T("`FILE` with the certificates to trust instead of the system's", "代替系统证书的 CA 证书文件 `FILE`"))
	f.StringVar(&j.state, "state", agentconfig.DefaultState, c.T("`DIR` for the machine's keys and what it is given", "保存本机密钥和所收到内容的目录 `DIR`"))
	return cmd
}

// maxToken is how long a token may be, in bytes.
const maxToken = 4 << 10

func (j *joining) run(ctx context.Context, cmd *cobra.Command) error {
	if j.server == "" {
		return j.Usage(cmd, "--server is missing", "缺少 --server")
	}
	if j.tokenFile == "" {
		return j.Usage(cmd, "--token-file is missing", "缺少 --token-file")
	}
	token, err := j.token(ctx)
	if err != nil {
		return err
	}
	in := agent.Joining{Server: j.server, State: j.state, Token: token, Name: j.name, Transport: j.Transport, Now: j.Now, Language: string(j.Lang)}
	if in.Name == "" {
		if in.Host, err = os.Hostname(); err != nil {
			return fmt.Errorf("looking for the host name: %w; give --name", err)
		}
	}
	if j.ca != "" {
		pem, err := os.ReadFile(j.ca)
		if err != nil {
			return fmt.Errorf("reading the certificates to trust: %w", err)
		}
		in.CA = string(pem)
	}
	n, err := agent.Join(ctx, in)
	if err != nil {
		return err
	}
	j.Say("This machine is %s now.", "本机现在是 %s。", n.Path())
	return j.Show(joined{n.Account, n.Name, n.Labels}, func(t *cli.Table) {
		t.Add(j.T("Account", "账号"), n.Account)
		t.Add(j.T("Node", "节点"), n.Name)
	})
}

// A joined node is who the machine is, as it is shown.
type joined struct {
	Account string            `json:"account"`
	Name    string            `json:"name"`
	Labels  map[string]string `json:"labels"`
}

// token reads the token.
func (j *joining) token(ctx context.Context) (api.SecretText, error) {
	in, err := j.Input(ctx, j.tokenFile)
	if err != nil {
		return "", fmt.Errorf("opening the token's file: %w", err)
	}
	defer func() { _ = in.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(in, maxToken+1))
	if err != nil {
		return "", fmt.Errorf("reading the token: %w", err)
	}
	token := strings.TrimSpace(string(content))
	if token == "" || len(token) > maxToken || strings.ContainsAny(token, " \t\r\n") {
		return "", &cli.Problem{
			Message: j.T("there is no token in the file", "文件中没有令牌"),
			Next:    j.T("put the token there that the server made, and nothing else", "请只放入服务器生成的令牌"),
		}
	}
	return api.SecretText(token), nil
}

// agentConfig reads the configuration: the file that is named, or the one in its usual
// place if there is one.
func agentConfig(path string) (agentconfig.Config, error) {
	if path != "" {
		return agentconfig.Load(path)
	}
	found, err := agentconfig.Load(agentconfig.DefaultFile)
	if errors.Is(err, fs.ErrNotExist) {
		return agentconfig.Default(), nil
	}
	return found, err
}

func agentConfigFlag(c *cli.Run, cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "config", "", c.T("configuration `FILE`; "+agentconfig.DefaultFile+" if it is not given and there",
		"配置文件 `FILE`；未给出时使用 "+agentconfig.DefaultFile+"（若存在）"))
}

func newAgentRunCmd(c *cli.Run) *cobra.Command {
	var path, format string
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "run",
		Short: c.T("Run the agent", "运行 agent"),
		Long: c.T(
			`Run the agent until SIGTERM or Ctrl-C. It begins with what its cache holds, so it needs the
server only for what is new.`,
			`运行 agent，直到收到 SIGTERM 或 Ctrl-C。它从缓存的内容开始工作，只有获取新内容时才需要服务器。`,
		),
		Example: "  keyward agent run --config /etc/keyward/agent.toml",
		Secrets: true,
		Run: func(ctx context.Context, _ []string) error {
			if err := c.OneOf(cmd, "log-format", format, "text", "json"); err != nil {
				return err
			}
			cfg, err := agentConfig(path)
			if err != nil {
				return err
			}
			logger, err := cli.NewLogger(c.Err, config.Log{Format: format, Level: "info"})
			if err != nil {
				return err
			}
			a, err := agent.New(agent.Options{Config: cfg, Version: cli.ThisBuild().Version, Now: c.Now, Logger: logger, Transport: c.Transport})
			if errors.Is(err, identity.ErrNotJoined) {
				return &cli.Problem{
					Message: fmt.Sprintf(c.T("this machine has not joined: %s holds no node", "本机尚未加入：%s 中没有节点信息"), cfg.State),
					Next:    c.T("run: keyward agent join", "请执行：keyward agent join"),
				}
			}
			if err != nil {
				return err
			}
			return a.Run(ctx)
		},
	})
	agentConfigFlag(c, cmd, &path)
	cmd.Flags().StringVar(&format, "log-format", "text", c.T("`FORMAT` of the log: text or json", "日志格式 `FORMAT`：text 或 json"))
	cli.Complete(cmd, "log-format", "text", "json")
	return cmd
}

func newAgentCheckCmd(c *cli.Run) *cobra.Command {
	var path string
	cmd := c.Command(cli.Command{
		Use:   "check",
		Short: c.T("Check the configuration without fetching or writing anything", "检查配置，不获取也不写入任何内容"),
		Run: func(context.Context, []string) error {
			cfg, err := agentConfig(path)
			if err != nil {
				return err
			}
			files := 0
			for _, d := range cfg.Deliver {
				files += len(d.Files)
			}
			c.Say("The configuration is right: %d rollouts, %d files.", "配置正确：%d 个交付，%d 个文件。", len(cfg.Deliver), files)
			return nil
		},
	})
	agentConfigFlag(c, cmd, &path)
	return cmd
}

func newAgentStatusCmd(c *cli.Run) *cobra.Command {
	var path string
	cmd := c.Command(cli.Command{
		Use:   "status",
		Short: c.T("Show what this machine has and how far it is", "显示本机持有的内容和进度"),
		Run: func(ctx context.Context, _ []string) error {
			cfg, err := agentConfig(path)
			if err != nil {
				return err
			}
			local, err := client.NewAgent(client.AgentConfig{Address: cfg.Listen, TokenFile: cfg.TokenFile})
			if err != nil {
				return err
			}
			s, err := local.Status(ctx)
			var answered *client.Error
			if err != nil && !errors.As(err, &answered) {
				return &cli.Problem{
					Message: fmt.Sprintf(c.T("the agent does not answer at %s", "agent 在 %s 上没有应答"), cfg.Listen), Cause: err,
					Next: c.T("check that it runs, and that you are of the group that may use it", "请确认它正在运行，且您属于允许使用它的用户组"),
				}
			}
			if err != nil {
				return err
			}
			return c.Show(s, func(t *cli.Table) { agentStatus(c, t, s) })
		},
	})
	agentConfigFlag(c, cmd, &path)
	return cmd
}

// agentStatus shows how an agent does.
func agentStatus(c *cli.Run, t *cli.Table, s delivery.Status) {
	heard := c.T("never since it started", "启动以来从未")
	if !s.HeardAt.IsZero() {
		heard = cli.When(s.HeardAt)
	}
	t.Add(c.T("Node", "节点"), s.Node)
	t.Add(c.T("Server", "服务器"), s.Server)
	t.Add(c.T("Heard of it", "最近应答"), heard)
	t.Add(c.T("Clock is ahead by", "时钟超前"), (time.Duration(s.Skew) * time.Millisecond).String())
	t.Add(c.T("Trouble", "故障"), cli.OrDash(s.Trouble))
	for _, r := range s.Rollouts {
		used := c.T("not used yet", "尚未使用")
		if !r.UsedAt.IsZero() {
			used = c.T("used ", "使用于 ") + cli.When(r.UsedAt)
		}
		t.Add(r.Rollout, fmt.Sprintf(c.T("generation %d: %s", "第 %d 代：%s"), r.Generation, agentLevel(c, r.Level)), used)
		t.Add("", c.T("primary ", "主用 ")+r.Primary, cli.OrDash(r.Fallback))
		if r.Fallbacks+r.Refused > 0 {
			t.Add("", fmt.Sprintf(c.T("refused %d times, fell back %d times", "被拒绝 %d 次，回退 %d 次"), r.Refused, r.Fallbacks))
		}
		if r.Error != "" {
			t.Add("", r.Error)
		}
	}
}

// agentLevel answers a level in words.
func agentLevel(c *cli.Run, level string) string {
	switch level {
	case delivery.LevelReceived:
		return c.T("received", "已收到")
	case delivery.LevelApplied:
		return c.T("applied", "已应用")
	case delivery.LevelUsed:
		return c.T("used", "已使用")
	}
	return level
}
