package servecmd

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/demo"
)

func newDemoCmd(c *cli.Run) *cobra.Command {
	var scenario string
	var keep bool
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "demo",
		Short: c.T("See a payment key being replaced at night, with nothing failing", "观看一次夜间支付密钥轮换，没有一笔支付失败"),
		Long: c.T(
			`See a payment key being replaced at night, while shops pay, a server dies, an answer is lost
and a region is cut off. It takes a minute and a half, on this machine only, and ends with
a proof; the exit status is 0 only if all of it holds. docs/demo.md tells what is real.

--scenario script shows what a script does instead that resets the key and restarts the
shops: its exit status is 1, for payments fail.`,
			`观看一次夜间支付密钥轮换：其间商店不断支付，服务器被杀死，一次应答丢失，一个区域断线。
全程约一分半钟，只在本机运行，最后给出证明；只有全部成立时退出状态才为 0。哪些部分是真的，见 docs/demo.md。

--scenario script 展示用脚本重置密钥并重启商店的后果：会有支付失败，退出状态为 1。`,
		),
		Example: "  keyward demo\n  keyward demo --scenario script",
		Secrets: true,
		Run: func(ctx context.Context, _ []string) error {
			if err := c.OneOf(cmd, "scenario", scenario, "keyward", "script"); err != nil {
				return err
			}
			o, err := demoOptions(c)
			if err != nil {
				return err
			}
			o.Keep = keep
			if scenario == "script" {
				return demoed(c, demo.RunScript(ctx, o))
			}
			return demoed(c, demo.Run(ctx, o))
		},
	})
	cmd.Flags().StringVar(&scenario, "scenario", "keyward", c.T("`STORY` to tell: keyward or script", "要讲的故事 `STORY`：keyward 或 script"))
	cmd.Flags().BoolVar(&keep, "keep", false, c.T("keep the directory of the server and the agents, with their logs", "保留服务器和各 agent 的目录及日志"))
	cli.Complete(cmd, "scenario", "keyward", "script")
	return cmd
}

// demoOptions answers how a story is told here.
func demoOptions(c *cli.Run) (demo.Options, error) {
	exe, err := os.Executable()
	if err != nil {
		return demo.Options{}, fmt.Errorf("looking for this program: %w", err)
	}
	o := demo.Options{Executable: exe, Chinese: c.Lang == cli.Chinese, Out: c.Out, Now: c.Now}
	if c.OutTerminal {
		o.Size = func() (columns, lines int) {
			columns, lines, err := term.GetSize(int(os.Stdout.Fd()))
			if err != nil {
				return 0, 0
			}
			return columns, lines
		}
	}
	return o, nil
}

// demoed says what a story that proves nothing comes to.
func demoed(c *cli.Run, err error) error {
	if errors.Is(err, demo.ErrUnproven) {
		return &cli.Problem{Message: c.T("the story does not end well", "故事没有圆满结束"), Cause: err}
	}
	return err
}
