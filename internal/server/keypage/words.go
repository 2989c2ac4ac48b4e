package keypage

// operations says in English and Chinese what the dangerous actions do, and those that add a
// second factor.
var operations = map[string][2]string{
	"kms:ScheduleKeyDeletion":      {"Delete a key", "删除密钥"},
	"kms:DisableKey":               {"Disable a key", "禁用密钥"},
	"kms:DeleteKeyMaterial":        {"Delete the material of a key", "删除密钥材料"},
	"kms:SetKeyPolicy":             {"Change who may use a key", "修改密钥策略"},
	"kms:SetDeletionProtection":    {"Change the deletion protection of a key", "修改密钥删除保护"},
	"kms:ExportDataKey":            {"Export a data key", "导出数据密钥"},
	"kms:GenerateAndExportDataKey": {"Make and export a data key", "生成并导出数据密钥"},
	"kms:DeleteSecret":             {"Delete a secret", "删除凭据"},
	"kms:SetSecretPolicy":          {"Change who may read a secret", "修改凭据策略"},
	"ram:AttachPolicyToUser":       {"Give a user a policy", "为用户附加权限策略"},
	"ram:AttachPolicyToRole":       {"Give a role a policy", "为角色附加权限策略"},
	"ram:UpdateRole":               {"Change a role, and who may assume it", "修改角色及其信任策略"},
	"ram:DetachPolicyFromUser":     {"Take a policy from a user", "解除用户的权限策略"},
	"ram:DetachPolicyFromRole":     {"Take a policy from a role", "解除角色的权限策略"},
	"ram:UpdatePolicy":             {"Change a policy", "修改权限策略"},
	"ram:CreateAccessKey":          {"Make an access key", "创建访问密钥"},
	"ram:UpdateAccessKey":          {"Change an access key", "修改访问密钥"},
	"ram:ResetAccessKey":           {"Reset the secret of an access key", "重置访问密钥"},
	"ram:DeleteAccessKey":          {"Delete an access key", "删除访问密钥"},
	"ram:UpdateUser":               {"Change a user", "修改用户"},
	"ram:DeleteUser":               {"Delete a user", "删除用户"},
	"ram:UpdateLoginProfile":       {"Reset a user's password", "重置用户密码"},
	"ram:DeleteLoginProfile":       {"Take a user's password", "移除用户密码"},
	"ram:UnbindMFADevice":          {"Take a second factor from a user", "移除用户的多因素验证"},
	"ram:BindMFADevice":            {"Add an authenticator app", "添加身份验证器应用"},
	"keyward:AddSecurityKey":       {"Add a security key", "添加安全密钥"},
	"keyward:CreateNodeToken":      {"Let machines enrol", "允许节点注册"},
	"keyward:ExportAudit":          {"Export the audit log", "导出审计日志"},
	"keyward:SetApprovalRule":      {"Set a rule of approvals", "设置审批规则"},
	"keyward:DeleteApprovalRule":   {"Delete a rule of approvals", "删除审批规则"},
	"keyward:LinkUser":             {"Link a user with a person at an identity provider", "将用户与身份提供商中的人员关联"},
	"ram:DeleteOIDCProvider":       {"Remove an identity provider", "移除身份提供商"},
	"keyward:Approve":              {"Approve somebody else's request", "批准他人的请求"},
}

// words are what names of parameters stand for.
var words = map[string][2]string{
	"key": {"Key", "密钥"}, "alias": {"Alias", "别名"}, "secret": {"Secret", "凭据"}, "user": {"User", "用户"}, "role": {"Role", "角色"},
	"policy": {"Policy", "权限策略"}, "id": {"Id", "标识"}, "name": {"Name", "名称"}, "action": {"Operation", "操作"}, "resource": {"Resource", "资源"},
	"requester": {"Asked by", "请求者"}, "document": {"Document", "文档"}, "description": {"Description", "描述"}, "days": {"Days", "天数"}, "remark": {"Remark", "备注"},
}
