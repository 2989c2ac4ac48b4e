package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/durable"
)

// An issue shows a new access key, once, or writes it to a file that programs load.
type issue struct {
	*cli
	out    string
	file   *os.File                 // open and empty while the server is asked
	format func(credentials) string // of the file; nil for variables
}

func (i *issue) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&i.out, "out", "", i.t("write the access key to a new `FILE` of variables (0600) and do not show it",
		"将访问密钥写入新建的变量文件 `FILE`（0600），不在屏幕上显示"))
}

// open makes the file before there is anything to lose.
func (i *issue) open() error {
	if i.out == "" {
		return nil
	}
	f, err := os.OpenFile(i.out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return &problem{
			message: fmt.Sprintf(i.t("%s exists", "%s 已存在"), i.out),
			next:    i.t("choose another name", "请使用其他名称"),
		}
	}
	i.file = f
	return err
}

// abandon removes the file when the server refused.
func (i *issue) abandon(err error) error {
	if i.file != nil {
		return errors.Join(err, i.file.Close(), os.Remove(i.out))
	}
	return err
}

// Credentials are what requests are signed with; token is "" for a permanent access key.
type credentials struct {
	id            string
	secret, token api.SecretText
}

// deliver writes the credentials to the file, or shows v, which holds them.
func (i *issue) deliver(k credentials, v any, fill func(*table)) error {
	if i.file == nil {
		if err := i.show(v, func(t *table) {
			fill(t)
			t.add(i.t("Access key", "访问密钥"), k.id)
			t.add(i.t("Secret", "密钥值"), string(k.secret))
			if k.token != "" {
				t.add(i.t("Security token", "安全令牌"), string(k.token))
			}
		}); err != nil {
			return err
		}
		i.say("The secret is shown this once; keep it safe.", "密钥值只显示这一次，请妥善保存。")
		return nil
	}
	lines := fmt.Sprintf("%s=%s\n%s=%s\n", envKeyID, k.id, envKeySecret, string(k.secret))
	if k.token != "" {
		lines += fmt.Sprintf("%s=%s\n", envToken, string(k.token))
	}
	if i.format != nil {
		lines = i.format(k)
	}
	_, err := i.file.WriteString(lines)
	if err := errors.Join(err, i.file.Sync(), i.file.Close(), durable.SyncDirectory(filepath.Dir(i.out))); err != nil {
		return fmt.Errorf("writing the access key %s, whose secret is lost, so that it must be reset: %w", k.id, err)
	}
	i.say("the access key %s is in %s", "访问密钥 %s 已写入 %s", k.id, i.out)
	return nil
}
