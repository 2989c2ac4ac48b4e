package audit

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Checkpoint is the head of a log at one moment, as its signature covers it.
// The format is c2sp.org/tlog-checkpoint.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   tlog.Hash
}

// maxSize is more records than a log will ever have; beyond it the arithmetic of proofs
// would overflow.
const maxSize = 1 << 61

// GenerateKey makes the Ed25519 key pair of the log named origin, in the text forms
// of golang.org/x/mod/sumdb/note. The private one must be sealed at once.
func GenerateKey(origin string) (private, public string, err error) {
	private, public, err = note.GenerateKey(rand.Reader, origin)
	if err != nil {
		return "", "", fmt.Errorf("generating audit key: %w", err)
	}
	return private, public, nil
}

func (c Checkpoint) text() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

func (c Checkpoint) sign(s note.Signer) ([]byte, error) {
	b, err := note.Sign(&note.Note{Text: c.text()}, s)
	if err != nil {
		return nil, fmt.Errorf("signing checkpoint: %w", err)
	}
	return b, nil
}

// OpenCheckpoint verifies a signed checkpoint with the log's public key and answers it.
// Signatures of others, such as a witness's, are passed over.
func OpenCheckpoint(signed []byte, publicKey string) (Checkpoint, error) {
	v, err := note.NewVerifier(publicKey)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("reading the log's public key: %w", err)
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("verifying checkpoint: %w", err)
	}
	if _, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64); err != nil {
		return Checkpoint{}, fmt.Errorf("verifying checkpoint: its signature has two spellings: %w", err)
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) < 4 {
		return Checkpoint{}, fmt.Errorf("reading checkpoint: want three lines, have %d", len(lines)-1)
	}
	c := Checkpoint{Origin: lines[0]}
	if c.Size, err = strconv.ParseInt(lines[1], 10, 64); err != nil || c.Size < 0 || c.Size > maxSize {
		return Checkpoint{}, fmt.Errorf("reading checkpoint: bad size %q", lines[1])
	}
	if c.Root, err = tlog.ParseHash(lines[2]); err != nil {
		return Checkpoint{}, fmt.Errorf("reading checkpoint: %w", err)
	}
	if c.Origin != v.Name() || c.text() != n.Text {
		return Checkpoint{}, fmt.Errorf("reading checkpoint: it is not a checkpoint of %q", v.Name())
	}
	return c, nil
}

// openHead verifies a checkpoint that the log wrote itself: it is signed by the log and
// by nobody else, so that not one byte of it can be changed.
func openHead(signed []byte, publicKey string) (Checkpoint, error) {
	c, err := OpenCheckpoint(signed, publicKey)
	if err != nil {
		return Checkpoint{}, err
	}
	if rest, ok := bytes.CutPrefix(signed, []byte(c.text()+"\n")); !ok || bytes.Count(rest, []byte{'\n'}) != 1 {
		return Checkpoint{}, errors.New("verifying checkpoint: there is more than the log's signature")
	}
	return c, nil
}
