package tencenttest

import (
	"slices"
	"strconv"
	"time"

	"github.com/keyward/keyward/internal/lazy"
)

// versions are the dates of the services' APIs.
var versions = map[string]string{"cam": "2019-01-16", "sts": "2018-08-13"}

// actions are what the service can do; s.mu is held.
var actions = map[string]func(*Service, *call) (map[string]any, error){
	"sts:GetCallerIdentity":           (*Service).identity,
	"cam:ListUsers":                   (*Service).listUsers,
	"cam:ListCollaborators":           (*Service).listCollaborators,
	"cam:ListWeChatWorkSubAccounts":   (*Service).listWeCom,
	"cam:DescribeSubAccounts":         (*Service).describe,
	"cam:DescribeSafeAuthFlagColl":    (*Service).factors,
	"cam:ListAttachedUserAllPolicies": (*Service).policies,
	"cam:ListAccessKeys":              (*Service).listKeys,
	"cam:CreateAccessKey":             (*Service).createKey,
	"cam:UpdateAccessKey":             (*Service).updateKey,
	"cam:DeleteAccessKey":             (*Service).deleteKey,
	"cam:GetSecurityLastUsed":         (*Service).lastUsed,
}

// beijing is where the service's times are, which carry no zone.
var beijing = time.FixedZone("UTC+8", 8*60*60)

func stamp(at time.Time) string { return at.In(beijing).Format(time.DateTime) }

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s *Service) identity(c *call) (map[string]any, error) {
	uin, account := strconv.FormatUint(c.caller.Uin, 10), strconv.FormatUint(c.caller.root.Uin, 10)
	kind, arn := "CAMUser", "qcs::cam:"+account+":uin/"+uin
	if c.caller.Kind == root {
		kind, arn = "Root", "qcs::cam:"+account+":root"
	}
	return map[string]any{"Arn": arn, "AccountId": account, "UserId": uin, "PrincipalId": uin, "Type": kind}, nil
}

// people answers the users of an account of one kind.
func (s *Service) people(c *call, kind Kind) []map[string]any {
	out := []map[string]any{}
	for _, u := range s.accounts[c.caller.root.Uin].users {
		if u.Kind == kind {
			out = append(out, map[string]any{
				"Uin": u.Uin, "Name": u.Name, "Uid": u.Uin % 10_000_000, "Remark": u.Remark, "ConsoleLogin": flag(u.Console),
				"PhoneNum": "", "CountryCode": "86", "Email": "", "CreateTime": stamp(u.CreatedAt), "NickName": nil,
			})
		}
	}
	return out
}

func (s *Service) listUsers(c *call) (map[string]any, error) {
	return map[string]any{"Data": s.people(c, SubUser)}, nil
}

func (s *Service) listCollaborators(c *call) (map[string]any, error) {
	all := s.people(c, Collaborator)
	page, err := window(all, c.Offset, c.Limit)
	return map[string]any{"TotalNum": len(all), "Data": page}, err
}

func (s *Service) listWeCom(c *call) (map[string]any, error) {
	all := s.people(c, WeCom)
	page, err := window(all, c.Offset, c.Limit)
	return map[string]any{"TotalCount": len(all), "Data": page}, err
}

// window is a part of a list by offset and limit, which is 20 if it is not given.
func window(all []map[string]any, offset, limit *int) ([]map[string]any, error) {
	from, n := 0, 20
	if offset != nil {
		from = *offset
	}
	if limit != nil {
		n = *limit
	}
	if from < 0 || n < 1 || n > 1000 {
		return nil, refuse("InvalidParameter.ParamError", "Offset or Limit is out of range.")
	}
	from = min(from, len(all))
	return all[from:min(from+n, len(all))], nil
}

func (s *Service) describe(c *call) (map[string]any, error) {
	if len(c.FilterSubAccountUin) > 50 {
		return nil, refuse("InvalidParameter", "Up to 50 UINs are supported.")
	}
	out := []map[string]any{}
	for _, u := range s.accounts[c.caller.root.Uin].users {
		if !slices.Contains(c.FilterSubAccountUin, u.Uin) {
			continue
		}
		one := map[string]any{
			"Uin": u.Uin, "Name": u.Name, "Uid": u.Uin % 10_000_000, "Remark": u.Remark, "CreateTime": stamp(u.CreatedAt),
			"UserType": u.Kind, "LastLoginIp": "", "LastLoginTime": nil,
		}
		if !u.LoginAt.IsZero() {
			one["LastLoginIp"], one["LastLoginTime"] = "192.0.2.1", stamp(u.LoginAt)
		}
		out = append(out, one)
	}
	return map[string]any{"SubAccounts": out}, nil
}

// user finds a user of the caller's account.
func (s *Service) user(c *call, uin *uint64, absent string) (*user, error) {
	if uin == nil {
		return nil, refuse("MissingParameter", "The request is missing the number of a user.")
	}
	if u := s.users[*uin]; u != nil && u.root == c.caller.root {
		return u, nil
	}
	return nil, refuse(absent, "The user `%d` does not exist.", *uin)
}

func (s *Service) factors(c *call) (map[string]any, error) {
	u, err := s.user(c, c.SubUin, "ResourceNotFound.UserNotExist")
	if err != nil {
		return nil, err
	}
	flags := func(on bool) map[string]any {
		return map[string]any{"Phone": 0, "Token": 0, "Stoken": flag(on), "Wechat": 0, "Custom": 0, "Mail": 0, "U2FToken": 0}
	}
	return map[string]any{
		"LoginFlag": flags(u.LoginMFA), "ActionFlag": flags(u.ActionMFA),
		"OffsiteFlag": map[string]any{"VerifyFlag": 0, "NotifyPhone": 1, "NotifyEmail": 1, "NotifyWechat": 1, "Tips": 0},
	}, nil
}

func (s *Service) policies(c *call) (map[string]any, error) {
	u, err := s.user(c, c.TargetUin, "ResourceNotFound.UserNotExist")
	if err != nil {
		return nil, err
	}
	if c.Page == nil || c.Rp == nil || *c.Page < 1 || *c.Page > 200 || *c.Rp < 1 || *c.Rp > 200 {
		return nil, refuse("InvalidParameter.ParamError", "Page and Rp must be from 1 to 200.")
	}
	all := []map[string]any{}
	for _, p := range u.Policies {
		groups := []map[string]any{}
		for i, name := range p.Groups {
			groups = append(groups, map[string]any{"GroupId": i + 1, "GroupName": name})
		}
		all = append(all, map[string]any{
			"PolicyId": strconv.FormatUint(p.ID, 10), "PolicyName": p.Name, "Description": "", "AddTime": stamp(u.CreatedAt),
			"StrategyType": strconv.Itoa(1 + flag(p.Preset)), "CreateMode": "2", "Groups": groups, "Deactived": 0, "DeactivedDetail": []string{},
		})
	}
	offset := (*c.Page - 1) * *c.Rp
	page, err := window(all, &offset, c.Rp)
	return map[string]any{"TotalNum": len(all), "PolicyList": page}, err
}

// holder is whose keys a call is about: the caller's unless it names somebody else. The
// account's own keys are for the account alone.
func (s *Service) holder(c *call) (*user, error) {
	if c.TargetUin == nil {
		return c.caller, nil
	}
	u, err := s.user(c, c.TargetUin, "InvalidParameter.UserNotExist")
	if err == nil && u.Kind == root && c.caller != u {
		return nil, refuse("OperationDenied.SubUin", "The sub-user is not allowed to use the root account key.")
	}
	return u, err
}

func describeKey(k *key) map[string]any {
	status := "Active"
	if k.Inactive {
		status = "Inactive"
	}
	return map[string]any{"AccessKeyId": k.ID, "Status": status, "CreateTime": stamp(k.CreatedAt), "Description": k.Description}
}

func (s *Service) listKeys(c *call) (map[string]any, error) {
	u, err := s.holder(c)
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, k := range u.keys {
		out = append(out, describeKey(k))
	}
	return map[string]any{"AccessKeys": out}, nil
}

var description = lazy.Regexp(`^[\w+=,.@:/-]*$`)

func (s *Service) createKey(c *call) (map[string]any, error) {
	u, err := s.holder(c)
	if err != nil {
		return nil, err
	}
	if len(c.Description) > 1024 || !description().MatchString(c.Description) {
		return nil, refuse("InvalidParameter.ParamError", "Description is too long or has characters that are not allowed.")
	}
	if len(u.keys) >= 2 {
		return nil, refuse("OperationDenied.AccessKeyOverLimit", "Each account can have up to two AccessKey.")
	}
	k := s.add(u, Key{Description: c.Description})
	k.known = c.now.Add(s.settle)
	out := describeKey(k)
	out["SecretAccessKey"] = k.Secret // here and never again
	return map[string]any{"AccessKey": out}, nil
}

// named finds the key that a call names.
func (s *Service) named(c *call) (*key, error) {
	u, err := s.holder(c)
	if err != nil {
		return nil, err
	}
	k := s.keys[c.AccessKeyID]
	if k == nil || k.owner.root != c.caller.root {
		return nil, refuse("ResourceNotFound.SecretNotExist", "The key does not exist.")
	}
	if k.owner != u {
		return nil, refuse("OperationDenied.UinNotMatch", "The access key does not match the account.")
	}
	return k, nil
}

func (s *Service) updateKey(c *call) (map[string]any, error) {
	if c.Status != "Active" && c.Status != "Inactive" {
		return nil, refuse("InvalidParameter.ParamError", "Status must be Active or Inactive.")
	}
	k, err := s.named(c)
	if err != nil {
		return nil, err
	}
	k.Inactive = c.Status == "Inactive"
	return nil, nil
}

func (s *Service) deleteKey(c *call) (map[string]any, error) {
	k, err := s.named(c)
	if err != nil {
		return nil, err
	}
	delete(s.keys, k.ID)
	k.owner.keys = slices.DeleteFunc(k.owner.keys, func(other *key) bool { return other == k })
	return nil, nil
}

func (s *Service) lastUsed(c *call) (map[string]any, error) {
	if n := len(c.SecretIDList); n == 0 || n > 10 {
		return nil, refuse("InvalidParameter", "Up to 10 key IDs can be queried.")
	}
	rows := []map[string]any{}
	for _, id := range c.SecretIDList {
		k := s.keys[id]
		if k == nil || k.owner.root != c.caller.root {
			continue
		}
		row := map[string]any{"SecretId": id, "LastUsedDate": nil, "LastSecretUsedDate": nil}
		if at := k.told(c.now); !at.IsZero() {
			row["LastUsedDate"], row["LastSecretUsedDate"] = at.In(beijing).Format(time.DateOnly), at.UnixMilli()
		}
		rows = append(rows, row)
	}
	return map[string]any{"SecretIdLastUsedRows": rows}, nil
}
