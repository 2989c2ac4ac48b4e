package alibabatest

import (
	"net/http"

	"github.com/keyward/keyward/internal/fault"
)

// A refusal is an error of the service: the codes and messages are those of RAM's list of
// errors and of the gateway's.
type refusal struct {
	status        int
	code, message string
	detail        object // what a missing right is about
}

func refuse(status int, code, message string) *refusal {
	return &refusal{status: status, code: code, message: message}
}

func (r *refusal) body(host string) object {
	out := object{
		"Code": r.code, "Message": r.message, "HostId": host,
		"Recommend": "https://api.aliyun.com/troubleshoot?q=" + r.code,
	}
	if r.detail != nil {
		out["AccessDeniedDetail"] = r.detail
	}
	return out
}

// What does not exist.
var (
	noUser    = refuse(http.StatusNotFound, "EntityNotExist.User", "The user does not exist.")
	noKey     = refuse(http.StatusNotFound, "EntityNotExist.User.AccessKey", "The user access key does not exist.")
	noLogin   = refuse(http.StatusNotFound, "EntityNotExist.User.LoginProfile", "The user login profile does not exist.")
	noMFA     = refuse(http.StatusNotFound, "EntityNotExist.User.MFADevice", "The user has not bound any MFA device.")
	noGroup   = refuse(http.StatusNotFound, "EntityNotExist.Group", "The group does not exist.")
	noPolicy  = refuse(http.StatusNotFound, "EntityNotExist.Policy", "The policy does not exist.")
	overLimit = refuse(http.StatusConflict, "LimitExceeded.User.AccessKey", "The access key count of the user access keys beyond the current limits.")
	// The documentation gives no codes for these.
	activeKey   = refuse(http.StatusConflict, "DeleteConflict.User.AccessKey.Active", "The access key must be disabled before it is deleted.")
	noReport    = refuse(http.StatusNotFound, "EntityNotExist.CredentialReport", "The credential report does not exist.")
	hugeAccount = refuse(http.StatusConflict, "LimitExceeded.CredentialReport", "The count of users beyond the current limits.")
)

func (c *Cloud) denied(u *User, action string) *refusal {
	r := refuse(http.StatusForbidden, "NoPermission", "You are not authorized to do this action. Action: "+action+
		" Resource: acs:ram:*:"+c.Account+":* Condition: ()")
	r.detail = object{
		"AuthAction": action, "AuthPrincipalType": "SubUser", "AuthPrincipalOwnerId": c.Account,
		"AuthPrincipalDisplayName": u.ID, "NoPermissionType": "ImplicitDeny", "PolicyType": "AccountLevelIdentityBasedPolicy",
	}
	return r
}

// unsigned is the refusal of a request that is not signed as it must be.
func unsigned(err error) *refusal {
	switch fault.KindOf(err) {
	case fault.AccessKeyNotFound:
		return refuse(http.StatusNotFound, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
	case fault.AccessKeyInactive:
		return refuse(http.StatusBadRequest, "InvalidAccessKeyId.Inactive", "Specified access key is disabled.")
	case fault.SignatureMismatch:
		return refuse(http.StatusBadRequest, "SignatureDoesNotMatch", "Specified signature is not matched with our calculation.")
	case fault.SecurityTokenInvalid:
		return refuse(http.StatusBadRequest, "InvalidSecurityToken.MismatchWithAccessKey", "Specified SecurityToken mismatch with the AccessKey.")
	case fault.TimestampExpired:
		return refuse(http.StatusBadRequest, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
	case fault.TimestampInvalid:
		return refuse(http.StatusBadRequest, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted.")
	case fault.IncompleteSignature:
		return refuse(http.StatusBadRequest, "IncompleteSignature", "The request signature does not conform to Aliyun standards.")
	}
	return refuse(http.StatusBadRequest, "InvalidParameter", fault.Message(err))
}
