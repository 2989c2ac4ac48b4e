package cli

import (
	"strings"

	"github.com/keyward/keyward/internal/fault"
)

// An advice says what an error code of the server means and what to do next.
type advice struct{ what, next text }

// adviceOn answers the advice on a code.
func adviceOn(code fault.Kind) (advice, bool) {
	a, ok := advices[code]
	return a, ok
}

// advices has an entry for every [fault.Kind]; a test holds it to that.
var advices = map[fault.Kind]advice{
	fault.InvalidParameter:     {text{"a value is not valid", "参数值不合法"}, text{"correct the value; --help says what is possible", "请更正该值；--help 说明了可用的取值"}},
	fault.MissingParameter:     {text{"a value is missing", "缺少参数"}, text{"give the value; --help says how", "请提供该值；--help 说明了用法"}},
	fault.InvalidTagKey:        {text{"a tag's key is not valid", "标签键不合法"}, text{"use at most 128 characters, not beginning with aliyun or acs:", "最多 128 个字符，且不能以 aliyun 或 acs: 开头"}},
	fault.InvalidTagValue:      {text{"a tag's value is not valid", "标签值不合法"}, text{"use at most 128 characters", "最多 128 个字符"}},
	fault.DuplicateTagKey:      {text{"a tag's key is given twice", "标签键重复"}, text{"give each key once", "每个标签键只能出现一次"}},
	fault.InvalidCiphertext:    {text{"the ciphertext is damaged or not of this server", "密文已损坏，或不属于此服务器"}, text{"check that the ciphertext, its encryption context and the server belong together", "请确认密文、加密上下文和服务器相互对应"}},
	fault.UnsupportedOperation: {text{"this is not possible for this key or at this time", "此密钥不支持该操作，或当前不能执行"}, text{`the message says why; "keyward key show" tells the key's spec, usage and protection`, `原因见上述信息；用 "keyward key show" 查看密钥的规格、用途和保护状态`}},
	fault.ShareQuotaExceeded:   {text{"the instance lets in as many other accounts as it may", "实例可授权的其他账号数已达上限"}, text{"let one in no more with keyward instance unshare or keyward key policy, and wait five minutes", "用 keyward instance unshare 或 keyward key policy 撤回一个授权，并等待五分钟"}},
	fault.LimitExceeded:        {text{"a limit is reached", "已达到上限"}, text{"remove what is no longer needed", "请删除不再需要的内容"}},
	fault.TooLarge:             {text{"the request is too large", "请求过大"}, text{`send less; whole files are encrypted with "keyward encrypt"`, `请减少内容；加密整个文件请使用 "keyward encrypt"`}},
	fault.MethodNotAllowed:     {text{"the server does not know this request", "服务器不支持此请求"}, text{"use a command of the server's release", "请使用与服务器同一版本的命令"}},
	fault.ActionNotFound:       {text{"the server does not know this request", "服务器不支持此请求"}, text{"use a command of the server's release", "请使用与服务器同一版本的命令"}},
	fault.VersionNotSupported:  {text{"the server does not know this version of the API", "服务器不支持此 API 版本"}, text{"use a command of the server's release", "请使用与服务器同一版本的命令"}},

	fault.IncompleteSignature:   {text{"the signature is incomplete", "签名不完整"}, text{"check what stands between this machine and the server", "请检查本机与服务器之间的代理"}},
	fault.SignatureMismatch:     {text{"the access key or its secret is not the right one", "访问密钥或其密钥值不正确"}, text{`"keyward profile show" tells where they come from; after a reset use the new secret`, `用 "keyward profile show" 查看其来源；重置后请使用新的密钥值`}},
	fault.TimestampExpired:      {text{"the clocks of this machine and the server differ", "本机与服务器的时钟不一致"}, text{"set the clock", "请校准时钟"}},
	fault.TimestampMissing:      {text{"the request has no time", "请求缺少时间"}, text{"check what stands between this machine and the server", "请检查本机与服务器之间的代理"}},
	fault.TimestampInvalid:      {text{"the request's time is malformed", "请求的时间格式错误"}, text{"check what stands between this machine and the server", "请检查本机与服务器之间的代理"}},
	fault.NonceUsed:             {text{"the request arrived twice", "请求重复到达"}, text{"look whether it was performed, then repeat the command", "请先确认操作是否已执行，再重新执行命令"}},
	fault.AccessKeyNotFound:     {text{"there is no such access key", "访问密钥不存在"}, text{`"keyward profile show" tells which one is used, and where it comes from`, `用 "keyward profile show" 查看使用的是哪一个及其来源`}},
	fault.AccessKeyInactive:     {text{"the access key is disabled or has expired", "访问密钥已禁用或已过期"}, text{"use another access key, or ask an administrator to enable it", "请使用其他访问密钥，或请管理员启用它"}},
	fault.SecurityTokenInvalid:  {text{"the session is not valid", "会话无效"}, text{"begin a new session", "请重新建立会话"}},
	fault.SecurityTokenMissing:  {text{"the security token is missing", "缺少安全令牌"}, text{"temporary credentials are id, secret and token; set ALIBABA_CLOUD_SECURITY_TOKEN, too", "临时凭证由 ID、密钥值和令牌三部分组成，请同时设置 ALIBABA_CLOUD_SECURITY_TOKEN"}},
	fault.SecurityTokenExpired:  {text{"the session has expired", "会话已过期"}, text{"begin a new session", "请重新建立会话"}},
	fault.SecurityTokenMismatch: {text{"the security token belongs to another access key", "安全令牌与访问密钥不匹配"}, text{"take id, secret and token from one answer; a permanent access key takes no token", "ID、密钥值和令牌须来自同一次应答；长期访问密钥不使用令牌"}},
	fault.NoPermission:          {text{"this is not permitted", "没有权限"}, text{"ask an administrator for a policy that allows it", "请管理员授予允许此操作的策略"}},
	fault.WrongPassphrase:       {text{"the passphrase is wrong", "口令错误"}, text{"find the right one; nothing was changed, and trying again does no harm", "请找到正确的口令；没有做任何更改，可以重试"}},

	fault.LoginFailed:            {text{"the login was refused", "登录被拒绝"}, text{"try again, with --account if the server has several accounts; after several failures wait as long as the server says", "请重试；服务器有多个账号时请使用 --account；多次失败后请按服务器提示的时间等待"}},
	fault.PasswordChangeRequired: {text{"the initial password must be replaced", "必须更换初始密码"}, text{`run "keyward login", which asks for a new one`, `请执行 "keyward login"，按提示设置新密码`}},
	fault.NotApprover:            {text{"this is for others to decide", "应由他人决定"}, text{`have one of the approvers decide, logged in; "keyward approval show" names them`, `请由审批人登录后决定；用 "keyward approval show" 查看审批人`}},
	fault.ApprovalRequired:       {text{"others must approve it first", "需要其他人先审批"}, text{"ask them to run: keyward approval list; when they have approved, run the same command again, or run it with --until-approved now", "请审批人执行：keyward approval list；审批通过后重新执行相同命令，或现在就加上 --until-approved 执行"}},
	fault.MFARequired:            {text{"a code of the second factor is needed", "需要多因素验证码"}, text{"repeat the command on a terminal and enter the code that your authenticator app shows, or set KEYWARD_MFA_CODE", "请在终端中重新执行命令，并输入身份验证器显示的验证码，或设置 KEYWARD_MFA_CODE"}},
	fault.MFANotSetUp:            {text{"the login proved no second factor, without which this is not done", "登录时未验证第二因素，不能执行此操作"}, text{"keyward user mfa enroll, keyward user mfa confirm, then log in again", "请执行 keyward user mfa enroll 和 keyward user mfa confirm，然后重新登录"}},

	fault.KeyNotFound:        {text{"there is no such key", "密钥不存在"}, text{`"keyward key list" shows the keys`, `用 "keyward key list" 查看密钥`}},
	fault.KeyVersionNotFound: {text{"there is no such version of the key", "密钥版本不存在"}, text{`"keyward key versions" shows the versions`, `用 "keyward key versions" 查看密钥版本`}},
	fault.AliasNotFound:      {text{"there is no such alias", "别名不存在"}, text{`"keyward key alias list" shows the aliases`, `用 "keyward key alias list" 查看别名`}},
	fault.ResourceNotFound:   {text{"there is no such thing", "资源不存在"}, text{"check the name; the list command shows what there is", "请检查名称；用 list 命令查看现有的内容"}},

	fault.KeyDisabled:        {text{"the key is disabled", "密钥已禁用"}, text{`"keyward key enable" makes it usable`, `用 "keyward key enable" 启用密钥`}},
	fault.KeyUnavailable:     {text{"the place where the key lives cannot be reached", "密钥所在的设备或外部密钥管理系统无法访问"}, text{"check the hardware token or the external key manager, then repeat the command", "请检查硬件令牌或外部密钥管理系统，然后重新执行命令"}},
	fault.KeyPendingImport:   {text{"the key has no material", "密钥没有密钥材料"}, text{`"keyward key import" gives it its material`, `用 "keyward key import" 导入密钥材料`}},
	fault.UnsupportedOrigin:  {text{"the key was made here, so that nothing can be imported into it", "该密钥由服务器生成，不能导入密钥材料"}, text{`make one with "keyward key create --origin EXTERNAL"`, `请用 "keyward key create --origin EXTERNAL" 创建密钥`}},
	fault.InvalidKeyMaterial: {text{"the key material does not fit", "密钥材料不正确"}, text{"it must be of the key's spec and, if the key had material before, the same", "须与密钥规格一致；若密钥曾有材料，须与之前相同"}},
	fault.InvalidImportToken: {text{"the import token does not belong to this key", "导入令牌不属于该密钥"}, text{"ask for new import parameters", "请重新获取导入参数"}},
	fault.ExpiredImportToken: {text{"the import token is too old", "导入令牌已过期"}, text{"ask for new import parameters; they last for a day", "请重新获取导入参数，有效期为一天"}},
	fault.KeyPendingDeletion: {text{"the key is about to be deleted", "密钥待删除"}, text{`"keyward key restore" keeps it`, `用 "keyward key restore" 取消删除`}},
	fault.StateConflict:      {text{"its state does not allow this", "当前状态不允许此操作"}, text{`the message says why; the "show" or "status" command of the thing tells its state: keyward key show, secret show, rotation status, operator status`, `原因见上述信息；用相应的 show 或 status 命令查看状态，例如 keyward key show、secret show、rotation status、operator status`}},
	fault.AliasExists:        {text{"the alias is taken", "别名已存在"}, text{`"keyward key alias update" points it at another key`, `用 "keyward key alias update" 让它指向其他密钥`}},
	fault.ResourceExists:     {text{"the name is taken", "名称已存在"}, text{"choose another name", "请使用其他名称"}},
	fault.ResourceInUse:      {text{"it is still in use", "仍在使用中"}, text{"remove what uses it first", "请先移除对它的使用"}},
	fault.Changed:            {text{"somebody else changed it meanwhile", "期间已被他人修改"}, text{"look at it again, then repeat the command", "请重新查看，再重新执行命令"}},

	fault.Throttled:        {text{"there are too many requests", "请求过于频繁"}, text{"wait a moment and repeat the command", "请稍候再重新执行命令"}},
	fault.Sealed:           {text{"the server is sealed", "服务器处于封存状态"}, text{`its operator runs "keyward operator unseal"`, `请运维人员执行 "keyward operator unseal"`}},
	fault.AuditUnavailable: {text{"the audit log cannot be written, so that nothing may be done", "审计日志无法写入，因此拒绝一切操作"}, text{"tell the server's operator; its disk or database needs attention", "请通知服务器运维人员检查磁盘或数据库"}},
	fault.Unavailable:      {text{"the server cannot do this now", "服务器暂时无法执行"}, text{"wait a moment and repeat the command", "请稍候再重新执行命令"}},
	fault.Internal:         {text{"the server failed", "服务器内部错误"}, text{"tell the server's operator the request id; the log has the details", "请将请求 ID 告知服务器运维人员，日志中有详情"}},
	fault.DryRun:           {text{"the request would succeed", "请求可以成功"}, text{"repeat it without dry run", "请去掉试运行再执行"}},
}

// looks say, by the first words of a command, which other one tells the state of its subject.
var looks = []struct{ words, command string }{
	{"key", "keyward key show KEY"},
	{"secret", "keyward secret show NAME"},
	{"rotation plan", "keyward rotation plan show NAME"},
	{"rotation", "keyward rotation status PLAN"},
	{"instance", "keyward instance show NAME"},
	{"rollout", "keyward rollout show NAME"},
	{"approval rule", "keyward approval rule list"},
	{"approval", "keyward approval show ID"},
	{"incident", "keyward incident show ID"},
	{"finding", "keyward finding show ID"},
	{"operator", "keyward operator status"},
}

// lookAt answers what to do next when the state of a command's subject does not allow it; an
// empty text for a command that has no subject.
func lookAt(path string) (next text) {
	for _, l := range looks {
		if strings.HasPrefix(path+" ", l.words+" ") {
			return text{"the message says why; this tells the state: " + l.command, "原因见上述信息；查看状态：" + l.command}
		}
	}
	return text{}
}
