package rpc

import (
	"net/http"

	"github.com/keyward/keyward/internal/fault"
)

// A code is a fault in the words of this API.
type code struct {
	status int
	name   string
}

// codes maps every kind of fault. Sources: the API's metadata and error centre; where
// those disagree about a status, the one that clients expect.
var codes = map[fault.Kind]code{
	fault.InvalidParameter:     {http.StatusBadRequest, "InvalidParameter"},
	fault.MissingParameter:     {http.StatusBadRequest, "MissingParameter"},
	fault.InvalidTagKey:        {http.StatusBadRequest, "InvalidParameter.TagKey"},
	fault.InvalidTagValue:      {http.StatusBadRequest, "InvalidParameter.TagValue"},
	fault.DuplicateTagKey:      {http.StatusBadRequest, "Duplicate.TagKey"},
	fault.InvalidCiphertext:    {http.StatusBadRequest, "InvalidParameter"},
	fault.UnsupportedOperation: {http.StatusBadRequest, "Rejected.UnsupportedOperation"},
	fault.LimitExceeded:        {http.StatusBadRequest, "Rejected.LimitExceeded"},
	fault.ShareQuotaExceeded:   {http.StatusBadRequest, "Rejected.ShareQuotaExceedLimit"},
	fault.TooLarge:             {http.StatusRequestEntityTooLarge, "InvalidParameter"},
	fault.MethodNotAllowed:     {http.StatusForbidden, "UnsupportedHTTPMethod"},
	fault.ActionNotFound:       {http.StatusNotFound, "InvalidAction.NotFound"},
	fault.VersionNotSupported:  {http.StatusNotFound, "InvalidVersion"},

	fault.IncompleteSignature:   {http.StatusBadRequest, "IncompleteSignature"},
	fault.SignatureMismatch:     {http.StatusBadRequest, "SignatureDoesNotMatch"},
	fault.TimestampExpired:      {http.StatusBadRequest, "InvalidTimeStamp.Expired"},
	fault.TimestampMissing:      {http.StatusBadRequest, "IllegalTimestamp"},
	fault.TimestampInvalid:      {http.StatusBadRequest, "InvalidTimeStamp.Format"},
	fault.NonceUsed:             {http.StatusBadRequest, "SignatureNonceUsed"},
	fault.AccessKeyNotFound:     {http.StatusNotFound, "InvalidAccessKeyId.NotFound"},
	fault.AccessKeyInactive:     {http.StatusForbidden, "InvalidAccessKeyId.Inactive"},
	fault.SecurityTokenInvalid:  {http.StatusBadRequest, "InvalidSecurityToken.Malformed"},
	fault.SecurityTokenMissing:  {http.StatusBadRequest, "MissingSecurityToken"},
	fault.SecurityTokenExpired:  {http.StatusBadRequest, "InvalidSecurityToken.Expired"},
	fault.SecurityTokenMismatch: {http.StatusBadRequest, "InvalidSecurityToken.MismatchWithAccessKey"},
	fault.NoPermission:          {http.StatusForbidden, "Forbidden.NoPermission"},
	fault.WrongPassphrase:       {http.StatusForbidden, "Forbidden.NoPermission"},

	fault.LoginFailed:            {http.StatusForbidden, "Forbidden.NoPermission"},
	fault.PasswordChangeRequired: {http.StatusForbidden, "Forbidden.NoPermission"},
	fault.MFARequired:            {http.StatusForbidden, "Forbidden.MFARequired"},
	fault.NotApprover:            {http.StatusForbidden, "Forbidden.NoPermission"},
	fault.ApprovalRequired:       {http.StatusForbidden, "Forbidden.ApprovalRequired"},
	fault.MFANotSetUp:            {http.StatusForbidden, "Forbidden.MFANotSetUp"},

	fault.KeyNotFound:        {http.StatusNotFound, "Forbidden.KeyNotFound"},
	fault.KeyVersionNotFound: {http.StatusNotFound, "Forbidden.KeyVersionNotFound"},
	fault.AliasNotFound:      {http.StatusNotFound, "Forbidden.AliasNotFound"},
	fault.ResourceNotFound:   {http.StatusNotFound, "Forbidden.ResourceNotFound"},

	fault.KeyDisabled:        {http.StatusConflict, "Rejected.Disabled"},
	fault.KeyPendingDeletion: {http.StatusConflict, "Rejected.PendingDeletion"},
	fault.KeyPendingImport:   {http.StatusConflict, "Rejected.PendingImport"},
	fault.KeyUnavailable:     {http.StatusConflict, "Rejected.Unavailable"},
	fault.UnsupportedOrigin:  {http.StatusBadRequest, "Unsupported.Origin"},
	fault.InvalidKeyMaterial: {http.StatusBadRequest, "InvalidKeyMaterial"},
	fault.InvalidImportToken: {http.StatusBadRequest, "InvalidImportToken"},
	fault.ExpiredImportToken: {http.StatusBadRequest, "ExpiredImportToken"},
	fault.StateConflict:      {http.StatusConflict, "Rejected.StateModifiedFailed"},
	fault.AliasExists:        {http.StatusBadRequest, "AliasAlreadyExists"},
	fault.ResourceExists:     {http.StatusConflict, "Rejected.ResourceExist"},
	fault.ResourceInUse:      {http.StatusConflict, "Rejected.ResourceInUse"},
	fault.Changed:            {http.StatusConflict, "Rejected.StateModifiedFailed"},

	fault.Throttled:        {http.StatusTooManyRequests, "Rejected.Throttling"},
	fault.Sealed:           {http.StatusServiceUnavailable, "ServiceUnavailableTemporary"},
	fault.AuditUnavailable: {http.StatusServiceUnavailable, "ServiceUnavailableTemporary"},
	fault.Unavailable:      {http.StatusServiceUnavailable, "ServiceUnavailableTemporary"},
	fault.Internal:         {http.StatusInternalServerError, "InternalFailure"},
	fault.DryRun:           {http.StatusBadRequest, "DryRunOperationError"},
}

// dryRunCodes are what a call with DryRun answers instead, where it differs.
var dryRunCodes = map[fault.Kind]string{
	fault.InvalidParameter: "ValidationError",
	fault.MissingParameter: "ValidationError",
	fault.NoPermission:     "AccessDeniedError",
}

// ownStatus are the statuses of names that operations have of their own, where they differ.
var ownStatus = map[string]int{
	"Rejected.InvalidRequest": http.StatusBadRequest, "Forbidden.Opened": http.StatusBadRequest, "Forbidden.DKMSInstanceNotFound": http.StatusForbidden,
	"Forbidden.DKMSInstanceStateInvalid": http.StatusForbidden,
}

// codeOf answers the code of err; an operation may document other names for a kind.
func codeOf(err error, own map[fault.Kind]string, dryRun bool) code {
	kind := fault.KindOf(err)
	c, ok := codes[kind]
	if !ok {
		c = codes[fault.Internal]
	}
	if name, ok := own[kind]; ok {
		c.name = name
		if status, ok := ownStatus[name]; ok {
			c.status = status
		}
	}
	if name, ok := dryRunCodes[kind]; ok && dryRun {
		c.name = name
	}
	return c
}
