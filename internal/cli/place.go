package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/keyward/keyward/internal/durable"
)

// A Place is where commands put the files that they write.
type Place struct {
	*Run
	Force bool // replace a file that exists
}

// Replace writes a file all or not at all: into a temporary file beside it, which is
// synced and then given its name. It replaces a file only when forced to.
func (p Place) Replace(name string, mode fs.FileMode, write func(io.Writer) error) (err error) {
	if err := p.MayWrite(name); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(name), ".keyward-*.tmp") // 0600
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		at.Path = filepath.Dir(name) // nobody knows the other name
	}
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

// Write is Replace with content that is there already.
func (p Place) Write(name string, mode fs.FileMode, content []byte) error {
	return p.Replace(name, mode, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// give gives a finished file its name.
func (p Place) give(temp, name string) error {
	if p.Force {
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

// MayWrite refuses early what give would refuse after the work.
func (p Place) MayWrite(name string) error {
	info, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !p.Force {
		return p.exists(name)
	}
	if !info.Mode().IsRegular() {
		return &Problem{Message: fmt.Sprintf(p.T("%s is no regular file and is not replaced", "%s 不是普通文件，不会被覆盖"), name)}
	}
	return nil
}

func (p Place) exists(name string) error {
	return &Problem{
		Message: fmt.Sprintf(p.T("%s exists", "%s 已存在"), name),
		Next:    p.T("use --force to replace it, or --out to choose another name", "用 --force 覆盖它，或用 --out 指定其他名称"),
	}
}
