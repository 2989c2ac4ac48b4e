package remote

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/durable"
)

// An Issue shows a new access key, once, or writes it to a file that programs load.
type Issue struct {
	*cli.Run
	Out    string                   // the file's name; "" to show the access key
	File   *os.File                 // open and empty while the server is asked
	Format func(Credentials) string // of the file; nil for variables
}

// Flags gives a command the flag with which it writes a file.
func (i *Issue) Flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&i.Out, "out", "", i.T("write the access key to a new `FILE` of variables (0600) and do not show it",
		"将访问密钥写入新建的变量文件 `FILE`（0600），不在屏幕上显示"))
}

// Open makes the file before there is anything to lose.
func (i *Issue) Open() error {
	if i.Out == "" {
		return nil
	}
	f, err := os.OpenFile(i.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return &cli.Problem{
			Message: fmt.Sprintf(i.T("%s exists", "%s 已存在"), i.Out),
			Next:    i.T("choose another name", "请使用其他名称"),
		}
	}
	i.File = f
	return err
}

// Abandon removes the file when the server refused.
func (i *Issue) Abandon(err error) error {
	if i.File != nil {
		return errors.Join(err, i.File.Close(), os.Remove(i.Out))
	}
	return err
}

// Credentials are what requests are signed with; Token is "" for a permanent access key.
type Credentials struct {
	ID            string
	Secret, Token api.SecretText
}

// Deliver writes the credentials to the file, or shows v, which holds them.
func (i *Issue) Deliver(k Credentials, v any, fill func(*cli.Table)) error {
	if i.File == nil {
		if err := i.Show(v, func(t *cli.Table) {
			fill(t)
			t.Add(i.T("Access key", "访问密钥"), k.ID)
			t.Add(i.T("Secret", "密钥值"), string(k.Secret))
			if k.Token != "" {
				t.Add(i.T("Security token", "安全令牌"), string(k.Token))
			}
		}); err != nil {
			return err
		}
		i.Say("The secret is shown this once; keep it safe.", "密钥值只显示这一次，请妥善保存。")
		return nil
	}
	lines := fmt.Sprintf("%s=%s\n%s=%s\n", EnvKeyID, k.ID, EnvKeySecret, string(k.Secret))
	if k.Token != "" {
		lines += fmt.Sprintf("%s=%s\n", EnvToken, string(k.Token))
	}
	if i.Format != nil {
		lines = i.Format(k)
	}
	_, err := i.File.WriteString(lines)
	if err := errors.Join(err, i.File.Sync(), i.File.Close(), durable.SyncDirectory(filepath.Dir(i.Out))); err != nil {
		return fmt.Errorf("writing the access key %s, whose secret is lost, so that it must be reset: %w", k.ID, err)
	}
	i.Say("the access key %s is in %s", "访问密钥 %s 已写入 %s", k.ID, i.Out)
	return nil
}
