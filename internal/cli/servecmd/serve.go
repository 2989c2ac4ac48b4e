package servecmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/app"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/config"
	"github.com/keyward/keyward/internal/durable"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
)

// newServerCmd runs a server for production.
func newServerCmd(c *cli.Run) *cobra.Command {
	var path string
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "server",
		Short: c.T("Run a server", "运行服务器"),
		Long: c.T(
			`Run a server with a configuration file (TOML; docs/operations.md lists the settings).

It unseals itself if it finds its passphrase: in the file that seal.passphrase_file names,
in the systemd credential keyward-passphrase, or in KEYWARD_PASSPHRASE. Otherwise it
starts sealed and waits for: keyward operator init, or keyward operator unseal.
SIGTERM and Ctrl-C let it finish the requests in flight and stop.`,
			`使用配置文件（TOML，各项设置见 docs/operations.md）运行服务器。

若能找到口令，服务器会自动解封：来源为 seal.passphrase_file 指定的文件、systemd 凭据
keyward-passphrase，或环境变量 KEYWARD_PASSPHRASE。否则以封存状态启动，等待
keyward operator init 或 keyward operator unseal。
收到 SIGTERM 或 Ctrl-C 后，处理完进行中的请求再退出。`),
		Example: "  keyward server --config /etc/keyward/keyward.toml",
		Secrets: true,
		Run: func(ctx context.Context, _ []string) error {
			if path == "" {
				return c.Usage(cmd, "--config is missing", "缺少 --config")
			}
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			logger, err := cli.NewLogger(c.Err, cfg.Log)
			if err != nil {
				return err
			}
			checkMemory(c)
			return app.New(app.Options{Config: cfg, Logger: logger, Version: cli.ThisBuild().Version, Now: time.Now, Searcher: searcher}).Run(ctx)
		},
	})
	cmd.Flags().StringVar(&path, "config", "", c.T("configuration `FILE`", "配置文件 `FILE`"))
	return cmd
}

// newDevCmd runs the whole product for a developer, with nothing to set up.
func newDevCmd(c *cli.Run) *cobra.Command {
	d := dev{Run: c}
	var verbose bool
	var allow []string
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "dev",
		Short: c.T("Run everything on this machine, ready to use", "在本机运行全部功能，开箱即用"),
		Long: c.T(
			`Run everything on this machine: an embedded database under the data directory, unsealed
with a random passphrase that is kept beside it. Starting it again finds everything as it
was. This is for trying and developing; for production see: keyward server --help`,
			`在本机运行全部功能：数据目录下的内嵌数据库，用保存在旁边的随机口令解封。
再次启动时一切照旧。仅供试用和开发；生产环境请见：keyward server --help`),
		Example: "  keyward dev\n  keyward dev --data-dir /tmp/try --listen 127.0.0.1:0",
		Secrets: true,
		Run: func(ctx context.Context, _ []string) error {
			level := "warn"
			if verbose {
				level = "debug"
			}
			logger, err := cli.NewLogger(c.Err, config.Log{Format: "text", Level: level})
			if err != nil {
				return err
			}
			for _, text := range allow {
				network, err := netip.ParsePrefix(text)
				if err != nil {
					return c.Usage(cmd, "--allow %s is no network; write one such as 127.0.0.0/8", "--allow %s 不是网段，请写成 127.0.0.0/8 这样的形式", text)
				}
				d.allow = append(d.allow, network)
			}
			checkMemory(c)
			return d.run(ctx, logger)
		},
	})
	cmd.Flags().StringVar(&d.dir, "data-dir", ".keyward", c.T("`DIR` for everything that is kept", "保存所有数据的目录 `DIR`"))
	cmd.Flags().StringVar(&d.listen, "listen", "127.0.0.1:7420", c.T("`ADDRESS` to listen on; port 0 chooses a free one", "监听地址 `ADDRESS`；端口为 0 时自动选择空闲端口"))
	cmd.Flags().StringArrayVar(&allow, "allow", nil, c.T("`NETWORK` where providers and channels may be although it is not public, such as 127.0.0.0/8; may be repeated", "允许密钥来源和通知渠道使用的非公网网段 `NETWORK`，如 127.0.0.0/8；可重复"))
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, c.T("log every request", "记录每个请求"))
	return cmd
}

// A dev is one run of keyward dev.
type dev struct {
	*cli.Run
	dir, listen string
	allow       []netip.Prefix // as egress.allow of a server
}

const (
	devPassphrase = "passphrase"
	devEnv        = "dev.env"
	devAccount    = "dev"
)

func (d *dev) run(ctx context.Context, logger *slog.Logger) error {
	cfg := config.Default()
	cfg.DataDir, cfg.Listen, cfg.Egress.Allow = d.dir, d.listen, d.allow
	if err := cfg.Complete(); err != nil {
		return err
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	cfg.Repositories.Directories = []string{here} // whoever runs it can read them anyway
	cfg.PublicURL = localURL(d.listen)
	cfg.Seal.PassphraseFile = filepath.Join(d.dir, devPassphrase)
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return fmt.Errorf("making the data directory: %w", err)
	}
	if err := d.makePassphrase(cfg.Seal.PassphraseFile); err != nil {
		return err
	}
	return app.New(app.Options{
		Config: cfg, Logger: logger, Version: cli.ThisBuild().Version, Now: time.Now, Cost: seal.DevelopmentCost(), Searcher: searcher,
		Ready: func(ctx context.Context, a *app.App, address string) error { return d.ready(ctx, a, cfg, address) },
	}).Run(ctx)
}

// localURL answers how a browser on this machine reaches an address as localhost, the only
// host without encryption at which it offers security keys; "" if the port is not known yet.
func localURL(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if at, wrong := netip.ParseAddr(host); err != nil || port == "0" || host != "localhost" && (wrong != nil || !at.IsLoopback()) {
		return ""
	}
	return "http://localhost:" + port
}

// makePassphrase writes a random passphrase into a new private file, if there is none;
// an existing database needs its own.
func (d *dev) makePassphrase(path string) error {
	_, noPassphrase := os.Stat(path)
	if _, err := os.Stat(filepath.Join(d.dir, "keyward.db")); err == nil && errors.Is(noPassphrase, os.ErrNotExist) {
		return &cli.Problem{
			Message: fmt.Sprintf(d.T("%s is missing, and the database beside it cannot be opened without it", "缺少 %s，没有它就无法打开旁边的数据库"), path),
			Next:    d.T("restore it, or remove the whole directory to begin anew", "请恢复该文件，或删除整个目录重新开始"),
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("making the passphrase: %w", err)
	}
	_, err = fmt.Fprintf(f, "%x\n", material.Random(32).Expose())
	if err = errors.Join(err, f.Sync(), f.Close(), durable.SyncDirectory(d.dir)); err != nil {
		return fmt.Errorf("making the passphrase: %w", err)
	}
	return nil
}

// ready finishes the start: on the first one it initialises the server and writes
// dev.env; each time it says where the server is and what to do next.
func (d *dev) ready(ctx context.Context, a *app.App, cfg config.Config, address string) error {
	env := filepath.Join(d.dir, devEnv)
	status, err := a.Status(ctx)
	if err != nil {
		return err
	}
	var key [2]string
	switch known, readErr := readEnv(env); {
	case !status.Initialized:
		passphrase, err := seal.ReadPassphrase(cfg.Seal.PassphraseFile)
		if err != nil {
			return err
		}
		defer passphrase.Zero()
		founded, err := a.Initialize(ctx, passphrase, devAccount)
		if err != nil {
			return err
		}
		key = [2]string{founded.Key.AccessKey.ID, string(founded.Key.Secret.Expose())}
	case readErr == nil:
		key = [2]string{known["ALIBABA_CLOUD_ACCESS_KEY_ID"], known["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]}
	case errors.Is(readErr, os.ErrNotExist): // it was lost; a new account is all that its absence allows
		founded, err := a.CreateAccount(ctx, devAccount+"-"+strings.ToLower(time.Now().UTC().Format("20060102-150405")))
		if err != nil {
			return err
		}
		key = [2]string{founded.Key.AccessKey.ID, string(founded.Key.Secret.Expose())}
	default:
		return readErr
	}
	endpoint := "http://" + address
	content := fmt.Sprintf("export KEYWARD_ENDPOINT=%s\nexport ALIBABA_CLOUD_ACCESS_KEY_ID=%s\nexport ALIBABA_CLOUD_ACCESS_KEY_SECRET=%s\nexport ALIBABA_CLOUD_REGION_ID=%s\n",
		endpoint, key[0], key[1], cfg.Region)
	if err := durable.Replace(env, []byte(content)); err != nil {
		return err
	}
	d.greet(endpoint, env)
	return nil
}

func (d *dev) greet(endpoint, env string) {
	fmt.Fprintf(d.Out, d.T(
		`keyward listens on %[1]s

In another terminal:
  . %[2]s
  keyward key create --alias alias/reports
  keyward encrypt --key alias/reports < big.tar > big.tar.kw
  keyward decrypt < big.tar.kw > again.tar
  keyward audit list

Without a keyward on the PATH, say "go run ./cmd/keyward" for "keyward".
Ctrl-C stops it; starting it again finds everything as it was.
`,
		`keyward 正在监听 %[1]s

在另一个终端中：
  . %[2]s
  keyward key create --alias alias/reports
  keyward encrypt --key alias/reports < big.tar > big.tar.kw
  keyward decrypt < big.tar.kw > again.tar
  keyward audit list

若 PATH 中没有 keyward，请用 "go run ./cmd/keyward" 代替 "keyward"。
按 Ctrl-C 停止；再次启动时一切照旧。
`), endpoint, env)
}

// readEnv reads the variables of a file that ready wrote.
func readEnv(path string) (map[string]string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		out[name] = value
	}
	return out, nil
}

// checkMemory tells the person who starts a server if the system does not let it protect
// the memory of its keys. The server's log says so as well, once it is unsealed.
func checkMemory(c *cli.Run) {
	if err := seal.CheckMemory(); err != nil {
		c.Say("Warning: keys could reach the swap or a core dump: %v\nIn a systemd unit set LimitMEMLOCK=64M, in a shell run: ulimit -l 65536",
			"警告：密钥可能被写入交换区或核心转储：%v\n请在 systemd 单元中设置 LimitMEMLOCK=64M，或在 shell 中运行：ulimit -l 65536", err)
	}
}

// searcher answers a run of this program that searches a mirror.
func searcher(ctx context.Context) *exec.Cmd {
	exe, err := os.Executable()
	cmd := exec.CommandContext(ctx, exe)
	cmd.Args = []string{"keyward", "scan", "mirror", "--no-input"}
	cmd.Err = err
	return cmd
}
