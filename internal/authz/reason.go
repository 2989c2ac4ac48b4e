package authz

import "cmp"

// A Reason says why a Decision fell.
type Reason string

// The reasons.
const (
	ByRoot       Reason = "root"                     // the account itself acts on its own resource
	ByService    Reason = "service"                  // a job acts inside its account
	ByAllow      Reason = "allow"                    // a statement allows it and none denies it
	ByBoth       Reason = "allowed by both accounts" // a statement of the caller's policies and one of the resource's policy do
	ByDeny       Reason = "explicit deny"            // a statement denies it
	ByDefault    Reason = "no statement allows"      // no statement speaks of it
	OtherAccount Reason = "not the own account"      // the resource belongs to another account
	Malformed    Reason = "malformed resource"       // the resource is no full name
	NoPrincipal  Reason = "unknown principal"        // the principal is of no known kind
	BySession    Reason = "session policy"           // the policy of the session does not allow it
	NotFresh     Reason = "no fresh code"            // a person must prove a second factor for this very request
	NotApproved  Reason = "not approved"             // others must approve this very request first
)

// Chinese answers the reasons that a caller is told.
func (r Reason) Chinese() string {
	return cmp.Or(map[Reason]string{
		ByDefault: "没有授权语句允许", OtherAccount: "资源属于其他账号", Malformed: "资源名称格式错误",
		NoPrincipal: "主体的类型未知", BySession: "会话的策略不允许",
	}[r], string(r))
}
