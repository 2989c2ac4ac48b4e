package notify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify/term"
)

// headlines are the first lines of messages, by kind of incident; %s is the subject.
var headlines = map[string]form.Text{
	KeyExpiry:      {English: "Key %s expires", Chinese: "密钥 %s 即将到期"},
	KeyAge:         {English: "Key %s is older than it should become", Chinese: "密钥 %s 超过最长使用期限"},
	KeyFinding:     {English: "Problem with %s", Chinese: "%s 存在安全问题"},
	ProviderStale:  {English: "Provider %s cannot be read", Chinese: "密钥来源 %s 无法读取"},
	ScanLate:       {English: "The scan for expiring keys is incomplete", Chinese: "到期扫描未完整执行"},
	ChannelFailing: {English: "Messages cannot be sent over %s", Chinese: "通知渠道 %s 无法发送消息"},
	ChannelUnread:  {English: "Nobody confirmed the test message of %s", Chinese: "通知渠道 %s 的测试消息无人确认"},
	SinkFailing:    {English: "The copy of a secret is out of date: %s", Chinese: "凭据副本未同步：%s"},
	RotationStuck:  {English: "The rotation %s needs somebody", Chinese: "密钥轮换 %s 需要人工处理"},
	RotationLate:   {English: "It is too late for a careful rotation of %s", Chinese: "密钥轮换 %s 已错过安全启动时间"},
	RotationMissed: {English: "The rotation %s cannot finish in time any more", Chinese: "密钥轮换 %s 已无法按时完成"},
	KMSRotation:    {English: "Key %s was not rotated when it should have been", Chinese: "密钥 %s 未按计划轮换"},
	KMSDeletion:    {English: "Key %s will be deleted", Chinese: "密钥 %s 即将删除"},
	KMSMaterial:    {English: "The imported material of key %s expires", Chinese: "密钥 %s 的导入材料即将到期"},
	KMSUnused:      {English: "Keys that nobody used for 90 days: %s", Chinese: "90 天未使用的密钥数量：%s"},
	NodeLying:      {English: "Node %s claims to hold what it does not hold", Chinese: "节点 %s 的上报与事实不符"},

	ApprovalWanted:      {English: "Somebody's request waits for approval: %s", Chinese: "有操作等待审批：%s"},
	ApprovalSuspended:   {English: "The approval rule %s is suspended by the operator", Chinese: "审批规则 %s 已被运维人员暂停"},
	ApprovalStuck:       {English: "Too few people are left to satisfy the approval rule %s", Chinese: "审批规则 %s 的可用审批人不足"},
	RepositoryUnwatched: {English: "Repository %s is not scanned for leaks", Chinese: "代码仓库 %s 未能完成泄露扫描"},
}

// spell answers a fact as a line. Times are told in the people's zone.
func (f Fact) spell(l message.Language, zone *time.Location) string {
	return f.Title(l) + l.Pick(": ", "：") + f.In(l, func(at time.Time) string { return at.In(zone).Format("2006-01-02 15:04:05 -07:00") })
}

// Text answers the value of a fact, for people: what is a word of keyward's says what it
// means.
func (f Fact) Text(l message.Language) string {
	return l.Of(term.Text(f.Name, f.Value, f.Chinese))
}

// In answers the value of a fact, for people; a time is written as when does.
func (f Fact) In(l message.Language, when func(time.Time) string) string {
	value := f.Text(l)
	if at, err := time.Parse(time.RFC3339, value); err == nil {
		return when(at)
	}
	return value
}

// Title answers the name of a fact, for people.
func (f Fact) Title(l message.Language) string { return l.Of(term.Name(f.Name)) }

// about answers what an incident is about; one of a kind that only a newer release knows
// is about its subject.
func about(i Incident, l message.Language) string {
	t, ok := headlines[i.Kind]
	if !ok {
		return i.Subject
	}
	return strings.ReplaceAll(l.Of(t), "%s", i.Subject)
}

// Headline answers an incident's first line: how it stands, or how it stood when it ended. A
// deadline is when a key expires: the one that it is about, or that of the rotation.
func Headline(i Incident, l message.Language, now time.Time) string {
	line := about(i, l)
	if i.Deadline.IsZero() {
		return line
	}
	if !i.Open() {
		now = i.EndedAt
	}
	left := i.Deadline.Sub(now)
	switch {
	case left <= 0 && i.Kind == KeyExpiry:
		return fmt.Sprintf(l.Pick("Key %s HAS EXPIRED", "密钥 %s 已过期"), i.Subject)
	case left <= 0:
		return line + l.Pick("; its key HAS EXPIRED", "；其密钥已过期")
	case !i.Open():
		return line + fmt.Sprintf(l.Pick(" (over %s before)", "（提前 %s解除）"), message.Left(left, l))
	case i.Kind != KeyExpiry:
		line += l.Pick("; its key expires", "；其密钥即将到期")
	}
	return line + l.Pick(" in ", "，剩余 ") + message.Left(left, l)
}

// alarm completes the message of one delivery.
func alarm(i Incident, d Delivery, m message.Message, now time.Time, zone *time.Location) message.Message {
	l := m.Language
	m.Incident, m.Event, m.Severity, m.Unwatched = i.ID, d.Event, d.Severity, slices.Contains(i.Facts, Fact{Name: "over", Value: "unwatched"})
	head := Headline(i, l, now)
	switch {
	case d.Event == message.Resolve && m.Unwatched:
		head = l.Pick("Not watched any more: ", "不再监控：") + about(i, l)
	case d.Event == message.Resolve:
		head = l.Pick("Over: ", "已解除：") + about(i, l)
	case d.Why == Lapsed:
		head = l.Pick("Still: ", "仍未处理：") + head
	case d.Why == Unanswered:
		head = l.Pick("No answer yet: ", "无人响应：") + head
	}
	m.Title = "[keyward] " + head
	for _, f := range i.Facts {
		m.Lines = append(m.Lines, f.spell(l, zone))
	}
	m.Lines = append(m.Lines, fmt.Sprintf(l.Pick("Incident %s, alarm %d", "事件 %s，第 %d 次告警"), i.ID, d.Alarm))
	if d.Event == message.Trigger {
		m.Lines = append(m.Lines, fmt.Sprintf(l.Pick("Acknowledge: keyward incident ack %s", "确认：keyward incident ack %s"), i.ID))
	}
	left := "-"
	if !i.Deadline.IsZero() {
		left = message.Left(i.Deadline.Sub(now), l)
	}
	m.Values = message.Values{Product: "keyward", Subject: message.Cut(i.Subject, 20), Left: left, Ticket: i.ID}
	m.Short = message.Cut(fmt.Sprintf("keyward %s %s", i.ID, head), 70)
	return m
}

// digest completes the message of many deliveries, the most severe first.
func digest(batch []Delivery, incidents []Incident, m message.Message, now time.Time) message.Message {
	l := m.Language
	m.Event = message.Digest
	order := make([]int, len(batch))
	for n := range order {
		order[n] = n
		m.Severity = max(m.Severity, batch[n].Severity)
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(batch[b].Severity) - int(batch[a].Severity) })
	m.Title = fmt.Sprintf(l.Pick("[keyward] %d alarms", "[keyward] %d 条告警"), len(batch))
	for _, n := range order {
		m.Lines = append(m.Lines, incidents[n].ID+" "+Headline(incidents[n], l, now))
	}
	m.Lines = append(m.Lines, l.Pick("Acknowledge each: keyward incident ack ID", "逐条确认：keyward incident ack ID"))
	m.Values = message.Values{Product: "keyward", Subject: fmt.Sprintf(l.Pick("%d alarms", "%d 条告警"), len(batch)), Left: "-", Ticket: incidents[order[0]].ID}
	m.Short = message.Cut(fmt.Sprintf("keyward %s %s", m.Values.Subject, Headline(incidents[order[0]], l, now)), 70)
	return m
}
