package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"
)

// An export is text: for each log one header line, then its leaves, one a line. It
// is readable for ever with nothing but a text editor and verifiable with nothing
// but the public key.
type exportHeader struct {
	Format     string `json:"format"`
	V          int    `json:"v"`
	Log        string `json:"log"`
	PublicKey  string `json:"publicKey"`
	Size       int64  `json:"size"`
	Checkpoint string `json:"checkpoint"`
}

const exportFormat = "keyward-audit-export"

// errEnough ends a walk over batches when the wanted records have been seen.
var errEnough = errors.New("enough")

// Export writes one whole log, as far as its head reaches when the call begins.
func Export(ctx context.Context, r Reader, id Identity, w io.Writer) error {
	head, err := r.Head(ctx, id.Origin)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	if err := json.NewEncoder(out).Encode(exportHeader{
		Format: exportFormat, V: 1, Log: id.Origin, PublicKey: id.PublicKey, Size: head.Size, Checkpoint: string(head.Checkpoint),
	}); err != nil {
		return fmt.Errorf("exporting audit log: %w", err)
	}
	err = r.Batches(ctx, id.Origin, 0, func(b Batch) error {
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

// A Sink takes what [VerifyExport] reads, to make something of it. Begin is called
// before a log's records; Leaf for each, with the stored hashes that it creates, both
// valid until it returns; and End when all of the log is proven, with its signed head.
// An error ends the verification.
type Sink interface {
	Begin(log string) error
	Leaf(leaf []byte, hashes []tlog.Hash) error
	End(proven Report, head []byte) error
}

// VerifyExport verifies every log of an export. trust answers what to believe of a
// log, given the public key that the export itself names (which proves nothing by
// itself: whoever forged the export chose it). The sink may be nil.
func VerifyExport(r io.Reader, trust func(log, claimedKey string) Trust, sink Sink) ([]Report, error) {
	in := bufio.NewReaderSize(r, 2*maxLeaf)
	var reports []Report
	seen := map[string]bool{}
	for {
		line, err := exportLine(in)
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
			return nil, &TamperError{Log: h.Log, Where: "the export holds it twice"}
		}
		seen[h.Log] = true
		report, err := h.verify(in, trust(h.Log, h.PublicKey), sink)
		if err != nil {
			return nil, err
		}
		reports = append(reports, report)
	}
}

// parseHeader reads a header line. Only the line that Export writes is one: what it
// does not say cannot be added to it.
func parseHeader(line []byte) (exportHeader, error) {
	var h exportHeader
	err := json.Unmarshal(line, &h)
	if err == nil && h.Format == exportFormat && h.V == 1 && h.Size >= 0 {
		if again, err := json.Marshal(h); err == nil && bytes.Equal(again, line) {
			return h, nil
		}
		return h, &TamperError{Log: h.Log, Where: "its header in the export is not as it was written"}
	}
	return h, fmt.Errorf("verifying export: this is not a header of a %s, version 1: the file was cut, joined or is something else", exportFormat)
}

// verify verifies the log that the header begins.
func (h exportHeader) verify(in *bufio.Reader, trust Trust, sink Sink) (Report, error) {
	p, err := NewProver(h.Log, trust)
	if err != nil {
		return Report{}, err
	}
	if err := p.claim(h.PublicKey); err != nil {
		return Report{}, err
	}
	if sink != nil {
		if err := sink.Begin(h.Log); err != nil {
			return Report{}, err
		}
	}
	for p.tree.size < h.Size {
		leaf, err := exportLine(in)
		if errors.Is(err, io.EOF) {
			return Report{}, p.Tampered("the export ends after %d of %d records", p.tree.size, h.Size)
		}
		if err != nil {
			return Report{}, err
		}
		hashes, err := p.Leaf(leaf)
		if err == nil && sink != nil {
			err = sink.Leaf(leaf, hashes)
		}
		if err != nil {
			return Report{}, err
		}
	}
	report, err := p.Finish([]byte(h.Checkpoint))
	if err == nil && sink != nil {
		err = sink.End(report, []byte(h.Checkpoint))
	}
	return report, err
}

// exportLine reads one line, without its end; a last line without an end is an error.
func exportLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("verifying export: reading a line of at most %d bytes: %w", 2*maxLeaf, err)
	}
	return bytes.TrimSuffix(line, []byte{'\n'}), nil
}
