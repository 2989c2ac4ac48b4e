package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Confirm has the person type a word before something dangerous; --yes stands for it.
func (c *Run) Confirm(ctx context.Context, word, question string) error {
	if c.Yes {
		return nil
	}
	if !c.Interactive || c.NoInput {
		return &Problem{
			Message: c.T("this must be confirmed and nobody can be asked", "此操作需要确认，但当前无法提问"),
			Next:    c.T("repeat the command with --yes", "请加上 --yes 重新执行"),
		}
	}
	fmt.Fprintf(c.Err, "%s\n%s ", question, c.T("Type "+word+" to go on:", "输入 "+word+" 以继续："))
	line, err := bufio.NewReader(Interruptible(ctx, c.In)).ReadString('\n')
	if err != nil && line == "" {
		return fmt.Errorf("reading the confirmation: %w", err)
	}
	if strings.TrimSpace(line) != word {
		return &Problem{Message: c.T("not confirmed; nothing was changed", "未确认，没有做任何更改")}
	}
	return nil
}

// readPassword reads one line from the terminal without showing it. When ctx ends
// first, the terminal shows again what is typed.
func readPassword(ctx context.Context) ([]byte, error) {
	fd := int(os.Stdin.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("reading from the terminal: %w", err)
	}
	type answer struct {
		line []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := term.ReadPassword(fd)
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		return a.line, a.err
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), term.Restore(fd, before))
	}
}

// Interruptible answers a reader of r that fails when ctx ends, even while r waits
// for its next byte. What r had to give is then lost: the process is about to end.
func Interruptible(ctx context.Context, r io.Reader) io.Reader {
	pr, pw := io.Pipe()
	context.AfterFunc(ctx, func() { pw.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(pw, r)
		pw.CloseWithError(err)
	}()
	return pr
}

// ReadTags reads KEY=VALUE pairs.
func (c *Run) ReadTags(pairs []string) (map[string]string, error) {
	return c.NamedPairs(c.T("tag", "标签"), pairs)
}

// NamedPairs reads KEY=VALUE pairs; what they are is for errors.
func (c *Run) NamedPairs(what string, pairs []string) (map[string]string, error) {
	var out map[string]string
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, &Problem{Message: fmt.Sprintf(c.T("the %s %q must be KEY=VALUE", "%s %q 必须是 KEY=VALUE 的形式"), what, pair)}
		}
		if _, twice := out[key]; twice {
			return nil, &Problem{Message: fmt.Sprintf(c.T("the %s %q is given twice", "%s %q 重复"), what, key)}
		}
		if out == nil {
			out = map[string]string{}
		}
		out[key] = value
	}
	return out, nil
}

// maxDocument bounds the file that a policy is read from, in bytes. The server's own
// limit is lower.
const maxDocument = 1 << 20

// ReadDocument reads a policy from a file or, named "-", from standard input.
func (c *Run) ReadDocument(ctx context.Context, name string) (string, error) {
	in := Interruptible(ctx, c.In)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	document, err := io.ReadAll(io.LimitReader(in, maxDocument))
	if err != nil {
		return "", fmt.Errorf("reading the policy: %w", err)
	}
	return string(document), nil
}

// ReadAtMost reads all of r, and refuses what is longer than a value may be before it is
// all in memory.
func ReadAtMost(r io.Reader, limit int) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("reading the value: %w", err)
	}
	if len(content) > limit {
		return nil, errors.New("reading the value: it is too long")
	}
	return content, nil
}

// MaxValue is the longest value of a secret that the server takes, in bytes.
const MaxValue = 30_720

// ReadLine reads a credential, or what else belongs to a connection, from a file; white space
// around it does not belong to it.
func (c *Run) ReadLine(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // it was only read
	content, err := ReadAtMost(f, MaxValue)
	if err != nil {
		return "", err
	}
	line := strings.TrimSpace(string(content))
	if line == "" {
		return "", &Problem{Message: fmt.Sprintf(c.T("%s is empty", "%s 为空"), name)}
	}
	return line, nil
}
