package keycmd

import (
	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
)

// An output is where a result goes: to a file that is named, or else to standard output.
type output struct {
	cli.Place
	file string
}

func (o *output) flags(cmd *cobra.Command, usage string) {
	f := cmd.Flags()
	f.StringVar(&o.file, "out", "", usage)
	f.BoolVar(&o.Force, "force", false, o.T("replace a file that exists", "覆盖已存在的文件"))
}

// check refuses a file before the server has made anything, and is asked for nothing.
func (o *output) check() error {
	if o.file == "" {
		return nil
	}
	return o.MayWrite(o.file)
}

// write writes the file, which others may read: nothing here is secret.
func (o *output) write(content []byte) error { return o.Write(o.file, 0o644, content) }
