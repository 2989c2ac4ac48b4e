package remote

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/durable"
)

// A Session is one that "keyward login" began, one table of sessions.toml.
type Session struct {
	Endpoint        string    `toml:"endpoint"`
	AccessKeyID     string    `toml:"access_key_id"`
	AccessKeySecret string    `toml:"access_key_secret"`
	SecurityToken   string    `toml:"security_token"`
	ExpiresAt       time.Time `toml:"expires_at"`
}

// LoginCommand is where settings come from that a session has, in words.
const LoginCommand = "keyward login"

// readSessions answers the sessions by the names of their profiles.
func readSessions(c *cli.Run) (map[string]Session, error) {
	all := map[string]Session{}
	path := c.HomeFile("sessions.toml")
	content, err := readPrivate(c, path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	if _, err := toml.Decode(string(content), &all); err != nil {
		return nil, &cli.Problem{
			Message: fmt.Sprintf(c.T("the file of sessions %s cannot be used", "会话文件 %s 无法使用"), path),
			Next:    c.T("remove it and log in again", "请删除该文件并重新登录"),
		}
	}
	return all, nil
}

// SaveSession keeps the session of a profile, or forgets it if it is zero, and those that have
// expired.
func SaveSession(c *cli.Run, profile string, in Session) error {
	all, err := readSessions(c)
	if err != nil {
		return err
	}
	all[profile] = in
	for name, one := range all {
		if !time.Now().Before(one.ExpiresAt) {
			delete(all, name)
		}
	}
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(all); err != nil {
		return fmt.Errorf("writing the file of sessions: %w", err)
	}
	path := c.HomeFile("sessions.toml")
	if path == "" {
		return &cli.Problem{Message: c.T("it is not known where your home directory is", "无法确定您的主目录"), Next: c.T("set HOME, or give --out FILE", "请设置 HOME，或使用 --out FILE")}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("writing the file of sessions: %w", err)
	}
	return durable.Replace(path, b.Bytes())
}
