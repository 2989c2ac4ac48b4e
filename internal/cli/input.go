package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/keyward/keyward/internal/fault"
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
	line, err := c.Line(ctx)
	if err != nil && line == "" {
		return fmt.Errorf("reading the confirmation: %w", err)
	}
	if strings.TrimSpace(line) != word {
		return &Problem{Message: c.T("not confirmed; nothing was changed", "未确认，没有做任何更改")}
	}
	return nil
}

// Line reads one line of standard input, without its line feed and no byte beyond it: what comes
// next may answer another question, such as [Run.ReadPassword]. A last line may lack the line
// feed; its error is io.EOF.
func (c *Run) Line(ctx context.Context) (string, error) {
	return awaited(ctx, func() (string, error) {
		var line []byte
		for b := make([]byte, 1); ; {
			n, err := c.In.Read(b)
			if n > 0 && b[0] == '\n' {
				return string(line), nil
			}
			line = append(line, b[:n]...)
			if err != nil {
				return string(line), err
			}
		}
	})
}

// awaited answers what read answers, or fails when ctx ends first. Then read is left waiting: the
// process is about to end.
func awaited[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		value, err := read()
		answers <- answer{value, err}
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		return *new(T), ctx.Err()
	}
}

// readPassword reads one line from the terminal without showing it. When ctx ends
// first, the terminal shows again what is typed.
func readPassword(ctx context.Context) ([]byte, error) {
	fd := int(os.Stdin.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("reading from the terminal: %w", err)
	}
	line, err := awaited(ctx, func() ([]byte, error) { return term.ReadPassword(fd) })
	if ctx.Err() != nil {
		return nil, errors.Join(ctx.Err(), term.Restore(fd, before))
	}
	return line, err
}

// Input opens the file of a name or, named "-", standard input, which nobody reads otherwise: the
// same terminal may have to answer questions.
func (c *Run) Input(ctx context.Context, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(Interruptible(ctx, c.In)), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Interruptible answers a reader of r that fails when ctx ends, even while r waits
// for its next byte. What r had to give is then lost: the process is about to end. It reads r
// at once and to its end, so that nothing else can read of r any more.
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
	in, err := c.Input(ctx, name)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }() // it was only read
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
		return nil, fault.InvalidParameter.New("the value is longer than %d bytes, which is the limit", limit)
	}
	return content, nil
}

// MaxValue is the longest value of a secret that the server takes, in bytes.
const MaxValue = 30_720

// ReadText reads a credential, or what else belongs to a connection, from a file or, named "-",
// from standard input; white space around it does not belong to it.
func (c *Run) ReadText(ctx context.Context, name string) (string, error) {
	in, err := c.Input(ctx, name)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }() // it was only read
	content, err := ReadAtMost(in, MaxValue)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		return "", &Problem{Message: fmt.Sprintf(c.T("%s is empty", "%s 为空"), name)}
	}
	return text, nil
}
