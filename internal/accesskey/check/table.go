package check

import (
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/finding"
)

// What checks need that the inventory does not have.
var (
	needsTrail    = words("It needs the provider's log of calls, which keyward does not read yet.", "需要云平台的操作审计日志，keyward 目前尚未接入。")
	needsPolicies = words("It needs the text of policies; the inventory has their names and their breadth.", "需要策略正文；目前清单只包含策略名称与授权范围。")
)

// table has every check, in the order of their ids. A place in it is a bit of Exam.unknown.
var table = []check{
	{Rule: finding.Rule{
		ID: "AK01", Severity: finding.Critical, Title: words("The account itself has access keys", "主账号存在访问密钥"),
		Why: words("Whoever has such a key can do everything, and no policy takes anything from it.", "主账号密钥拥有全部权限，任何策略都无法限制；一旦泄露，整个账号失守。"),
		Fixes: []finding.Fix{
			command(own, "keyward user create NAME", words("Make a user with the rights that the program needs, change over to it, then delete the root user's keys.", "为程序创建只有所需权限的用户，切换后删除主账号的密钥。")),
			console("Make a user with the rights that the program needs, change over to it, then delete the account's keys at the console, logged in as root.",
				"为程序创建只有所需权限的子用户，切换后以主账号登录控制台删除其密钥。"),
		},
	}, account: rootKey},
	{Rule: finding.Rule{
		ID: "AK02", Severity: finding.Critical, Title: words("A key of the account itself is in use", "主账号的访问密钥正在使用"),
		Why: words("A program works with all rights there are; who breaks into it owns the account.", "有程序正以最高权限运行；攻破该程序即可控制整个账号。"),
		Fixes: []finding.Fix{console("Find who uses the key in the provider's log of calls, give that program a user of its own, then switch this key off.",
			"在操作审计日志中找到使用方，为其创建独立的子用户，再停用该密钥。")},
	}, key: rootUsed, limits: limit("root_use_days", func(t Thresholds) time.Duration { return t.RootUse })},
	{Rule: finding.Rule{
		ID: "AK03", Severity: finding.Medium, Title: words("An active key is old", "访问密钥使用时间过长"),
		Why: words("The longer a key lives the more copies of it there are, and the more people have left who knew it.", "密钥存在越久，副本越多，知道它的离职人员也越多。"), Fixes: replace(),
	}, key: tooOld, limits: both(limit("max_age_days", func(t Thresholds) time.Duration { return t.MaxAge }), limit("old_age_days", func(t Thresholds) time.Duration { return t.OldAge }))},
	{Rule: finding.Rule{
		ID: "AK04", Severity: finding.Medium, Title: words("An active key is not used any more", "访问密钥长期未使用"),
		Why: words("Nobody would notice if somebody else used it.", "若被他人使用，不会有人察觉。"), Fixes: switchOff(),
	}, key: unused, limits: both(limit("unused_days", func(t Thresholds) time.Duration { return t.Unused }), limit("long_unused_days", func(t Thresholds) time.Duration { return t.LongUnused }))},
	{Rule: finding.Rule{
		ID: "AK05", Severity: finding.Medium, Title: words("An active key was never used", "访问密钥从未使用"),
		Why: words("It was made for nothing, or its program does not run.", "要么没有创建的必要，要么对应的程序没有运行。"), Fixes: switchOff(),
	}, key: neverUsed, limits: limit("grace_days", func(t Thresholds) time.Duration { return t.Grace })},
	{Rule: finding.Rule{
		ID: "AK06", Severity: finding.Low, Title: words("A key that is switched off was not deleted", "已停用的访问密钥未删除"),
		Why: words("One click makes it work again, and it takes the place of the next rotation's key.", "只需一步即可重新启用，并且占用轮换所需的密钥名额。"), Fixes: deleteKey(),
	}, key: leftOver, limits: limit("inactive_days", func(t Thresholds) time.Duration { return t.Inactive })},
	{Rule: finding.Rule{
		ID: "AK07", Severity: finding.Medium, Title: words("A user has two active keys for too long", "用户的两个密钥同时启用时间过长"),
		Why: words("A rotation stopped half-way: the old key still works, and there is no place for a new one.", "轮换中途停滞：旧密钥仍然有效，而且没有名额创建新密钥。"),
		Fixes: []finding.Fix{console("Find out which of the keys is still used (keyward accesskey list shows last uses), then switch the other one off.",
			"确认哪个密钥仍在使用（keyward accesskey list 可查看最近使用时间），停用另一个。")},
	}, principal: overlap, limits: limit("overlap_days", func(t Thresholds) time.Duration { return t.Overlap })},
	{Rule: finding.Rule{
		ID: "AK08", Severity: finding.Low, Title: words("A key was not used since it was changed", "访问密钥变更后未再使用"),
		Why: words("It was rotated or switched on again, and its program did not follow or is gone.", "密钥已轮换或重新启用，但使用方没有跟进，或已经下线。"), Fixes: switchOff(),
	}, key: unusedSinceChange, limits: limit("grace_days", func(t Thresholds) time.Duration { return t.Grace })},
	{Rule: finding.Rule{
		ID: "AK09", Severity: finding.Medium, Title: words("A user has both a console login and access keys", "用户同时拥有控制台登录和访问密钥"),
		Why: words("A person's key ends up in programs, a program's user gets a password; neither can be taken away alone.", "个人密钥会进入程序，程序用户又有密码；两者无法单独收回。"), Fixes: oneUseEach(),
	}, principal: mixed},
	{Rule: finding.Rule{
		ID: "AK10", Severity: finding.Low, Title: words("A key was made together with its console user", "创建控制台用户时一并创建了访问密钥"),
		Why: words("Keys that are made by a ticked box are rarely needed.", "勾选选项顺带创建的密钥往往并不需要。"), Fixes: switchOff(),
	}, key: madeAtSetUp},
	{Rule: finding.Rule{
		ID: "AK11", Severity: finding.High, Title: words("A user with access keys has all rights", "拥有访问密钥的用户具有管理员权限"),
		Why: words("A leaked key of this user is a lost account.", "该用户的密钥一旦泄露，整个账号失守。"), Fixes: fewerRights(),
	}, principal: administrator},
	{Rule: finding.Rule{
		ID: "AK12", Severity: finding.Low, Title: words("Policies are attached to a user directly", "策略直接授予用户而非用户组"),
		Why: words("Rights that are given one by one are forgotten one by one.", "逐个授予的权限容易被逐个遗忘。"), Fixes: []finding.Fix{console("Put the user into a group that has the policy, then take the policy from the user.", "将用户加入拥有该策略的用户组，再移除直接授予的策略。")},
	}, principal: direct},
	{Rule: finding.Rule{
		ID: "AK13", Severity: finding.High, Title: words("A user with access keys can give itself rights", "拥有访问密钥的用户可以自行提升权限"),
		Why:    words("Who may attach policies has all rights, one call later.", "可以授权的用户只需一次调用即可获得全部权限。"),
		Partly: words("It sees policies for the whole identity service; combinations of single actions need the text of policies.", "可识别对身份服务的完全授权；单个操作的组合需要策略正文。"), Fixes: fewerRights(),
	}, principal: escalation},
	{Rule: finding.Rule{
		ID: "AK14", Severity: finding.Medium, Title: words("A user has whole services and does not use its keys", "用户拥有整个服务的权限但密钥长期未用"),
		Why:    words("Rights that nobody needs are there for whoever finds the key.", "无人需要的权限只会留给拿到密钥的人。"),
		Partly: words("It goes by the last use of any key; which services and actions were used needs the log of calls.", "依据密钥最近一次使用时间判断；具体使用了哪些服务和操作需要操作审计日志。"), Fixes: fewerRights(),
	}, principal: wideAndIdle, limits: limit("long_unused_days", func(t Thresholds) time.Duration { return t.LongUnused })},
	{Rule: finding.Rule{ID: "AK15", Severity: finding.Medium, Title: words("A key works from every network", "访问密钥未限制来源 IP"), Needs: needsPolicies}},
	{Rule: finding.Rule{
		ID: "AK16", Severity: finding.Medium, Title: words("Nobody said whose a key is and what for", "访问密钥缺少负责人、用途、系统或有效期"),
		Why: words("When it leaks or expires, nobody knows whom to call and what breaks.", "泄露或到期时，无人知道该联系谁、会影响什么。"),
		Fixes: []finding.Fix{command("", "keyward accesskey remark {provider} {key}",
			words("Say what is missing: owner, purpose, system, expiry.", "补充缺少的信息：负责人、用途、所属系统、有效期。"))},
	}, key: unremarked},
	{Rule: finding.Rule{ID: "AK17", Severity: finding.Medium, Title: words("A key is called from too many places", "访问密钥的来源 IP 过多"), Needs: needsTrail}},
	{Rule: finding.Rule{ID: "AK18", Severity: finding.Medium, Title: words("Several systems share one key", "多个系统共用同一访问密钥"), Needs: needsTrail}},
	{Rule: finding.Rule{
		ID: "AK19", Severity: finding.High, Title: words("A second factor is off", "登录保护或操作保护未开启"),
		Why: words("A guessed or stolen password is enough to log in.", "密码被猜中或窃取后即可直接登录。"),
		Fixes: []finding.Fix{
			command("alibaba", "aliyun ims UpdateLoginProfile --UserPrincipalName {user} --MFABindRequired true", words("Demand a second factor at the next login.", "要求下次登录时绑定多因素认证。")),
			console("Switch the guard of logins and of sensitive operations on for this user at the console.", "在控制台为该用户开启登录保护和敏感操作保护。"),
		},
	}, principal: unguarded},
	{Rule: finding.Rule{
		ID: "AK20", Severity: finding.Critical, Title: words("The account itself has no second factor", "主账号未开启多因素认证"),
		Why:   words("One password stands between anybody and everything.", "仅凭一个密码即可控制整个账号。"),
		Fixes: []finding.Fix{console("Log in as root and switch a second factor on, best a hardware one.", "以主账号登录控制台开启多因素认证，建议使用硬件设备。")},
	}, account: of(func(a accesskey.Account) accesskey.Fact { return a.RootMFA }, finding.Critical)},
	{Rule: finding.Rule{
		ID: "AK21", Severity: finding.High, Title: words("Somebody who left, or of another account, has active keys", "已停用用户或协作者持有启用的密钥"),
		Why: words("Their keys work on after their passwords stopped to.", "密码停用之后，其密钥仍可能有效。"), Fixes: []finding.Fix{console("Switch the keys off, find what breaks, and give that program a user of its own.", "停用这些密钥，确认受影响的程序并为其创建独立用户。")},
	}, principal: departed},
	{Rule: finding.Rule{ID: "AK22", Severity: finding.Medium, Title: words("A long-lived key is used where a role would do", "可使用角色的场景使用了长期密钥"), Needs: needsTrail}},
	{Rule: finding.Rule{ID: "AK23", Severity: finding.Medium, Title: words("Temporary credentials are issued too widely", "临时凭证授权过宽或时间过长"), Needs: needsTrail}},
	{Rule: finding.Rule{
		ID: "AK24", Severity: finding.High, Title: words("Calls are not recorded", "未开启操作审计"),
		Why:   words("After a leak nobody can say what was done with the key.", "发生泄露后无法追溯密钥做过什么。"),
		Fixes: []finding.Fix{console("Switch a trail on that covers all regions and read events, and keep it where the account cannot delete it.", "开启覆盖全部地域和读事件的操作审计跟踪，并投递到本账号无法删除的位置。")},
	}, account: of(func(a accesskey.Account) accesskey.Fact { return a.AuditTrail }, finding.High)},
	{Rule: finding.Rule{ID: "AK26", Severity: finding.Low, Title: words("The secret store has no copy of a key", "密钥未纳入凭据管理"),
		Needs: words("It needs to know of every key which secret holds it; only plans of rotation and keys that were entered tell that, and their absence proves nothing.", "需要知道每个密钥由哪个凭据保存；目前只有轮换计划和人工录入的密钥有此对应关系，没有对应关系并不说明未纳管。")}},
	{Rule: finding.Rule{ID: "AK27", Severity: finding.High, Title: words("A role trusts anybody", "角色信任策略过宽"), Needs: needsPolicies}},
	{Rule: finding.Rule{
		ID: "AK28", Severity: finding.Low, Title: words("The password policy is weak", "密码策略过弱"),
		Why: words("Console users choose what can be guessed.", "控制台用户会使用容易被猜中的密码。"), Fixes: []finding.Fix{
			command("aws", "aws iam update-account-password-policy --minimum-password-length 14 --password-reuse-prevention 24", words("Ask for longer passwords.", "要求使用更长的密码。")),
			console("Ask for longer passwords, no reuse and a lock after failures at the console.", "在控制台提高密码长度要求，禁止重复使用，并设置重试限制。"),
		},
	}, account: weakPasswords, limits: both(number("login_length", func(t Thresholds) int { return t.PasswordLength }), number("login_reuse", func(t Thresholds) int { return t.PasswordReuse }))},
	{Rule: finding.Rule{
		ID: "AK29", Severity: finding.Low, Title: words("A console user has not logged in for long", "控制台用户长期未登录"),
		Why: words("Who does not work here any more still has a password.", "可能已离职的人员仍持有可用密码。"), Fixes: []finding.Fix{
			command("aws", "aws iam delete-login-profile --user-name {user}", words("Take the password away; a user who comes back gets a new one.", "取消其控制台登录；需要时可重新开通。")),
			console("Take the console login away; a user who comes back gets a new one.", "取消其控制台登录；需要时可重新开通。"),
		},
	}, principal: idleUser, limits: limit("console_idle_days", func(t Thresholds) time.Duration { return t.ConsoleIdle })},
	{Rule: finding.Rule{ID: "AK30", Severity: finding.Low, Title: words("Nobody is told by the provider", "未设置安全联系人或告警通知"),
		Needs: words("No provider tells its contacts with the rights that keyward asks for.", "在 keyward 所需的最小权限下，各平台均不提供联系人信息。")}},
	{Rule: finding.Rule{
		ID: "AK31", Severity: finding.Low, Title: words("A provider is paused, and its keys are as they were long ago", "密钥来源已暂停，其密钥信息已经过时"),
		Why:   words("New keys are not seen, dates that moved are not either, and no alarm tells that it is not read.", "新密钥和变更的日期都不会被发现，长期未读取也不会触发告警。"),
		Fixes: []finding.Fix{command("", "keyward provider update {provider} --resume", words("Read it again, or remove it if nobody needs it.", "恢复读取；如果不再需要，请移除该来源。"))},
	}, account: paused},
}
