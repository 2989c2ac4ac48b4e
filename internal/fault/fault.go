// Package fault is the one error type that crosses package borders in keyward.
//
// The point that knows what went wrong names it with a [Kind]; each API dialect
// has one table from Kind to its own codes. Everything that carries no Kind is
// [Internal]: its text stays in the server's log and never reaches a caller.
//
// The [Text] of a fault is written for the person who made the call. It says
// what is wrong and what to do next, and it never contains a secret or the
// value of a parameter that may be one. It is written in English where it is
// made, as the literal format that [Kind.New] is given, and chinese.txt has its
// Chinese: for a new message, add two lines there. A test of this package finds
// every format in the tree that has no Chinese, and says what is wrong with one.
//
// The native REST API, the operator's socket and logins answer in the language
// that the request asks for, and a message to people in theirs. Alibaba Cloud's
// dialect, the log and the audit log are English always, and so is what is stored
// without its Chinese beside it, or was said by others: by a provider, by the
// operating system, by a parser of Go's library.
package fault

import (
	"errors"
	"fmt"
)

// A Kind names what went wrong, independently of any API dialect.
type Kind string

// What the caller sent is wrong. Trying again unchanged is useless.
const (
	InvalidParameter     Kind = "InvalidParameter"
	MissingParameter     Kind = "MissingParameter"
	InvalidTagKey        Kind = "InvalidTagKey"
	InvalidTagValue      Kind = "InvalidTagValue"
	DuplicateTagKey      Kind = "DuplicateTagKey"
	InvalidCiphertext    Kind = "InvalidCiphertext"
	UnsupportedOperation Kind = "UnsupportedOperation"
	LimitExceeded        Kind = "LimitExceeded"
	ShareQuotaExceeded   Kind = "ShareQuotaExceeded" // of other accounts that an instance lets in
	TooLarge             Kind = "TooLarge"
	MethodNotAllowed     Kind = "MethodNotAllowed"
	ActionNotFound       Kind = "ActionNotFound"
	VersionNotSupported  Kind = "VersionNotSupported"
	UnsupportedOrigin    Kind = "UnsupportedOrigin"  // only for keys with imported material
	InvalidKeyMaterial   Kind = "InvalidKeyMaterial" // not what may be imported, or not what was imported before
	InvalidImportToken   Kind = "InvalidImportToken"
	ExpiredImportToken   Kind = "ExpiredImportToken"
)

// The caller could not be identified, or may not do this.
const (
	IncompleteSignature   Kind = "IncompleteSignature"
	SignatureMismatch     Kind = "SignatureMismatch"
	TimestampExpired      Kind = "TimestampExpired"
	TimestampMissing      Kind = "TimestampMissing"
	TimestampInvalid      Kind = "TimestampInvalid"
	NonceUsed             Kind = "NonceUsed"
	AccessKeyNotFound     Kind = "AccessKeyNotFound"
	AccessKeyInactive     Kind = "AccessKeyInactive"
	SecurityTokenInvalid  Kind = "SecurityTokenInvalid"
	SecurityTokenMissing  Kind = "SecurityTokenMissing"
	SecurityTokenExpired  Kind = "SecurityTokenExpired"
	SecurityTokenMismatch Kind = "SecurityTokenMismatch"
	NoPermission          Kind = "NoPermission"
	WrongPassphrase       Kind = "WrongPassphrase"

	LoginFailed            Kind = "LoginFailed"
	PasswordChangeRequired Kind = "PasswordChangeRequired" // of who proved to have the password
	MFARequired            Kind = "MFARequired"
	MFANotSetUp            Kind = "MFANotSetUp"      // the login proved no second factor, without which this is not done
	ApprovalRequired       Kind = "ApprovalRequired" // by others, of this very request
	NotApprover            Kind = "NotApprover"      // this is for others to decide; no policy changes that
)

// Something named by the caller does not exist. A thing that belongs to another
// account answers exactly the same.
const (
	KeyNotFound        Kind = "KeyNotFound"
	KeyVersionNotFound Kind = "KeyVersionNotFound"
	AliasNotFound      Kind = "AliasNotFound"
	ResourceNotFound   Kind = "ResourceNotFound"
)

// The thing exists, but not in a state that allows this.
const (
	KeyDisabled        Kind = "KeyDisabled"
	KeyPendingDeletion Kind = "KeyPendingDeletion"
	KeyPendingImport   Kind = "KeyPendingImport"
	KeyUnavailable     Kind = "KeyUnavailable" // where its material lives cannot be reached now
	StateConflict      Kind = "StateConflict"
	AliasExists        Kind = "AliasExists"
	ResourceExists     Kind = "ResourceExists"
	ResourceInUse      Kind = "ResourceInUse"
	Changed            Kind = "Changed" // somebody else changed it meanwhile; read again and retry
)

// The server cannot do it now.
const (
	Throttled        Kind = "Throttled"
	Sealed           Kind = "Sealed"
	AuditUnavailable Kind = "AuditUnavailable"
	Unavailable      Kind = "Unavailable"
	Internal         Kind = "Internal"
)

// DryRun answers a call that asked not to be performed and that would have succeeded.
const DryRun Kind = "DryRun"

// Kinds lists every Kind, so that a test can hold each dialect's table against it.
func Kinds() []Kind {
	return []Kind{
		InvalidParameter, MissingParameter, InvalidTagKey, InvalidTagValue, DuplicateTagKey, InvalidCiphertext,
		UnsupportedOperation, LimitExceeded, ShareQuotaExceeded, TooLarge, MethodNotAllowed, ActionNotFound, VersionNotSupported,
		UnsupportedOrigin, InvalidKeyMaterial, InvalidImportToken, ExpiredImportToken,
		IncompleteSignature, SignatureMismatch, TimestampMissing, TimestampInvalid, TimestampExpired, NonceUsed,
		AccessKeyNotFound, AccessKeyInactive, SecurityTokenInvalid, SecurityTokenMissing, SecurityTokenExpired, SecurityTokenMismatch, NoPermission, WrongPassphrase,
		LoginFailed, PasswordChangeRequired, MFARequired, MFANotSetUp, ApprovalRequired, NotApprover,
		KeyNotFound, KeyVersionNotFound, AliasNotFound, ResourceNotFound,
		KeyDisabled, KeyPendingDeletion, KeyPendingImport, KeyUnavailable, StateConflict, AliasExists, ResourceExists, ResourceInUse, Changed,
		Throttled, Sealed, AuditUnavailable, Unavailable, Internal, DryRun,
	}
}

// An Error is a Kind with a text for the caller and, for the log only, its cause.
type Error struct {
	Kind  Kind
	Text  Text  // for the caller
	Cause error // for the log; may be nil

	lasting bool // reading again does not cure it
}

// Error answers the full text in English, cause included; it is meant for logs.
func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Kind, e.Text, e.Cause)
	}
	return fmt.Sprintf("%s: %s", e.Kind, e.Text)
}

// Unwrap answers the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New makes a fault of this kind that tells the caller what [Say] makes of format and args.
func (k Kind) New(format string, args ...any) *Error {
	return &Error{Kind: k, Text: Say(format, args...)}
}

// Wrap makes a fault of this kind, as [Kind.New] does, with a cause for the log.
func (k Kind) Wrap(cause error, format string, args ...any) *Error {
	return &Error{Kind: k, Text: Say(format, args...), Cause: cause}
}

// Lasting says of a [Changed] that reading again does not cure it, such as of what a caller expects
// to find and does not: [Again] answers it at once.
func (e *Error) Lasting() *Error {
	e.lasting = true
	return e
}

// KindOf answers the kind of err; an error that is no fault is Internal, nil is "".
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var f *Error
	if errors.As(err, &f) {
		return f.Kind
	}
	return Internal
}

// Is tells whether err is of kind k, as [KindOf] answers it.
func Is(err error, k Kind) bool { return KindOf(err) == k }

// Passes tells whether err is of this moment only: the same may well succeed soon, without anybody
// putting something right.
func Passes(err error) bool {
	switch KindOf(err) {
	case Throttled, Sealed, AuditUnavailable, Unavailable, Internal, Changed:
		return true
	}
	return false
}

// Message answers in English what the caller may read about err.
func Message(err error) string { return TextOf(err).String() }

// attempts at a change that somebody else's change keeps overtaking
const attempts = 8

// Again makes a change until nobody else's overtakes it any more, and answers how the last
// attempt ended: with [Changed], if all eight were overtaken, or the [Error.Lasting] one. Each must
// read again what it changes.
func Again(change func() error) error {
	for range attempts - 1 {
		err := change()
		var f *Error
		if !errors.As(err, &f) || f.Kind != Changed || f.lasting {
			return err
		}
	}
	return change()
}
