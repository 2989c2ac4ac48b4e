package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/keyward/keyward/internal/durable"
)

// A place is where commands put the files that they write.
type place struct {
	*cli
	force bool // replace a file that exists
}

// replace writes a file all or not at all: into a temporary file beside it, which is
// synced and then given its name. It replaces a file only when forced to.
func (p place) replace(name string, mode fs.FileMode, write func(io.Writer) error) (err error) {
	if err := p.mayWrite(name); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(name), ".keyward-*.tmp") // 0600
	if err != nil {
		return err
	}
	defer func() {
		_ = temp.Close() // after success it is closed already
		if err != nil {
			_ = os.Remove(temp.Name())
		}
	}()
	if err := write(temp); err != nil {
		return err
	}
	if err := temp.Chmod(mode); err != nil {
		return fmt.Errorf("setting the mode: %w", err)
	}
	if err := temp.Sync(); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	if err := temp.Close(); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	// The content is durable, under a name that nobody knows.
	if err := p.give(temp.Name(), name); err != nil {
		return err
	}
	return durable.SyncDirectory(filepath.Dir(name))
}

// give gives a finished file its name.
func (p place) give(temp, name string) error {
	if p.force {
		return os.Rename(temp, name)
	}
	err := os.Link(temp, name) // unlike a rename it never replaces what came there meanwhile
	if err == nil {
		return os.Remove(temp)
	}
	if errors.Is(err, fs.ErrExist) {
		return p.exists(name)
	}
	return os.Rename(temp, name) // a file system without links
}

// mayWrite refuses early what give would refuse after the work.
func (p place) mayWrite(name string) error {
	info, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !p.force {
		return p.exists(name)
	}
	if !info.Mode().IsRegular() {
		return &problem{message: fmt.Sprintf(p.t("%s is no regular file and is not replaced", "%s 不是普通文件，不会被覆盖"), name)}
	}
	return nil
}

func (p place) exists(name string) error {
	return &problem{
		message: fmt.Sprintf(p.t("%s exists", "%s 已存在"), name),
		next:    p.t("use --force to replace it, or --out to choose another name", "用 --force 覆盖它，或用 --out 指定其他名称"),
	}
}
