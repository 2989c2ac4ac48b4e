package hsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// The protocol. A frame is its length as a big-endian uint32, at most [MaxFrame], and then:
//
//	request:  version (1)  op (1)  milliseconds to wait (4)  label  id  spec  algorithm  iv  additional  data
//	answer:   version (1)  code (1)                          text  iv  data
//
// where each field is its length as a big-endian uint16 and its bytes. A field that an
// operation does not take is empty. Nothing follows the last field. On a connection one
// request is answered before the next is read; who gives up waiting closes it.

// The limits of the protocol.
const (
	Version  = 1
	MaxFrame = 32 << 10
	MaxWait  = 5 * time.Minute // an RSA key of 4,096 bits is generated in a smart card
	maxText  = 512
)

// An Op is what a request wants.
type Op byte

// The operations. Numbers are never reused.
const (
	OpStatus   Op = 1 // data: a Status as JSON
	OpGenerate Op = 2 // algorithm: "sign", "decrypt", "both" or "" for symmetric keys; data: the public half as SPKI
	OpEncrypt  Op = 3 // AES-GCM; iv: what the token used; data: ciphertext and tag
	OpDecrypt  Op = 4 // AES-GCM
	OpSign     Op = 5 // data: a digest; the signature has the form of material.Private.Sign
	OpUnwrap   Op = 6 // decrypts with a private key
	OpDestroy  Op = 7 // every object of the label and, unless it is empty, the id; none is no error
)

// The kinds of key pair that OpGenerate makes: the token lets a key pair do what it is for only.
const (
	ForSigning    = "sign"
	ForDecryption = "decrypt"
	ForBoth       = "both"
)

// A Request is what the server asks of the helper.
type Request struct {
	Op         Op
	Wait       time.Duration // whole milliseconds
	Label      string
	ID         []byte
	Spec       string
	Algorithm  string
	IV         []byte
	Additional []byte
	Data       []byte
}

// An Answer is what the helper answers.
type Answer struct {
	Code Code
	Text string // why, for logs and operators; never a secret. Of a result, its [Sighting]
	IV   []byte
	Data []byte
}

// A Code says how a request ended. Numbers are never reused.
type Code byte

// The codes.
const (
	CodeOK          Code = 0
	CodeAway        Code = 1
	CodeMissing     Code = 2
	CodeUnsupported Code = 3
	CodeInvalid     Code = 4
	CodeUntrusted   Code = 5
	CodeRefused     Code = 6 // the request is malformed
	CodeFailed      Code = 7
)

// codes are the errors that codes stand for.
var codes = map[Code]error{
	CodeAway: ErrAway, CodeMissing: ErrMissing, CodeUnsupported: ErrUnsupported, CodeInvalid: ErrInvalid,
	CodeUntrusted: ErrUntrusted, CodeRefused: errRefused, CodeFailed: errToken,
}

// err answers the error of an answer, nil if it is a result.
func (a Answer) err() error {
	if a.Code == CodeOK {
		return nil
	}
	return fmt.Errorf("%w: %s", codes[a.Code], a.Text)
}

// Failure answers the answer that stands for an error.
func Failure(err error) Answer {
	a := Answer{Code: CodeFailed, Text: err.Error()}
	for code, kind := range codes {
		if errors.Is(err, kind) {
			a.Code = code
		}
	}
	a.Text = a.Text[:min(len(a.Text), maxText)]
	return a
}

var (
	errVersion = fmt.Errorf("the frame is not of version %d of the protocol: install keyward and keyward-pkcs11 of the same release", Version)
	errFrame   = errors.New("the frame is malformed")
	errTooLong = fmt.Errorf("the frame is larger than %d bytes", MaxFrame)
)

// ErrFrame tells whether err says that what was read is no frame of this protocol.
func ErrFrame(err error) bool {
	return errors.Is(err, errVersion) || errors.Is(err, errFrame) || errors.Is(err, errTooLong)
}

// Encode answers the frame without its length.
func (r Request) Encode() []byte {
	b := []byte{Version, byte(r.Op)}
	b = binary.BigEndian.AppendUint32(b, uint32(r.Wait/time.Millisecond))
	return appendFields(b, []byte(r.Label), r.ID, []byte(r.Spec), []byte(r.Algorithm), r.IV, r.Additional, r.Data)
}

// ParseRequest reads a frame without its length; the request shares its memory.
func ParseRequest(b []byte) (Request, error) {
	if len(b) < 6 {
		return Request{}, errFrame
	}
	if b[0] != Version {
		return Request{}, errVersion
	}
	wait := time.Duration(binary.BigEndian.Uint32(b[2:])) * time.Millisecond
	f, err := parseFields(b[6:], 7)
	if err != nil {
		return Request{}, err
	}
	r := Request{Op: Op(b[1]), Wait: wait, Label: string(f[0]), ID: f[1], Spec: string(f[2]), Algorithm: string(f[3]), IV: f[4], Additional: f[5], Data: f[6]}
	if r.Op < OpStatus || r.Op > OpDestroy || wait > MaxWait {
		return Request{}, errFrame
	}
	return r, nil
}

// Encode answers the frame without its length.
func (a Answer) Encode() []byte {
	return appendFields([]byte{Version, byte(a.Code)}, []byte(a.Text), a.IV, a.Data)
}

// ParseAnswer reads a frame without its length; the answer shares its memory.
func ParseAnswer(b []byte) (Answer, error) {
	if len(b) < 2 {
		return Answer{}, errFrame
	}
	if b[0] != Version {
		return Answer{}, errVersion
	}
	f, err := parseFields(b[2:], 3)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Code: Code(b[1]), Text: string(f[0]), IV: f[1], Data: f[2]}
	if a.Code > CodeFailed || len(a.Text) > maxText {
		return Answer{}, errFrame
	}
	return a, nil
}

func appendFields(b []byte, fields ...[]byte) []byte {
	size := 0
	for _, f := range fields {
		size += 2 + len(f)
	}
	b = slices.Grow(b, size)
	for _, f := range fields {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(f))), f...)
	}
	return b
}

func parseFields(b []byte, n int) ([][]byte, error) {
	fields := make([][]byte, n)
	for i := range fields {
		if len(b) < 2 {
			return nil, errFrame
		}
		size := int(binary.BigEndian.Uint16(b))
		if len(b)-2 < size {
			return nil, errFrame
		}
		fields[i], b = b[2:2+size:2+size], b[2+size:]
	}
	if len(b) != 0 {
		return nil, errFrame
	}
	return fields, nil
}

// WriteFrame writes a frame with its length, at once, and erases it.
func WriteFrame(w io.Writer, frame []byte) error {
	defer clear(frame)
	if len(frame) > MaxFrame {
		return errTooLong
	}
	whole := make([]byte, 4, 4+len(frame))
	binary.BigEndian.PutUint32(whole, uint32(len(frame)))
	whole = append(whole, frame...)
	defer clear(whole)
	_, err := w.Write(whole)
	return err
}

// ReadFrame reads a frame without its length. It takes no more memory than what comes.
func ReadFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > MaxFrame {
		return nil, errTooLong
	}
	frame := make([]byte, n)
	if _, err := io.ReadFull(r, frame); err != nil {
		return nil, err
	}
	return frame, nil
}
