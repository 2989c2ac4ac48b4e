package xks

import (
	"net/http"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/server/wire"
	protocol "github.com/keyward/keyward/internal/xks"
)

// names says what every kind of fault is called. The other side shows its users a text of its
// own for each name, so that one that comes near is better than a general one.
var names = map[fault.Kind]protocol.ErrorName{
	fault.InvalidParameter:       protocol.ValidationException,
	fault.MissingParameter:       protocol.ValidationException,
	fault.InvalidTagKey:          protocol.ValidationException,
	fault.InvalidTagValue:        protocol.ValidationException,
	fault.DuplicateTagKey:        protocol.ValidationException,
	fault.VersionNotSupported:    protocol.ValidationException,
	fault.MethodNotAllowed:       protocol.ValidationException,
	fault.DryRun:                 protocol.ValidationException,
	fault.WrongPassphrase:        protocol.ValidationException,
	fault.LoginFailed:            protocol.ValidationException,
	fault.PasswordChangeRequired: protocol.ValidationException,
	fault.InvalidKeyMaterial:     protocol.ValidationException,
	fault.InvalidImportToken:     protocol.ValidationException,
	fault.ExpiredImportToken:     protocol.ValidationException,

	fault.InvalidCiphertext:    protocol.InvalidCiphertextException,
	fault.UnsupportedOperation: protocol.InvalidKeyUsageException,
	fault.UnsupportedOrigin:    protocol.InvalidKeyUsageException,
	fault.TooLarge:             protocol.UnsupportedOperationException,
	fault.LimitExceeded:        protocol.ThrottlingException,
	fault.ShareQuotaExceeded:   protocol.ThrottlingException,
	fault.Throttled:            protocol.ThrottlingException,
	fault.ActionNotFound:       protocol.InvalidURIPathException,

	fault.IncompleteSignature:   protocol.AuthenticationFailedException,
	fault.SignatureMismatch:     protocol.AuthenticationFailedException,
	fault.TimestampExpired:      protocol.AuthenticationFailedException,
	fault.TimestampMissing:      protocol.AuthenticationFailedException,
	fault.TimestampInvalid:      protocol.AuthenticationFailedException,
	fault.NonceUsed:             protocol.AuthenticationFailedException,
	fault.AccessKeyNotFound:     protocol.AuthenticationFailedException,
	fault.SecurityTokenInvalid:  protocol.AuthenticationFailedException,
	fault.SecurityTokenMissing:  protocol.AuthenticationFailedException,
	fault.SecurityTokenExpired:  protocol.AuthenticationFailedException,
	fault.SecurityTokenMismatch: protocol.AuthenticationFailedException,
	fault.NoPermission:          protocol.AccessDeniedException,
	fault.MFARequired:           protocol.AccessDeniedException,
	fault.NotApprover:           protocol.AccessDeniedException,
	fault.ApprovalRequired:      protocol.AccessDeniedException,
	fault.MFANotSetUp:           protocol.AccessDeniedException,

	fault.KeyNotFound:        protocol.KeyNotFoundException,
	fault.KeyVersionNotFound: protocol.KeyNotFoundException,
	fault.AliasNotFound:      protocol.KeyNotFoundException,
	fault.ResourceNotFound:   protocol.KeyNotFoundException,

	fault.AccessKeyInactive:  protocol.InvalidStateException,
	fault.KeyDisabled:        protocol.InvalidStateException,
	fault.KeyPendingDeletion: protocol.InvalidStateException,
	fault.KeyPendingImport:   protocol.InvalidStateException,
	fault.StateConflict:      protocol.InvalidStateException,
	fault.AliasExists:        protocol.InvalidStateException,
	fault.ResourceExists:     protocol.InvalidStateException,
	fault.ResourceInUse:      protocol.InvalidStateException,
	fault.Changed:            protocol.InvalidStateException,

	fault.Sealed:           protocol.DependencyTimeoutException,
	fault.AuditUnavailable: protocol.DependencyTimeoutException,
	fault.Unavailable:      protocol.DependencyTimeoutException,
	fault.KeyUnavailable:   protocol.DependencyTimeoutException,
	fault.Internal:         protocol.InternalException,
}

// fail answers a fault.
func fail(w http.ResponseWriter, err error) {
	kind := fault.KindOf(err)
	name, ok := names[kind]
	if !ok {
		name = protocol.InternalException
	}
	status := protocol.Statuses[name]
	if kind == fault.MethodNotAllowed {
		status = http.StatusMethodNotAllowed
	}
	wire.Write(w, "application/json", status, protocol.NewError(name, fault.Message(err)))
}
