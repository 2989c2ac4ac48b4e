package operatorcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/durable"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
)

// A sharing is how many shares a command makes, for whom, and where it puts them.
type sharing struct {
	*operation
	shares, threshold int
	recipients        []string
	dir               string // "" for standard output
}

func (s *sharing) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVar(&s.shares, "shares", 0, s.T("make `N` shares instead of taking a passphrase, at most 16", "不使用口令，生成 `N` 个份额，最多 16 个"))
	f.IntVar(&s.threshold, "threshold", 0, s.T("how many shares, `K`, open the root key, at least 2", "打开根密钥所需的份额数 `K`，至少 2 个"))
	f.StringArrayVar(&s.recipients, "recipient", nil, s.T("seal the next share to this age recipient, `age1...`; one for each share, in the order of their holders",
		"将下一个份额加密给此 age 公钥 `age1...`；每个份额一个，按持有人顺序给出"))
	f.StringVar(&s.dir, "shares-dir", "", s.T("write the shares to files (0600) in a new `DIR` and do not show them", "将份额写入新建目录 `DIR` 中的文件（0600），不在屏幕上显示"))
}

// prepare makes the directory before there is anything to lose.
func (s *sharing) prepare() error {
	if s.dir == "" {
		return nil
	}
	return os.Mkdir(s.dir, 0o700)
}

// abandon removes the directory when the server refused.
func (s *sharing) abandon(err error) error {
	if s.dir != "" {
		return errors.Join(err, os.Remove(s.dir))
	}
	return err
}

// deliver writes the shares to their files, or shows them. They exist nowhere else.
func (s *sharing) deliver(deliveries []api.Delivery) error {
	if s.dir == "" && s.Output == "json" {
		return nil // the result has them
	}
	for _, d := range deliveries {
		if s.dir == "" {
			if _, err := fmt.Fprintf(s.Out, "%s\n%s\n\n", s.title(d), string(d.Text)); err != nil {
				return fmt.Errorf("showing the shares, which are lost: %w", err)
			}
			continue
		}
		content := append([]byte(d.Text), '\n')
		path := filepath.Join(s.dir, fileName(d))
		err := durable.Replace(path, content)
		clear(content)
		if err != nil {
			return fmt.Errorf("writing the shares, which are lost: %w", err)
		}
		s.Say("%s: %s", "%s：%s", s.title(d), path)
	}
	if len(deliveries) > 0 {
		s.Say("Hand them to their holders now: they are shown this once. Then have each envelope tested: keyward operator test.",
			"请立即交给各持有人，仅显示这一次。然后请检验每个信封：keyward operator test。")
	}
	return nil
}

// fileName names a delivery's file.
func fileName(d api.Delivery) string {
	name := "recovery"
	if d.Share > 0 {
		name = fmt.Sprintf("share-%d", d.Share)
	}
	if d.Recipient != "" {
		return name + ".age"
	}
	return name
}

func (s *sharing) title(d api.Delivery) string {
	name := s.T("Recovery code", "恢复码")
	if d.Share > 0 {
		name = fmt.Sprintf(s.T("Share %d", "份额 %d"), d.Share)
	}
	if d.Recipient != "" {
		name += s.T(" for ", "，加密给 ") + cli.Printable(d.Recipient)
	}
	return name
}

// A rekeying is one run of rekey.
type rekeying struct {
	opening
	sharing           sharing
	add, remove       string
	epoch             bool
	recovery          bool
	acceptUntested    bool
	newHSM            bool
	newPassphraseFile string
}

func newOperatorRekeyCmd(o *operation) *cobra.Command {
	r := &rekeying{opening: opening{operation: o}, sharing: sharing{operation: o}}
	var cmd *cobra.Command
	cmd = o.Command(cli.Command{
		Use:   "rekey",
		Short: o.T("Change what opens the root key, or begin a new epoch of keys", "更换根密钥的打开方式，或开始新的密钥纪元"),
		Long: o.T(
			`Change what opens the root key, or begin a new epoch of keys. The root key must be
opened for that, with a passphrase or shares, as for unseal.

The root key stands in root envelopes, each of which opens with its own passphrase or
shares. To change one: add a new envelope (--add), test it (keyward operator test), then
remove the old one (--remove). The last one cannot be removed. A recovery envelope
(--recovery) is one that is kept for the day when nothing else opens; without shares and
with recipients it opens with a random code that only they can read.

--epoch begins a new epoch: what is wrapped from then on is under new keys, and what was
wrapped before is wrapped anew in the background.`,
			`更换根密钥的打开方式，或开始新的密钥纪元。为此必须先打开根密钥，方式与 unseal 相同。

根密钥保存在若干根密钥信封中，每个信封用各自的口令或份额打开。更换步骤：添加新信封
（--add），检验新信封（keyward operator test），再移除旧信封（--remove）。最后一个信封
不能移除。恢复信封（--recovery）仅用于其他方式都失效之时；不设份额而给出接收者时，
它用只有接收者能读取的随机恢复码打开。

--epoch 开始新的纪元：此后的内容由新密钥保护，之前的内容在后台重新保护。`,
		),
		Example: `  keyward operator rekey --add 2027
  keyward operator rekey --add board --recovery --shares 5 --threshold 3 --shares-dir shares
  keyward operator rekey --remove passphrase
  keyward operator rekey --epoch`,
		Run: func(ctx context.Context, _ []string) error { return r.run(ctx, cmd) },
	})
	f := cmd.Flags()
	f.StringVar(&r.add, "add", "", o.T("add a root envelope of this `NAME`", "添加名为 `NAME` 的根密钥信封"))
	f.StringVar(&r.remove, "remove", "", o.T("remove the root envelope of this `NAME`", "移除名为 `NAME` 的根密钥信封"))
	f.BoolVar(&r.epoch, "epoch", false, o.T("begin a new epoch of keys", "开始新的密钥纪元"))
	f.BoolVar(&r.newHSM, "new-hsm", false, o.T("the hardware token opens the new envelope, with a key that it makes", "新信封由硬件令牌生成的密钥打开"))
	f.BoolVar(&r.recovery, "recovery", false, o.T("the new envelope is meant for recovery only", "新信封仅用于恢复"))
	f.BoolVar(&r.acceptUntested, "accept-untested", false, o.T("remove it although no other envelope was ever opened", "即使其他信封从未打开过也移除"))
	f.StringVar(&r.newPassphraseFile, "new-passphrase-file", "", o.T("read the new passphrase from `FILE` (0600); otherwise it is asked for", "从 `FILE`（0600）读取新口令；否则在终端输入"))
	r.opening.flags(cmd)
	r.sharing.flags(cmd)
	cmd.MarkFlagsMutuallyExclusive("add", "remove", "epoch")
	return cmd
}

// request answers what is to be done, with the new passphrase if it takes one.
func (r *rekeying) request(ctx context.Context, cmd *cobra.Command) (api.RootKeyRequest, error) {
	switch {
	case r.epoch:
		return api.RootKeyRequest{Act: "epoch"}, nil
	case r.remove != "":
		err := r.Confirm(ctx, "remove", r.T(
			"What opens "+r.remove+" is of no use from now on, also for backups that are made later.",
			"此后 "+r.remove+" 的口令或份额将失效，对之后的备份也无效。",
		))
		return api.RootKeyRequest{Act: "remove", Name: r.remove, AcceptUntested: r.acceptUntested}, err
	case r.add == "":
		return api.RootKeyRequest{}, r.Usage(cmd, "say what to do: --add, --remove or --epoch", "请指定操作：--add、--remove 或 --epoch")
	}
	in := api.RootKeyRequest{
		Act: "add", Name: r.add, Recovery: r.recovery,
		Shares: r.sharing.shares, Threshold: r.sharing.threshold, Recipients: r.sharing.recipients, NewHSM: r.newHSM,
	}
	if in.NewHSM || in.Shares != 0 || in.Threshold != 0 || r.recovery && len(in.Recipients) > 0 || r.joins() {
		return in, nil
	}
	passphrase, err := r.newPassphrase(ctx)
	in.NewPassphrase = passphrase.Expose()
	return in, err
}

// joins tells whether the act was fixed by whoever began the session.
func (r *rekeying) joins() bool { return r.join || r.sessionFile != "" }

func (r *rekeying) newPassphrase(ctx context.Context) (material.Bytes, error) {
	if r.newPassphraseFile != "" {
		return seal.ReadPassphrase(r.newPassphraseFile)
	}
	if err := r.requirePerson(r.T("name a file with --new-passphrase-file", "请用 --new-passphrase-file 指定文件")); err != nil {
		return material.Bytes{}, err
	}
	return r.askTwice(ctx, r.T("New passphrase: ", "新口令："))
}

func (r *rekeying) run(ctx context.Context, cmd *cobra.Command) error {
	in, err := r.request(ctx, cmd)
	defer clear(in.NewPassphrase)
	if err != nil {
		return err
	}
	server, err := r.connect()
	if err != nil {
		return err
	}
	if err := r.sharing.prepare(); err != nil {
		return err
	}
	out, err := r.perform(ctx, server, in)
	if err != nil {
		return r.sharing.abandon(err)
	}
	if !out.Complete {
		return r.sharing.abandon(r.progress(out))
	}
	if err := r.sharing.deliver(out.Deliveries); err != nil {
		return err
	}
	if r.Output == "json" {
		if r.sharing.dir != "" {
			out.Deliveries = nil
		}
		return cli.WriteJSON(r.Out, out)
	}
	switch in.Act {
	case "add":
		r.Say("the root envelope is there; it was not tested yet", "根密钥信封已添加，尚未检验")
	case "remove":
		r.Say("the root envelope is removed", "根密钥信封已移除")
	case "epoch":
		r.Say("the new epoch has begun; status shows when everything is wrapped anew", "新纪元已开始；用 status 查看重新保护是否完成")
	}
	return nil
}
