package phrase

import "github.com/keyward/keyward/internal/form"

var steps = map[string]form.Text{
	"waiting":     {English: "waiting to begin", Chinese: "等待开始"},
	"rehearsing":  {English: "rehearsing, without effect", Chinese: "演练（无实际影响）"},
	"creating":    {English: "creating the new key", Chinese: "创建新密钥"},
	"verifying":   {English: "trying the new key", Chinese: "验证新密钥"},
	"rolling":     {English: "giving it to the nodes, wave by wave", Chinese: "按批次分发到节点"},
	"settling":    {English: "making it the secret's current version", Chinese: "设为凭据的当前版本"},
	"grace":       {English: "grace period, both keys work", Chinese: "宽限期，新旧密钥都有效"},
	"disabling":   {English: "disabling the old key", Chinese: "停用旧密钥"},
	"observing":   {English: "watching, with the old key off", Chinese: "观察（旧密钥已停用）"},
	"dropping":    {English: "having nodes forget the old key", Chinese: "从节点移除旧密钥"},
	"deleting":    {English: "deleting the old key", Chinese: "删除旧密钥"},
	"done":        {English: "done", Chinese: "已完成"},
	"enabling":    {English: "enabling the old key again", Chinese: "重新启用旧密钥"},
	"returning":   {English: "nodes go back to the old key", Chinese: "节点切回旧密钥"},
	"unsettling":  {English: "making the old key the secret's current version again", Chinese: "将凭据当前版本恢复为旧密钥"},
	"withdrawing": {English: "ending the new key", Chinese: "撤销新密钥"},
	"aborted":     {English: "rolled back", Chinese: "已回滚"},
}

// plans say what replaces a key that is due.
var plans = map[string]form.Text{
	"planned":   {English: "a rotation plan replaces it: begin the rotation", Chinese: "此密钥已有轮换计划：请启动轮换"},
	"under-way": {English: "a rotation that replaces it is under way: see how far it is", Chinese: "此密钥的轮换正在进行：请查看进度"},
	"unplanned": {English: "no rotation plan replaces it: make one with a name for it and the secret that holds it, then keyward rotation start NAME", Chinese: "没有轮换计划负责此密钥：请用下面的命令创建计划（NAME 为计划名称，SECRET 为保存此密钥的凭据），再执行 keyward rotation start NAME"},
}

// names are the Chinese names of steps; the English ones are the words themselves.
var names = map[string]string{
	"waiting": "等待", "rehearsing": "演练", "creating": "创建", "verifying": "验证", "rolling": "分发", "settling": "切换", "grace": "宽限", "disabling": "停用",
	"observing": "观察", "dropping": "移除", "deleting": "删除", "done": "完成", "enabling": "启用", "returning": "切回", "unsettling": "恢复", "withdrawing": "撤销",
	"aborted": "已回滚",
}

// limits say until when a rotation can be undone, by the point of no return of its provider.
var limits = map[string]form.Text{
	"deleting":  {English: "it can be rolled back until the old key is deleted", Chinese: "在删除旧密钥之前可以回滚"},
	"creating":  {English: "it can be rolled back until the new key is created", Chinese: "在创建新密钥之前可以回滚"},
	"observing": {English: "it can be rolled back until a day before the provider ends the old key", Chinese: "在平台终止旧密钥的前一天之前可以回滚"},
	"verifying": {English: "it can be rolled back until the new key is tried for the first time", Chinese: "在首次验证新密钥之前可以回滚"},
	"done":      {English: "it can be rolled back until it is done", Chinese: "在完成之前可以回滚"},
}

var reasons = map[string]form.Text{
	"rehearsal-failed": {English: "the rehearsal failed; nothing outside was touched", Chinese: "演练未通过；尚未对外部做任何更改"},
	"no-room":          {English: "there is no room for another key at the provider", Chinese: "平台的密钥数量已达上限"},
	"old-key-gone":     {English: "the old key, to which it was going back, is gone or has expired", Chinese: "回滚所需的旧密钥已不存在或已到期"},
	"ambiguous":        {English: "it cannot be told which key is the new one", Chinese: "无法确定哪一个是新密钥"},
	"answer-lost":      {English: "an answer of the provider was lost, and nothing else tells what it was", Chinese: "平台的应答丢失，且无法通过其他途径确认结果"},
	"call-refused":     {English: "the provider refused", Chinese: "平台拒绝了请求"},
	"tries-used-up":    {English: "it failed too often", Chinese: "失败次数过多"},
	"not-accepted":     {English: "a key that must work is not accepted", Chinese: "应当有效的密钥未被接受"},
	"secret-changed":   {English: "somebody has changed what the secret's readers get", Chinese: "有人更改了凭据的当前版本"},
	"needs-approval":   {English: "it waits for an approval", Chinese: "等待审批"},
	"needs-key":        {English: "it waits for the new key, which a person makes", Chinese: "等待人工创建并录入新密钥"},
	"needs-hand":       {English: "it waits for something that a person does at the provider's console", Chinese: "等待人工在平台控制台操作"},
	"nodes-behind":     {English: "nodes are behind, and their time is over", Chinese: "有节点未按时就绪"},
	"old-key-used":     {English: "somebody who is no node uses the old key", Chinese: "旧密钥仍在被节点以外的程序使用"},
	"new-key-unused":   {English: "the new key was not seen in use since the old one is off", Chinese: "旧密钥停用后未观察到新密钥的使用"},
	"late":             {English: "it cannot end before the old key expires", Chinese: "无法在旧密钥到期前完成"},
}

var remedies = map[string]form.Text{
	"rehearsal-failed": {English: "put right what the detail says and resume", Chinese: "按详情修正后执行 resume"},
	"no-room":          {English: "delete a key that nobody uses at the provider and resume", Chinese: "在平台删除一个无人使用的密钥后执行 resume"},
	"old-key-gone":     {English: "there is nothing to go back to: look at the provider, and resume to go on with the new key; if that is bad, too, start an emergency rotation then", Chinese: "已无旧密钥可回滚：查看平台，执行 resume 继续使用新密钥；如果新密钥也不可用，完成后启动紧急轮换"},
	"ambiguous":        {English: "delete the key that the detail names and nobody uses, and resume", Chinese: "删除详情中列出的、无人使用的密钥后执行 resume"},
	"answer-lost":      {English: "look at the provider's console, end what was left behind, and resume; confirm if the old key was to be deleted", Chinese: "在平台控制台检查并清理遗留的密钥后执行 resume；若正在删除旧密钥，则执行 confirm"},
	"call-refused":     {English: "read the detail; most often keyward's credential lacks a right; put it right and resume", Chinese: "查看详情，多数是 keyward 的凭证缺少权限；修正后执行 resume"},
	"tries-used-up":    {English: "read the detail, see whether the provider answers at all, and resume", Chinese: "查看详情，确认平台可用后执行 resume"},
	"not-accepted":     {English: "read the detail: which key, and who refuses it; roll back, or put it right and resume", Chinese: "查看详情：哪个密钥、被谁拒绝；回滚，或修正后执行 resume"},
	"secret-changed":   {English: "see who changed the secret and why; make the version that the detail names current again and resume, or roll back", Chinese: "查明谁更改了凭据及原因；将详情所列版本恢复为当前版本后执行 resume，或回滚"},
	"needs-approval":   {English: "look at the waves and approve, or roll back", Chinese: "查看批次情况后执行 approve，或回滚"},
	"needs-key":        {English: "make the key in the order of the provider's steps, and enter it", Chinese: "按平台的操作步骤依次创建密钥，并执行 enter 录入"},
	"needs-hand":       {English: "do at the console what the detail says and confirm", Chinese: "按详情在控制台操作后执行 confirm"},
	"nodes-behind":     {English: "mend the nodes that the detail names or drain them; it goes on by itself", Chinese: "修复或排空详情中列出的节点；之后会自动继续"},
	"old-key-used":     {English: "find who uses it with what the detail tells and give them the new key; it goes on by itself", Chinese: "根据详情找到使用者并换用新密钥；之后会自动继续"},
	"new-key-unused":   {English: "see whether the programs work; approve to go on all the same, or roll back", Chinese: "确认业务程序正常；执行 approve 继续，或回滚"},
	"late":             {English: "shorten what can be shortened: approve, mend nodes; or roll back and start an emergency rotation", Chinese: "加快可以加快的环节：审批、修复节点；或回滚后启动紧急轮换"},
}

var events = map[string]form.Text{
	"step":        {English: "step", Chinese: "步骤"},
	"created":     {English: "key created", Chinese: "已创建密钥"},
	"disabled":    {English: "key disabled", Chinese: "已停用密钥"},
	"enabled":     {English: "key enabled", Chinese: "已启用密钥"},
	"deleted":     {English: "key deleted", Chinese: "已删除密钥"},
	"settled":     {English: "the secret's current version is the right one", Chinese: "凭据的当前版本已切换"},
	"recovered":   {English: "key recovered after a crash", Chinese: "崩溃后已找回密钥"},
	"unclear":     {English: "outcome not known", Chinese: "结果未知"},
	"failed":      {English: "failed, to be tried again", Chinese: "失败，将重试"},
	"halted":      {English: "halted", Chinese: "已停止"},
	"too-late":    {English: "too late to go back", Chinese: "已无法回滚"},
	"published":   {English: "given to the nodes of wave", Chinese: "已分发到批次"},
	"confirmed":   {English: "confirmed", Chinese: "已确认"},
	"approved":    {English: "approved", Chinese: "已审批"},
	"paused":      {English: "paused", Chinese: "已暂停"},
	"resumed":     {English: "resumed", Chinese: "已恢复"},
	"rolled-back": {English: "rollback ordered", Chinese: "已下令回滚"},
	"entered":     {English: "key entered", Chinese: "已录入密钥"},
}

var archetypes = map[string]form.Text{
	"pair":          {English: "two keys at once; the old one is disabled, then deleted", Chinese: "可同时存在两个密钥；旧密钥先停用再删除"},
	"multi":         {English: "several keys at once; the old one is deleted", Chinese: "可同时存在多个密钥；旧密钥直接删除"},
	"fixed-overlap": {English: "with the new key the old one's last hours begin", Chinese: "创建新密钥后旧密钥在固定时间内失效"},
	"pending":       {English: "the new key comes alive with its first use", Chinese: "新密钥在首次使用时生效"},
	"promote":       {English: "two slots; the second is promoted at last", Chinese: "两个槽位，最后提升第二个"},
	"counterparty":  {English: "the other side changes its key", Chinese: "由对方更换密钥"},
	"manual":        {English: "a person makes and ends the keys at a console", Chinese: "人工在控制台创建和停用密钥"},
	"roll":          {English: "replaced in place; the old key is dead at once", Chinese: "原地替换，旧密钥立即失效"},
}
