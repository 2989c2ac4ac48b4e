// Package wire has what the dialects in JSON do alike: it reads the request types of package
// api strictly and writes answers and problems.
//
// What a caller sent is never repeated in an answer but for the names of members and
// parameters, and never logged.
package wire

import (
	"encoding/json"
	"net/http"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/fault"
)

// statuses maps every kind of fault to the HTTP status of its problem.
var statuses = map[fault.Kind]int{
	fault.InvalidParameter:     http.StatusBadRequest,
	fault.MissingParameter:     http.StatusBadRequest,
	fault.InvalidTagKey:        http.StatusBadRequest,
	fault.InvalidTagValue:      http.StatusBadRequest,
	fault.DuplicateTagKey:      http.StatusBadRequest,
	fault.InvalidCiphertext:    http.StatusBadRequest,
	fault.UnsupportedOperation: http.StatusBadRequest,
	fault.LimitExceeded:        http.StatusBadRequest,
	fault.ShareQuotaExceeded:   http.StatusBadRequest,
	fault.TooLarge:             http.StatusRequestEntityTooLarge,
	fault.MethodNotAllowed:     http.StatusMethodNotAllowed,
	fault.ActionNotFound:       http.StatusNotFound,
	fault.VersionNotSupported:  http.StatusNotFound,

	fault.IncompleteSignature:   http.StatusUnauthorized,
	fault.SignatureMismatch:     http.StatusUnauthorized,
	fault.TimestampExpired:      http.StatusUnauthorized,
	fault.TimestampMissing:      http.StatusUnauthorized,
	fault.TimestampInvalid:      http.StatusUnauthorized,
	fault.NonceUsed:             http.StatusUnauthorized,
	fault.AccessKeyNotFound:     http.StatusUnauthorized,
	fault.AccessKeyInactive:     http.StatusUnauthorized,
	fault.SecurityTokenInvalid:  http.StatusUnauthorized,
	fault.SecurityTokenMissing:  http.StatusUnauthorized,
	fault.SecurityTokenExpired:  http.StatusUnauthorized,
	fault.SecurityTokenMismatch: http.StatusUnauthorized,
	fault.NoPermission:          http.StatusForbidden,
	fault.WrongPassphrase:       http.StatusForbidden,

	fault.LoginFailed:            http.StatusForbidden,
	fault.PasswordChangeRequired: http.StatusForbidden,
	fault.MFARequired:            http.StatusForbidden,
	fault.NotApprover:            http.StatusForbidden,
	fault.ApprovalRequired:       http.StatusForbidden,
	fault.MFANotSetUp:            http.StatusForbidden,

	fault.KeyNotFound:        http.StatusNotFound,
	fault.KeyVersionNotFound: http.StatusNotFound,
	fault.AliasNotFound:      http.StatusNotFound,
	fault.ResourceNotFound:   http.StatusNotFound,

	fault.KeyDisabled:        http.StatusConflict,
	fault.KeyPendingDeletion: http.StatusConflict,
	fault.KeyPendingImport:   http.StatusConflict,
	fault.KeyUnavailable:     http.StatusConflict,
	fault.UnsupportedOrigin:  http.StatusBadRequest,
	fault.InvalidKeyMaterial: http.StatusBadRequest,
	fault.InvalidImportToken: http.StatusBadRequest,
	fault.ExpiredImportToken: http.StatusBadRequest,
	fault.StateConflict:      http.StatusConflict,
	fault.AliasExists:        http.StatusConflict,
	fault.ResourceExists:     http.StatusConflict,
	fault.ResourceInUse:      http.StatusConflict,
	fault.Changed:            http.StatusConflict,

	fault.Throttled:        http.StatusTooManyRequests,
	fault.Sealed:           http.StatusServiceUnavailable,
	fault.AuditUnavailable: http.StatusServiceUnavailable,
	fault.Unavailable:      http.StatusServiceUnavailable,
	fault.Internal:         http.StatusInternalServerError,

	fault.DryRun: http.StatusBadRequest, // nothing was done, so it must not look like a success
}

// Status answers the HTTP status of a kind of fault; false if the table lacks it.
func Status(k fault.Kind) (int, bool) {
	status, ok := statuses[k]
	return status, ok
}

// Fail answers the request r with the problem that err is, in the language that it asks for.
func Fail(w http.ResponseWriter, r *http.Request, requestID string, err error) {
	kind := fault.KindOf(err)
	status, ok := Status(kind)
	if !ok {
		kind, status = fault.Internal, http.StatusInternalServerError
	}
	switch h := w.Header(); { // what the dialect has set stands
	case status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "":
		h.Set("WWW-Authenticate", "ACS3-HMAC-SHA256")
	case status == http.StatusTooManyRequests && h.Get("Retry-After") == "":
		h.Set("Retry-After", "1")
	}
	Write(w, api.ProblemType, status, api.Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Code: string(kind), Detail: Tell(r.Header, err), RequestID: requestID,
	})
}

// Succeed answers a request with a value of package api, or with nothing if it is nil.
func Succeed(w http.ResponseWriter, value any) {
	if value == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	Write(w, "application/json", http.StatusOK, value)
}

// Write answers a request with a value as JSON. A value that does not encode panics: every test
// of the answer meets it.
func Write(w http.ResponseWriter, mediaType string, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // who hung up reads nothing
}
