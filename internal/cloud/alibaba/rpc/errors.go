package rpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/fault"
)

// An Error is what a service answered instead of doing what it was asked. Faults of
// [Client.Call] wrap it. Its texts are the service's, cleaned, bounded, and without the
// credential.
type Error struct {
	Action    string
	Status    int    // of HTTP
	Code      string // such as "EntityNotExist.User"; "" if the answer was none of the service
	Message   string
	RequestID string
	Needs     string // the action that a policy has to allow, if that is what is missing

	after time.Duration // that the service wants to be left alone
}

// Error answers the code, the message and the request id.
func (e *Error) Error() string {
	return fmt.Sprintf("%s: HTTP status %d, code %q: %s (request %s)", e.Action, e.Status, e.Code, e.Message, e.RequestID)
}

// Denied tells whether a right is missing.
func (e *Error) Denied() bool {
	return e.Below("NoPermission", "Forbidden", "AccessDenied") && !e.leaked()
}

// leaked tells whether the cloud restricts the key because it was found in public.
func (e *Error) leaked() bool {
	return e.Below("Forbidden") && strings.Contains(e.Message, "risk of leakage")
}

// Below tells whether the code is one of these or below it, as "EntityNotExist.User" is
// below "EntityNotExist".
func (e *Error) Below(codes ...string) bool {
	for _, code := range codes {
		if rest, ok := strings.CutPrefix(e.Code, code); ok && (rest == "" || rest[0] == '.') {
			return true
		}
	}
	return false
}

// OfCredential tells whether the credential itself is at fault, or the clock that dates
// what it signs, so that no call works.
func (e *Error) OfCredential() bool {
	return e.leaked() || e.Below("InvalidAccessKeyId", "SignatureDoesNotMatch", "IncompleteSignature", "InvalidSecurityToken",
		"MissingSecurityToken", "InvalidTimeStamp", "IllegalTimestamp", "Inactive")
}

func (e *Error) throttled() bool {
	return e.Below("Throttling") || e.Status == http.StatusTooManyRequests
}

func (e *Error) repetition() repetition {
	switch {
	case e.throttled():
		return always
	case e.Status >= 500, e.Code == "", e.Below("SignatureNonceUsed", "ServiceUnavailable", "InternalError"):
		return ifRepeatable // a nonce is used when the network doubled the request
	}
	return never
}

// readError reads the body of an answer that is not 200.
func (c *Client) readError(op Operation, status int, body []byte) *Error {
	var in struct {
		Code, Message, RequestId string
		AccessDeniedDetail       struct{ AuthAction string }
	}
	if json.Unmarshal(body, &in) != nil {
		in.Code, in.Message = "", "the answer is not one of the service"
	}
	e := &Error{
		Action: op.Action, Status: status,
		Code: c.text(in.Code, 100), Message: c.text(in.Message, 300), RequestID: c.text(in.RequestId, 64),
	}
	if e.Denied() {
		// The services of this package call their rights "ram:…", whatever their own name is.
		if e.Needs = c.text(in.AccessDeniedDetail.AuthAction, 100); e.Needs == "" {
			e.Needs = "ram:" + op.Action
		}
	}
	return e
}

// text cleans what the service says and cuts the credential out, should it be repeated.
func (c *Client) text(s string, limit int) string {
	for _, secret := range [][]byte{c.credential.Secret.Expose(), c.credential.Token.Expose()} {
		if len(secret) > 0 {
			s = strings.ReplaceAll(s, string(secret), "[redacted]")
		}
	}
	return Clean(s, limit)
}

// fault says what went wrong to the person who can do something about it.
func (e *Error) fault(used Credential) error {
	switch {
	case e.leaked():
		return fault.InvalidParameter.Wrap(e, "Alibaba Cloud restricts the access key %s because it was found in public; make a new one and delete this one", used.ID)
	case e.Below("InvalidAccessKeyId.Inactive"):
		return fault.InvalidParameter.Wrap(e, "access_key_id: the access key %s is disabled; enable it in the RAM console or use another", used.ID)
	case e.Below("InvalidAccessKeyId") && strings.HasPrefix(used.ID, "STS."):
		return fault.InvalidParameter.Wrap(e, "access_key_id: the temporary access key is not accepted; it has expired or lacks its security_token")
	case e.Below("InvalidAccessKeyId"):
		return fault.InvalidParameter.Wrap(e, "access_key_id: Alibaba Cloud does not know the access key %s; it was mistyped or deleted", used.ID)
	case e.Below("SignatureDoesNotMatch", "IncompleteSignature"):
		return fault.InvalidParameter.Wrap(e, "access_key_secret: the secret does not belong to the access key %s; enter it again", used.ID)
	case e.Below("InvalidSecurityToken", "MissingSecurityToken"):
		return fault.InvalidParameter.Wrap(e, "security_token: the token has expired or does not belong to the access key %s; get new temporary credentials", used.ID)
	case e.Below("InvalidTimeStamp", "IllegalTimestamp"):
		return fault.InvalidParameter.Wrap(e, "the clock of this machine is more than 15 minutes off; set it")
	case e.Below("Inactive"):
		return fault.InvalidParameter.Wrap(e, "RAM is not activated for this account; activate it in the console")
	case e.Denied():
		return fault.InvalidParameter.Wrap(e, "the access key %s may not do %s; add this statement to its user's policy: %s", used.ID, e.Needs, Statement(e.Needs))
	case e.throttled():
		return fault.Throttled.Wrap(e, "Alibaba Cloud refuses %s for now: too many requests; it is tried again later", e.Action)
	case e.repetition() == ifRepeatable:
		return fault.Unavailable.Wrap(e, "Alibaba Cloud cannot do %s now: %s", e.Action, e.said())
	case e.Below("EntityNotExist"):
		return fault.ResourceNotFound.Wrap(e, "%s: %s", e.Action, e.said())
	case e.Below("LimitExceeded"):
		return fault.LimitExceeded.Wrap(e, "%s: %s", e.Action, e.said())
	}
	return fault.InvalidParameter.Wrap(e, "Alibaba Cloud refuses %s: %s", e.Action, e.said())
}

func (e *Error) said() string { return strings.TrimSpace(e.Code + " " + e.Message) }

// Statement answers the statement of a RAM policy that allows one action.
func Statement(action string) string {
	return fmt.Sprintf(`{"Effect":"Allow","Action":%q,"Resource":"*"}`, action)
}

// ErrorOf answers the service's error within err, or an empty one.
func ErrorOf(err error) *Error {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e
	}
	return &Error{}
}
