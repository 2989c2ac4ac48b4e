package operatorcmd

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
)

// An operation is one call through the operator's socket.
type operation struct {
	*cli.Run
	socket, dataDir, passphraseFile string
}

func (o *operation) connect() (*client.OperatorClient, error) {
	return remote.Operator(o.Run, o.socket, o.dataDir)
}

func newOperatorCmd(c *cli.Run) *cobra.Command {
	o := &operation{Run: c}
	cmd := c.Command(cli.Command{
		Use:   "operator",
		Short: c.T("Operate the server on this machine", "运维本机上的服务器"),
		Long: c.T(
			"Operate the server on this machine, through a socket that only the server's user may open.",
			"通过只有服务器用户可以打开的套接字，运维本机上的服务器。",
		),
	}, newOperatorInitCmd(o), newOperatorUnsealCmd(o), newOperatorSealCmd(o), newOperatorStatusCmd(o), newOperatorScrubCmd(o), newOperatorClockCmd(o),
		newOperatorTestCmd(o), newOperatorRekeyCmd(o), newOperatorCancelCmd(o), newOperatorHSMCmd(o), newOperatorAccountCmd(o), newOperatorApprovalCmd(o))
	f := cmd.PersistentFlags()
	f.StringVar(&o.socket, "socket", "", c.T("`PATH` of the operator's socket; default operator.sock in the data directory", "运维套接字的路径 `PATH`；默认为数据目录中的 operator.sock"))
	f.StringVar(&o.dataDir, "data-dir", "", c.T("data directory `DIR` of the server; default .keyward if it is here, otherwise /var/lib/keyward", "服务器的数据目录 `DIR`；默认为当前目录的 .keyward（如存在），否则为 /var/lib/keyward"))
	return cmd
}

func (o *operation) passphraseFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.passphraseFile, "passphrase-file", "", o.T("read the passphrase from `FILE` (0600); otherwise the systemd credential keyward-passphrase, KEYWARD_PASSPHRASE or the terminal",
		"从 `FILE`（0600）读取口令；否则取自 systemd 凭据 keyward-passphrase、KEYWARD_PASSPHRASE 或终端"))
}

// passphrase finds the passphrase: in the file that is named, where systemd or the
// environment has it, or with the person; a new one is asked for twice.
func (o *operation) passphrase(ctx context.Context, isNew bool) (material.Bytes, error) {
	o.Harden()
	if o.passphraseFile != "" {
		return seal.ReadPassphrase(o.passphraseFile)
	}
	p, _, err := seal.PassphraseFromEnvironment()
	if !fault.Is(err, fault.MissingParameter) {
		return p, err
	}
	if err := o.requirePerson(o.T("name a file with --passphrase-file", "请用 --passphrase-file 指定文件")); err != nil {
		return material.Bytes{}, err
	}
	prompt := o.T("Passphrase: ", "口令：")
	if isNew {
		return o.askTwice(ctx, prompt)
	}
	line, err := o.askSecret(ctx, prompt)
	return material.NewBytes(line), err
}

// requirePerson says what to do instead when nobody can be asked for a secret.
func (o *operation) requirePerson(instead string) error {
	if o.Interactive && !o.NoInput {
		return nil
	}
	return &cli.Problem{
		Message: o.T("there is no passphrase, share or session, and nobody can be asked", "没有口令、份额或会话名，当前也无法提问"),
		Next:    instead,
	}
}

// askTwice asks for a new passphrase.
func (o *operation) askTwice(ctx context.Context, prompt string) (material.Bytes, error) {
	first, err := o.askSecret(ctx, prompt)
	if err != nil {
		return material.Bytes{}, err
	}
	second, err := o.askSecret(ctx, o.T("Once more: ", "再输入一次："))
	defer clear(second)
	if err == nil && !bytes.Equal(first, second) {
		err = &cli.Problem{Message: o.T("the two passphrases differ; nothing was changed", "两次输入的口令不同，没有做任何更改")}
	}
	if err != nil {
		clear(first)
		return material.Bytes{}, err
	}
	return material.NewBytes(first), nil
}

func (o *operation) askSecret(ctx context.Context, prompt string) ([]byte, error) {
	fmt.Fprint(o.Err, prompt)
	line, err := o.ReadPassword(ctx)
	fmt.Fprintln(o.Err)
	if err != nil {
		return nil, fmt.Errorf("reading from the terminal: %w", err)
	}
	return line, nil
}

func newOperatorInitCmd(o *operation) *cobra.Command {
	var account string
	var hsm bool
	issue := &remote.Issue{Run: o.Run}
	shares := &sharing{operation: o}
	cmd := o.Command(cli.Command{
		Use:   "init",
		Short: o.T("Initialise a new server: root key, first account, first access key", "初始化新服务器：根密钥、第一个账号和访问密钥"),
		Long: o.T(
			`Initialise a new server: it gets its root key, protected by a passphrase, and its first
account, whose access key is shown this once. Whoever loses the passphrase loses every key.

With --hsm the hardware token opens the root key; add a recovery envelope at once, for the
day when the token is lost.

With --shares and --threshold there is no passphrase: the root key opens with that many
of the shares, which are shown this once, or sealed to their holders' age recipients.`,
			`初始化新服务器：生成由口令保护的根密钥和第一个账号，账号的访问密钥只显示这一次。
丢失口令就会丢失所有密钥。

使用 --hsm 时由硬件令牌打开根密钥；请立即添加恢复信封，以防令牌丢失。

使用 --shares 和 --threshold 时没有口令：根密钥由指定数量的份额打开，份额只显示这一次，
或加密给各持有人的 age 公钥。`,
		),
		Run: func(ctx context.Context, _ []string) error {
			server, err := o.connect()
			if err != nil {
				return err
			}
			in := api.InitializeRequest{Account: account, Shares: shares.shares, Threshold: shares.threshold, Recipients: shares.recipients, HSM: hsm}
			if in.Shares == 0 && in.Threshold == 0 && !in.HSM {
				passphrase, err := o.passphrase(ctx, true)
				if err != nil {
					return err
				}
				defer passphrase.Zero()
				in.Passphrase = passphrase.Expose()
			}
			err = found(issue, func() (api.FoundedAccount, error) { return shares.initialize(ctx, server, in) })
			if err == nil && hsm {
				o.Say("Should the token be lost, every key is lost with it. Add a recovery envelope now, and test it:\nkeyward operator rekey --add NAME --recovery …; keyward operator test",
					"令牌一旦丢失，所有密钥都会随之丢失。请立即添加恢复信封并检验：\nkeyward operator rekey --add NAME --recovery …；keyward operator test")
			}
			return err
		},
	})
	cmd.Flags().StringVar(&account, "account", "main", o.T("`NAME` of the first account", "第一个账号的名称 `NAME`"))
	cmd.Flags().BoolVar(&hsm, "hsm", false, o.T("instead of a passphrase: the hardware token opens the root key", "不使用口令：由硬件令牌打开根密钥"))
	o.passphraseFlag(cmd)
	shares.flags(cmd)
	issue.Flags(cmd)
	return cmd
}

// initialize initialises the server and delivers the shares of its root key: they come
// before the access key, which can be replaced.
func (s *sharing) initialize(ctx context.Context, server *client.OperatorClient, in api.InitializeRequest) (api.FoundedAccount, error) {
	if err := s.prepare(); err != nil {
		return api.FoundedAccount{}, err
	}
	founded, err := server.Initialize(ctx, in)
	if err != nil {
		return founded, s.abandon(err)
	}
	err = s.deliver(founded.Shares)
	if s.dir != "" {
		founded.Shares = nil
	}
	return founded, err
}

// found has the server make an account and delivers its access key.
func found(i *remote.Issue, act func() (api.FoundedAccount, error)) error {
	if err := i.Open(); err != nil {
		return err
	}
	a, err := act()
	if err != nil {
		return i.Abandon(err)
	}
	return i.Deliver(remote.Credentials{ID: a.AccessKeyID, Secret: a.AccessKeySecret}, a, func(t *cli.Table) {
		t.Add(i.T("Account", "账号"), a.AccountID)
		t.Add(i.T("User", "用户"), a.UserName)
	})
}

func newOperatorSealCmd(o *operation) *cobra.Command {
	return o.Command(cli.Command{
		Use:   "seal",
		Short: o.T("Seal the server: erase the keys from its memory", "封存服务器：从内存中清除密钥"),
		Long: o.T(
			"Seal the server: it erases the keys from its memory and refuses everything until it is unsealed.",
			"封存服务器：从内存中清除密钥，在解封之前拒绝一切请求。",
		),
		Run: func(ctx context.Context, _ []string) error {
			server, err := o.connect()
			if err != nil {
				return err
			}
			if err := o.Confirm(ctx, "seal", o.T("Every program that uses this server is refused until it is unsealed.", "在解封之前，所有使用此服务器的程序都会被拒绝。")); err != nil {
				return err
			}
			if err := server.Seal(ctx); err != nil {
				return err
			}
			o.Say("the server is sealed", "服务器已封存")
			return nil
		},
	})
}

// clock says how a server's clock stands.
func (o *operation) clock(s api.ClockStatus) string {
	switch s.State {
	case "steady":
		return o.T("steady", "稳定")
	case "settling":
		return o.T("settling after a reboot: no key is deleted yet", "重启后尚在观察：暂不删除任何密钥")
	case "jumped":
		off := time.Duration(s.OffsetSeconds) * time.Second
		return fmt.Sprintf(o.T("JUMPED by %v: no key is deleted or rotated. Set it right, or run: keyward operator clock accept",
			"已跳变 %v：暂不删除或轮转任何密钥。请校正时钟，或运行：keyward operator clock accept"), off)
	}
	return cli.OrDash(s.State)
}

func newOperatorClockCmd(o *operation) *cobra.Command {
	accept := o.Command(cli.Command{
		Use:   "accept",
		Short: o.T("Believe the server's clock, which jumped, as it is", "确认服务器已跳变的时钟是正确的"),
		Long: o.T(
			`Believe the server's clock, which jumped, as it is. Rotations and deletions, which waited,
go on. Look at the clock first: access keys expire and keys rotate by it. Keys pending
deletion are not deleted before the server has served for the whole of their window.
Each node of a cluster has a clock of its own.`,
			`确认服务器已跳变的时钟是正确的。此前暂停的轮转和删除将继续进行。
请先核对时钟：访问密钥按它过期，密钥按它轮转。待删除的密钥在服务器运行满整个等待期之前不会被删除。
集群的每个节点都有自己的时钟。`,
		),
		Run: func(ctx context.Context, _ []string) error {
			server, err := o.connect()
			if err != nil {
				return err
			}
			s, err := server.Status(ctx)
			if err != nil {
				return err
			}
			warning := o.T("The clock of the server: "+o.clock(s.Clock), "服务器的时钟："+o.clock(s.Clock))
			if err := o.Confirm(ctx, "accept", warning); err != nil {
				return err
			}
			if err := server.AcceptClock(ctx); err != nil {
				return err
			}
			o.Say("the clock is accepted", "时钟已确认")
			return nil
		},
	})
	return o.Command(cli.Command{Use: "clock", Short: o.T("Manage the clock of the server", "管理服务器的时钟")}, accept)
}

func newOperatorAccountCmd(o *operation) *cobra.Command {
	issue := &remote.Issue{Run: o.Run}
	create := o.Command(cli.Command{
		Use:   "create NAME",
		Short: o.T("Create an account with its first access key", "创建账号及其第一个访问密钥"),
		Run: func(ctx context.Context, args []string) error {
			server, err := o.connect()
			if err != nil {
				return err
			}
			return found(issue, func() (api.FoundedAccount, error) {
				return server.CreateAccount(ctx, api.CreateAccountRequest{Name: args[0]})
			})
		},
	})
	issue.Flags(create)
	list := o.Command(cli.Command{
		Use:   "list",
		Short: o.T("List accounts", "列出账号"),
		Run: func(ctx context.Context, _ []string) error {
			server, err := o.connect()
			if err != nil {
				return err
			}
			all := api.AccountList{Accounts: []api.Account{}}
			if err := remote.Pages(func(cursor string) (string, error) {
				page, err := server.ListAccounts(ctx, api.PageRequest{Cursor: cursor})
				all.Accounts = append(all.Accounts, page.Accounts...)
				return page.Next, err
			}); err != nil {
				return err
			}
			return o.Show(all, func(t *cli.Table) {
				t.Add(o.T("ACCOUNT", "账号"), o.T("NAME", "名称"), o.T("CREATED", "创建时间"))
				for _, a := range all.Accounts {
					t.Add(a.ID, a.Name, cli.When(a.CreatedAt))
				}
			})
		},
	})
	return o.Command(cli.Command{Use: "account", Short: o.T("Manage the accounts of the server", "管理服务器上的账号")}, create, list)
}
