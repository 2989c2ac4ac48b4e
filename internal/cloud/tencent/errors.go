package tencent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
)

// An Error is what Tencent Cloud answered instead of a result. The errors of
// [Client.Call] wrap it, so errors.As finds the code for which there is no fault.
type Error struct {
	Code      string // such as "ResourceNotFound.SecretNotExist"
	Message   string // the vendor's words, cleaned and cut
	RequestID string // what the vendor's support asks for

	after time.Duration // how long to wait before trying again, if the answer said so
}

// Error answers the code, the message and the request id.
func (e *Error) Error() string {
	return fmt.Sprintf("%s: %s (request %s)", e.Code, e.Message, e.RequestID)
}

// below tells whether the code is one of these or below one of them: "RequestLimitExceeded"
// is also "RequestLimitExceeded.UinLimitExceeded".
func (e *Error) below(codes ...string) bool {
	for _, code := range codes {
		if e.Code == code || strings.HasPrefix(e.Code, code+".") {
			return true
		}
	}
	return false
}

func (e *Error) throttled() bool { return e.below("RequestLimitExceeded") }

func (e *Error) denied() bool {
	return e.below("UnauthorizedOperation", "AuthFailure.UnauthorizedOperation")
}

// codeOf answers the code of an error of [Client.Call], "" if Tencent Cloud sent none.
func codeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// denied tells whether an error of [Client.Call] is a missing right.
func denied(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.denied()
}

// explain makes of what went wrong a fault for the person who entered the credential.
func (op Operation) explain(err error) error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return op.refused(e)
	case errors.Is(err, egress.ErrRefused):
		return fault.InvalidParameter.Wrap(err, "the endpoint leads to an address that may not be reached; correct it, or let the operator allow its network")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault.Unavailable.Wrap(err, "the time was over before Tencent Cloud answered %s; try again", op)
	}
	return fault.Unavailable.Wrap(err, "Tencent Cloud did not answer %s in a way that could be read; try again", op)
}

// credential says which part of a credential each refusal is about, and what to do.
var credential = map[string]fault.Text{
	"AuthFailure.SecretIdNotFound": fault.Say("secret_id is the id of no active key: the key was deleted or disabled, or it is of the other site (mainland, international) than the endpoint; enter the id of an active key"),
	"AuthFailure.InvalidSecretId":  fault.Say("secret_id is not the id of an API key; enter the id that begins with AKID or IKID, from the console's page of API keys"),
	"AuthFailure.SignatureFailure": fault.Say("secret_key does not belong to this secret_id; enter both again, as they were shown together"),
	"AuthFailure.TokenFailure":     fault.Say("token is wrong or has expired; enter the key of a sub-user, which needs no token"),
	"AuthFailure.MFAFailure":       fault.Say("the credential may act only after a second factor; enter the key of a sub-user that needs none for calls of the API"),
	"AuthFailure.AccessKeyIllegal": fault.Say("secret_id is not the id of a key that may be used here; enter the key of a sub-user"),
}

func (op Operation) refused(e *Error) error {
	if text, ok := credential[e.Code]; ok {
		return fault.InvalidParameter.Wrap(e, "%s", text)
	}
	switch {
	case e.throttled():
		return fault.Throttled.Wrap(e, "Tencent Cloud refuses %s because the account calls it too often; try again later", op)
	case e.below("AuthFailure.SignatureExpire"):
		return fault.Unavailable.Wrap(e, "this server's clock is more than five minutes from Tencent Cloud's; correct it, then try again")
	case strings.Contains(e.Code, "IpNotInWhitelist"), strings.Contains(e.Code, "IpInBlacklist"):
		return fault.InvalidParameter.Wrap(e, "the credential may not be used from this server's address; add the address to its list at Tencent Cloud")
	case e.denied():
		return fault.InvalidParameter.Wrap(e, `the credential may not call %s; add to a policy of its user: {"effect":"allow","action":["%s"],"resource":["*"]}`, op, op)
	case e.below("InternalError", "FailedOperation", "ResourceUnavailable"):
		return fault.Unavailable.Wrap(e, "Tencent Cloud could not perform %s (%s: %s); try again", op, e.Code, e.Message)
	}
	return fault.InvalidParameter.Wrap(e, "Tencent Cloud refused %s (%s: %s); correct what it names", op, e.Code, e.Message)
}
