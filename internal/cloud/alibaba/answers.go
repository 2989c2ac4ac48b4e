package alibaba

import (
	"errors"
	"fmt"
	"strings"

	"github.com/keyward/keyward/internal/cloud/alibaba/rpc"
)

func missing(what string) error { return fmt.Errorf("it lacks %s", what) }

// proper tells whether an id can stand for what it names: cleaning it changes nothing, so
// that two ids cannot become one.
func proper(id string) bool { return id != "" && rpc.Clean(id, maxName) == id }

// page is the end of a page of users.
type page struct {
	IsTruncated truth
	Marker      string
}

// Complete implements rpc.Answer.
func (p page) Complete() error {
	if p.IsTruncated && p.Marker == "" {
		return missing("the marker of the next page")
	}
	return nil
}

// truth is true or false, which the services write as a text now and then.
type truth bool

// UnmarshalJSON implements json.Unmarshaler.
func (t *truth) UnmarshalJSON(b []byte) error {
	switch strings.ToLower(strings.Trim(string(b), `"`)) {
	case "true":
		*t = true
	case "false", "null", "":
		*t = false
	default:
		return errors.New("neither true nor false")
	}
	return nil
}

type callerIdentity struct {
	IdentityType string // Account, RAMUser, AssumedRoleUser
	AccountId    string
	UserId       string
	Arn          string // acs:ram::ACCOUNT:root, acs:ram::ACCOUNT:user/NAME
}

// Complete implements rpc.Answer.
func (a *callerIdentity) Complete() error {
	if !proper(a.AccountId) {
		return missing("a proper AccountId")
	}
	return nil
}

type user struct {
	UserId            string
	UserPrincipalName string
	DisplayName       string
	Comments          string
	CreateDate        string
	LastLoginDate     string
	Status            string // active, freeze
	DeleteDate        string // of a user in the recycle bin
}

type userList struct {
	page
	Users *struct{ User []user }
}

// Complete implements rpc.Answer.
func (a *userList) Complete() error {
	if a.Users == nil {
		return missing("Users")
	}
	for _, u := range a.Users.User {
		if !proper(u.UserId) || u.UserPrincipalName == "" {
			return missing("a proper UserId or UserPrincipalName of a user")
		}
	}
	return a.page.Complete()
}

type oneUser struct{ User *user }

// Complete implements rpc.Answer.
func (a *oneUser) Complete() error {
	if a.User == nil || !proper(a.User.UserId) || a.User.UserPrincipalName == "" {
		return missing("a User with a proper UserId and UserPrincipalName")
	}
	return nil
}

type accessKey struct {
	AccessKeyId string
	Status      string // Active, Inactive
	CreateDate  string
	UpdateDate  string
	RecycleDate string // of a key in the recycle bin, and DeleteDate
	DeleteDate  string
}

type accessKeyList struct {
	AccessKeys *struct{ AccessKey []accessKey }
}

// Complete implements rpc.Answer.
func (a *accessKeyList) Complete() error {
	if a.AccessKeys == nil {
		return missing("AccessKeys")
	}
	for _, k := range a.AccessKeys.AccessKey {
		if !proper(k.AccessKeyId) {
			return missing("a proper AccessKeyId of a key")
		}
	}
	return nil
}

type lastUsed struct {
	AccessKeyLastUsed *struct{ LastUsedDate, ServiceName string }
}

// Complete implements rpc.Answer.
func (a *lastUsed) Complete() error {
	if a.AccessKeyLastUsed == nil {
		return missing("AccessKeyLastUsed")
	}
	return nil
}

type loginProfile struct {
	LoginProfile *struct{ Status, LastLoginTime string }
}

// Complete implements rpc.Answer.
func (a *loginProfile) Complete() error {
	if a.LoginProfile == nil {
		return missing("LoginProfile")
	}
	return nil
}

type userMFA struct {
	IsMFAEnable *truth
	MFADevice   *struct{ SerialNumber string }
}

// Complete implements rpc.Answer.
func (a *userMFA) Complete() error {
	if a.IsMFAEnable == nil && a.MFADevice == nil {
		return missing("IsMFAEnable and MFADevice")
	}
	return nil
}

// enabled answers whether the user has a second factor, which older answers tell by the
// device alone.
func (a *userMFA) enabled() bool {
	if a.IsMFAEnable != nil {
		return bool(*a.IsMFAEnable)
	}
	return a.MFADevice.SerialNumber != ""
}

type accountMFA struct{ IsMFAEnable *truth }

// Complete implements rpc.Answer.
func (a *accountMFA) Complete() error {
	if a.IsMFAEnable == nil {
		return missing("IsMFAEnable")
	}
	return nil
}

type accountSummary struct {
	SummaryMap *struct{ AccessKeysPerUserQuota int }
}

// Complete implements rpc.Answer.
func (a *accountSummary) Complete() error {
	if a.SummaryMap == nil {
		return missing("SummaryMap")
	}
	return nil
}

type practiceReport struct {
	AccountSecurityPracticeInfo *struct {
		AccountSecurityPracticeUserInfo struct{ RootWithAccessKey *int }
	}
}

// Complete implements rpc.Answer.
func (a *practiceReport) Complete() error {
	if a.AccountSecurityPracticeInfo == nil || a.AccountSecurityPracticeInfo.AccountSecurityPracticeUserInfo.RootWithAccessKey == nil {
		return missing("RootWithAccessKey")
	}
	return nil
}

type securityPreference struct {
	SecurityPreference *struct {
		AccessKeyPreference    struct{ AllowUserToManageAccessKeys *truth }
		LoginProfilePreference struct {
			EnforceMFAForLogin   *truth
			MFAOperationForLogin string
			LoginNetworkMasks    string
		}
		MaxIdleDays struct{ MaxIdleDaysForUsers, MaxIdleDaysForAccessKeys *int }
	}
}

// Complete implements rpc.Answer.
func (a *securityPreference) Complete() error {
	if a.SecurityPreference == nil {
		return missing("SecurityPreference")
	}
	return nil
}

type passwordPolicy struct {
	PasswordPolicy *struct{ MinimumPasswordLength, PasswordReusePrevention, MaxLoginAttemps, MaxPasswordAge int }
}

// Complete implements rpc.Answer.
func (a *passwordPolicy) Complete() error {
	if a.PasswordPolicy == nil {
		return missing("PasswordPolicy")
	}
	return nil
}

type groupList struct {
	Groups *struct{ Group []struct{ GroupName string } }
}

// Complete implements rpc.Answer.
func (a *groupList) Complete() error {
	if a.Groups == nil {
		return missing("Groups")
	}
	return nil
}

type policyList struct {
	Policies *struct{ Policy []attached }
}

// attached is a policy that a user or a group has.
type attached struct{ PolicyName, PolicyType string }

// Complete implements rpc.Answer.
func (a *policyList) Complete() error {
	if a.Policies == nil {
		return missing("Policies")
	}
	return nil
}

type policyVersion struct {
	DefaultPolicyVersion *struct{ PolicyDocument string }
}

// Complete implements rpc.Answer.
func (a *policyVersion) Complete() error {
	if a.DefaultPolicyVersion == nil {
		return missing("DefaultPolicyVersion")
	}
	return nil
}

type reportState struct{ State string } // STARTED, INPROGRESS, COMPLETE

// Complete implements rpc.Answer.
func (a *reportState) Complete() error {
	if a.State == "" {
		return missing("State")
	}
	return nil
}

type reportPage struct {
	Content     *string // base64 of CSV
	IsTruncated truth
	NextToken   string
}

// Complete implements rpc.Answer.
func (a *reportPage) Complete() error {
	if a.Content == nil {
		return missing("Content")
	}
	if a.IsTruncated && a.NextToken == "" {
		return missing("NextToken")
	}
	return nil
}
