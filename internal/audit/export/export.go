// Package export writes audit logs to text and verifies it, for whoever wants to keep them
// elsewhere and believe nobody.
//
// An export has, for each log, one header line (JSON) and then its leaves, one a line. It is
// readable for ever with nothing but a text editor and verifiable with nothing but the
// public key. Nothing in it is trusted, the public key in its headers least of all.
package export

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
)

// A header begins a log. Checkpoint is its signed head, and "" if it is empty.
type header struct {
	Format     string `json:"format"`
	V          int    `json:"v"`
	Log        string `json:"log"`
	PublicKey  string `json:"publicKey"`
	Size       int64  `json:"size"`
	Checkpoint string `json:"checkpoint"`
}

const format = "keyward-audit-export"

// errEnough ends a walk over batches when the wanted records have been seen.
var errEnough = errors.New("enough")

// Write writes one whole log, as far as its head reaches when the call begins.
func Write(ctx context.Context, r audit.Reader, id audit.Identity, w io.Writer) error {
	head, err := r.Head(ctx, id.Origin)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	if err := json.NewEncoder(out).Encode(header{
		Format: format, V: 1, Log: id.Origin, PublicKey: id.PublicKey, Size: head.Size, Checkpoint: string(head.Checkpoint),
	}); err != nil {
		return fmt.Errorf("exporting audit log: %w", err)
	}
	err = r.Batches(ctx, id.Origin, 0, func(b audit.Batch) error {
		if b.First >= head.Size {
			return errEnough
		}
		_, err := out.Write(b.Leaves)
		return err
	})
	if err != nil && !errors.Is(err, errEnough) {
		return fmt.Errorf("exporting audit log: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("exporting audit log: %w", err)
	}
	return nil
}

// A Sink takes what [Verify] reads, to make something of it. Begin is called
// before a log's records; Leaf for each, with the stored hashes that it creates, both
// valid until it returns; and End when all of the log is proven, with its signed head.
// An error ends the verification.
type Sink interface {
	Begin(log string) error
	Leaf(leaf []byte, hashes []tlog.Hash) error
	End(proven audit.Report, head []byte) error
}

// Verify verifies every log of an export. trust answers what to believe of a
// log, given the public key that the export itself names (which proves nothing by
// itself: whoever forged the export chose it). The sink may be nil.
func Verify(r io.Reader, trust func(log, claimedKey string) audit.Trust, sink Sink) ([]audit.Report, error) {
	in := bufio.NewReaderSize(r, 2*audit.MaxLeaf)
	var reports []audit.Report
	seen := map[string]bool{}
	for {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) {
			if len(reports) == 0 {
				return nil, errors.New("verifying export: it is empty")
			}
			return reports, nil
		}
		if err != nil {
			return nil, err
		}
		h, err := parseHeader(line)
		if err != nil {
			return nil, err
		}
		if seen[h.Log] {
			return nil, &audit.TamperError{Log: h.Log, Where: fault.Say("the export holds it twice")}
		}
		seen[h.Log] = true
		report, err := h.verify(in, trust(h.Log, h.PublicKey), sink)
		if err != nil {
			return nil, err
		}
		reports = append(reports, report)
	}
}

// parseHeader reads a header line. Only the line that [Write] writes is one: what it
// does not say cannot be added to it.
func parseHeader(line []byte) (header, error) {
	var h header
	err := json.Unmarshal(line, &h)
	if err == nil && h.Format == format && h.V == 1 && h.Size >= 0 {
		if again, err := json.Marshal(h); err == nil && bytes.Equal(again, line) {
			return h, nil
		}
		return h, &audit.TamperError{Log: h.Log, Where: fault.Say("its header in the export is not as it was written")}
	}
	return h, fmt.Errorf("verifying export: this is not a header of a %s, version 1: the file was cut, joined or is something else", format)
}

// verify verifies the log that the header begins.
func (h header) verify(in *bufio.Reader, trust audit.Trust, sink Sink) (audit.Report, error) {
	p, err := audit.NewProver(h.Log, trust)
	if err != nil {
		return audit.Report{}, err
	}
	if err := p.Claim(h.PublicKey); err != nil {
		return audit.Report{}, err
	}
	if sink != nil {
		if err := sink.Begin(h.Log); err != nil {
			return audit.Report{}, err
		}
	}
	for p.Size() < h.Size {
		leaf, err := readLine(in)
		if errors.Is(err, io.EOF) {
			return audit.Report{}, p.Tampered(fault.Say("the export ends after %d of %d records", p.Size(), h.Size))
		}
		if err != nil {
			return audit.Report{}, err
		}
		hashes, err := p.Leaf(leaf)
		if err == nil && sink != nil {
			err = sink.Leaf(leaf, hashes)
		}
		if err != nil {
			return audit.Report{}, err
		}
	}
	report, err := p.Finish([]byte(h.Checkpoint))
	if err == nil && sink != nil {
		err = sink.End(report, []byte(h.Checkpoint))
	}
	return report, err
}

// readLine reads one line, without its end; a last line without an end is an error.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("verifying export: reading a line of at most %d bytes: %w", 2*audit.MaxLeaf, err)
	}
	return bytes.TrimSuffix(line, []byte{'\n'}), nil
}
