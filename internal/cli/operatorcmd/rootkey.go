package operatorcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/shamir"
)

// An opening is one command that opens the root key: with a passphrase, with the hardware
// token, or with one or more shares, which begin a session or add to one.
type opening struct {
	*operation
	share       bool     // ask for one
	shareFiles  []string // "-" for standard input
	join        bool     // ask for the session
	sessionFile string
	hsm         bool
}

func (o *opening) flags(cmd *cobra.Command) {
	o.passphraseFlag(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.share, "share", false, o.T("open with shares: ask for one at the terminal", "使用份额：在终端输入一个份额"))
	f.StringArrayVar(&o.shareFiles, "share-file", nil, o.T("open with shares: read one from `FILE` (0600), - for standard input; may be repeated",
		"使用份额：从 `FILE`（0600）读取，- 表示标准输入；可重复"))
	f.BoolVar(&o.hsm, "hsm", false, o.T("open with the hardware token", "使用硬件令牌打开"))
	f.BoolVar(&o.join, "join", false, o.T("add to a session that another holder began: ask for its name at the terminal", "加入其他持有人已开始的会话：在终端输入会话名"))
	f.StringVar(&o.sessionFile, "session-file", "", o.T("add to the session whose name is in `FILE`", "加入会话，会话名从 `FILE` 读取"))
}

// perform opens the root key for what is asked, as far as this command can.
func (o *opening) perform(ctx context.Context, server *client.OperatorClient, in api.RootKeyRequest) (api.RootKeySession, error) {
	if o.hsm {
		in.HSM = true
		return server.OpenRootKey(ctx, in)
	}
	if !o.share && len(o.shareFiles) == 0 && !o.join && o.sessionFile == "" {
		passphrase, err := o.passphrase(ctx, false)
		if err != nil {
			return api.RootKeySession{}, err
		}
		defer passphrase.Zero()
		in.Passphrase = passphrase.Expose()
		return server.OpenRootKey(ctx, in)
	}
	session, err := o.session(ctx)
	if err != nil {
		return api.RootKeySession{}, err
	}
	if session != "" {
		begun, err := server.ShowSession(ctx, api.RootKeySessionRequest{Session: session})
		if err != nil {
			return api.RootKeySession{}, err
		}
		o.Say("this session is to %s", "此会话的目的：%s", o.describe(begun))
		in = api.RootKeyRequest{Act: in.Act, Session: session}
	}
	return o.give(ctx, server, in)
}

// give gives the shares, one after the other.
func (o *opening) give(ctx context.Context, server *client.OperatorClient, in api.RootKeyRequest) (out api.RootKeySession, err error) {
	sources := o.shareFiles
	if len(sources) == 0 {
		sources = []string{""}
	}
	for _, source := range sources {
		share, err := o.readShare(ctx, source)
		if err != nil {
			return out, err
		}
		in.Share = api.SecretText(share.Expose())
		share.Zero()
		if out, err = server.OpenRootKey(ctx, in); err != nil || out.Complete {
			return out, err
		}
		in = api.RootKeyRequest{Act: in.Act, Session: out.Session}
	}
	return out, nil
}

// readShare reads a share from a file, from standard input ("-") or from the person ("").
func (o *opening) readShare(ctx context.Context, source string) (material.Bytes, error) {
	switch source {
	case "":
		if err := o.requirePerson(o.T("name a file with --share-file", "请用 --share-file 指定文件")); err != nil {
			return material.Bytes{}, err
		}
		line, err := o.askSecret(ctx, o.T("Share: ", "份额："))
		return material.NewBytes(line), err
	case "-":
		content, err := io.ReadAll(io.LimitReader(cli.Interruptible(ctx, o.In), shamir.MaxText+1))
		return material.NewBytes(content), err
	}
	return seal.ReadPassphrase(source)
}

// session answers the session to add to, "" to begin one.
func (o *opening) session(ctx context.Context) (api.SecretText, error) {
	if o.sessionFile != "" {
		content, err := os.ReadFile(o.sessionFile)
		if err == nil && len(strings.TrimSpace(string(content))) == 0 {
			err = errors.New("it is empty")
		}
		if err != nil {
			return "", fmt.Errorf("reading the session's name from %q: %w", o.sessionFile, err)
		}
		return api.SecretText(strings.TrimSpace(string(content))), nil
	}
	if !o.join {
		return "", nil
	}
	if err := o.requirePerson(o.T("name a file with --session-file", "请用 --session-file 指定文件")); err != nil {
		return "", err
	}
	line, err := o.askSecret(ctx, o.T("Session: ", "会话："))
	return api.SecretText(strings.TrimSpace(string(line))), err
}

// describe says what a session is for.
func (o *opening) describe(s api.RootKeySession) string {
	switch s.Act {
	case "unseal":
		return o.T("unseal the server", "解封服务器")
	case "test":
		return o.T("test the root envelope", "检验根密钥信封")
	case "epoch":
		return o.T("begin a new epoch of keys", "开始新的密钥纪元")
	case "remove":
		what := fmt.Sprintf(o.T("remove the root envelope %s", "移除根密钥信封 %s"), cli.Printable(s.Name))
		if s.AcceptUntested {
			what += o.T(", although no other one was ever opened", "，即使其他信封从未打开过")
		}
		return what
	}
	what := fmt.Sprintf(o.T("add the root envelope %s", "添加根密钥信封 %s"), cli.Printable(s.Name))
	if s.NewShares > 0 {
		what += fmt.Sprintf(o.T(", which %d of %d shares open", "（%d/%d 个份额可打开）"), s.NewThreshold, s.NewShares)
	}
	if s.NewHSM {
		what += o.T(", which the hardware token opens", "，用硬件令牌打开")
	}
	if s.NewShares == 0 && len(s.Recipients) == 0 && !s.NewHSM {
		what += o.T(", which opens with a passphrase that whoever began the session chose, alone", "，用会话发起人一人选定的口令打开")
	}
	if len(s.Recipients) > 0 {
		what += o.T(", sealed to ", "，加密给 ") + cli.Printable(strings.Join(s.Recipients, ", "))
	}
	return what
}

// progress shows a session that needs more shares.
func (o *opening) progress(s api.RootKeySession) error {
	if err := o.Show(s, func(t *cli.Table) {
		t.Add(o.T("Session", "会话"), string(s.Session))
		t.Add(o.T("For", "目的"), o.describe(s))
		t.Add(o.T("Envelope", "信封"), s.Envelope)
		t.Add(o.T("Shares", "份额"), fmt.Sprintf(o.T("%d of %d (%s)", "%d/%d（%s）"), len(s.Given), s.Threshold, indices(s.Given)))
		if s.EndsAt != nil {
			t.Add(o.T("Ends", "结束"), cli.When(*s.EndsAt))
		}
	}); err != nil {
		return err
	}
	o.Say("Nothing was done yet. Tell the session to the other holders and to nobody else; they add --join --share to the same command.",
		"尚未执行。请只将会话名告知其他持有人；他们在同一命令后加上 --join --share。")
	return nil
}

func indices(list []int) string {
	texts := make([]string, len(list))
	for i, n := range list {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, ", ")
}

func newOperatorUnsealCmd(o *operation) *cobra.Command {
	open := &opening{operation: o}
	cmd := o.Command(cli.Command{
		Use:   "unseal",
		Short: o.T("Unseal the server, so that it can work", "解封服务器，使其可以工作"),
		Long: o.T(
			`Unseal the server, so that it can work: with a passphrase, with the hardware token (--hsm),
or with shares.

Of several holders of shares each gives one, at whatever terminal of this machine. The
first runs it with --share and tells the session that is shown to the others, who add
--join. A wrong share is refused and changes nothing.`,
			`解封服务器，使其可以工作：使用口令、硬件令牌（--hsm）或份额。

多个份额持有人各自在本机的任意终端提交一个份额。第一个人使用 --share，并将显示的
会话名告知其他人，其他人再加上 --join。错误的份额会被拒绝，不影响已有进度。`,
		),
		Example: "  keyward operator unseal\n  keyward operator unseal --share\n  keyward operator unseal --join --share",
		Run: func(ctx context.Context, _ []string) error {
			return open.run(ctx, api.RootKeyRequest{Act: "unseal"}, "the server is unsealed", "服务器已解封")
		},
	})
	open.flags(cmd)
	return cmd
}

func newOperatorTestCmd(o *operation) *cobra.Command {
	open := &opening{operation: o}
	cmd := o.Command(cli.Command{
		Use:   "test",
		Short: o.T("Test that a passphrase or shares open the root key", "检验口令或份额能否打开根密钥"),
		Long: o.T(
			`Test that a passphrase or shares open the root key. Nothing else is done with it.
The status shows when each root envelope was last opened; unsealing counts, too.`,
			`检验口令或份额能否打开根密钥，不做其他任何操作。
status 会显示每个根密钥信封最近一次打开的时间；解封也计算在内。`,
		),
		Run: func(ctx context.Context, _ []string) error {
			return open.run(ctx, api.RootKeyRequest{Act: "test"}, "the root envelope opens", "根密钥信封可以打开")
		},
	})
	open.flags(cmd)
	return cmd
}

func newOperatorCancelCmd(o *operation) *cobra.Command {
	open := &opening{operation: o}
	cmd := o.Command(cli.Command{
		Use:   "cancel",
		Short: o.T("Cancel a session of shares", "取消份额会话"),
		Long: o.T(
			"Cancel a session of shares: the shares that were given are erased. It takes the session's name.",
			"取消份额会话，清除已提交的份额。需要会话名。",
		),
		Run: func(ctx context.Context, _ []string) error {
			server, err := o.connect()
			if err != nil {
				return err
			}
			open.join = true
			session, err := open.session(ctx)
			if err != nil {
				return err
			}
			if err := server.CancelSession(ctx, api.RootKeySessionRequest{Session: session}); err != nil {
				return err
			}
			o.Say("the session is cancelled", "会话已取消")
			return nil
		},
	})
	cmd.Flags().StringVar(&open.sessionFile, "session-file", "", o.T("the session's name is in `FILE`; otherwise it is asked for", "会话名从 `FILE` 读取；否则在终端输入"))
	return cmd
}

// run performs an act that has no result but that it is done.
func (o *opening) run(ctx context.Context, in api.RootKeyRequest, en, zh string) error {
	server, err := o.connect()
	if err != nil {
		return err
	}
	out, err := o.perform(ctx, server, in)
	if err != nil {
		return err
	}
	if !out.Complete {
		return o.progress(out)
	}
	if o.Output == "json" {
		return cli.WriteJSON(o.Out, out)
	}
	o.Say(en, zh)
	return nil
}
