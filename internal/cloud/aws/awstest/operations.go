package awstest

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// An item is one of a list, with the key by which the list is sorted.
type item struct{ key, xml string }

// part answers the items that follow the marker of a request, and how the list ends.
func (c *Cloud) part(in *call, items []item) ([]item, string, *refusal) {
	size := c.PageSize
	if n, err := strconv.Atoi(in.params.Get("MaxItems")); err == nil {
		size = min(size, max(n, 1))
	}
	from := 0
	if marker := in.params.Get("Marker"); marker != "" {
		last, err := base64.RawURLEncoding.DecodeString(marker)
		if err != nil {
			return nil, "", refuse(http.StatusBadRequest, "ValidationError", "Invalid Marker")
		}
		for from < len(items) && items[from].key <= string(last) {
			from++
		}
	}
	rest := items[from:]
	if len(rest) <= size {
		return rest, text("IsTruncated", "false"), nil
	}
	end := text("IsTruncated", "true") + text("Marker", base64.RawURLEncoding.EncodeToString([]byte(rest[size-1].key)))
	return rest[:size], end, nil
}

// list writes items as members of an element.
func list(name string, items []item, prefix string) string {
	var b strings.Builder
	for _, i := range items {
		if strings.HasPrefix(i.key, prefix) {
			b.WriteString(tag("member", i.xml))
		}
	}
	return tag(name, b.String())
}

func getCallerIdentity(c *Cloud, in *call) (string, *refusal) {
	id := c.users[in.key.User].id
	if in.key.User == Root {
		id = c.Account
	}
	return text("Arn", c.arn(in.key.User)) + text("UserId", id) + text("Account", c.Account), nil
}

func (c *Cloud) names() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.users)), func(n string) bool { return n == Root })
}

func (c *Cloud) userXML(u *user) string {
	return text("Path", "/") + text("UserName", u.Name) + text("UserId", u.id) + text("Arn", c.arn(u.Name)) + text("CreateDate", stamp(u.created))
}

func listUsers(c *Cloud, in *call) (string, *refusal) {
	var items []item
	for _, name := range c.names() {
		items = append(items, item{name, c.userXML(c.users[name])})
	}
	items, end, no := c.part(in, items)
	return list("Users", items, "") + end, no
}

func listAccessKeys(c *Cloud, in *call) (string, *refusal) {
	u, no := c.who(in)
	if no != nil {
		return "", no
	}
	var items []item
	for _, k := range c.keysOf(u.Name) {
		items = append(items, item{k.ID, keyXML(k)})
	}
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(a.key, b.key) })
	items, end, no := c.part(in, items)
	return list("AccessKeyMetadata", items, "") + end, no
}

func keyXML(k *key) string {
	user := ""
	if k.User != Root {
		user = text("UserName", k.User)
	}
	return user + text("AccessKeyId", k.ID) + text("Status", k.status()) + text("CreateDate", stamp(k.Created))
}

func (k *key) status() string {
	if k.Active {
		return "Active"
	}
	return "Inactive"
}

func getAccessKeyLastUsed(c *Cloud, in *call) (string, *refusal) {
	k := c.keys[in.params.Get("AccessKeyId")]
	if k == nil || k.now == absent {
		return "", refuse(http.StatusNotFound, "NoSuchEntity", "The Access Key with id %s cannot be found", in.params.Get("AccessKeyId"))
	}
	last, ok := c.told(k)
	if !ok {
		return text("UserName", k.User) + tag("AccessKeyLastUsed", text("Region", "N/A"), text("ServiceName", "N/A")), nil
	}
	return text("UserName", k.User) + tag("AccessKeyLastUsed", text("Region", last.region), text("ServiceName", last.service), text("LastUsedDate", stamp(last.at))), nil
}

// The order in which GetAccountAuthorizationDetails lists, as prefixes of an item's key.
const (
	ofUsers    = "1"
	ofGroups   = "2"
	ofPolicies = "3"
)

func getAccountAuthorizationDetails(c *Cloud, in *call) (string, *refusal) {
	var items []item
	for _, name := range c.names() {
		u := c.users[name]
		boundary := ""
		if u.Boundary != "" {
			boundary = tag("PermissionsBoundary", text("PermissionsBoundaryType", "Policy"), text("PermissionsBoundaryArn", u.Boundary))
		}
		var groups, tags string
		for _, g := range u.Groups {
			groups += text("member", g)
		}
		for _, t := range slices.Sorted(maps.Keys(u.Tags)) {
			tags += tag("member", text("Key", t), text("Value", u.Tags[t]))
		}
		items = append(items, item{ofUsers + name, c.userXML(u) + tag("GroupList", groups) + inlineXML("UserPolicyList", u.Inline) + attachedXML(u.Attached) + boundary + tag("Tags", tags)})
	}
	for _, name := range slices.Sorted(maps.Keys(c.groups)) {
		g := c.groups[name]
		items = append(items, item{ofGroups + name, text("Path", "/") + text("GroupName", name) + inlineXML("GroupPolicyList", g.Inline) + attachedXML(g.Attached)})
	}
	for _, arn := range slices.Sorted(maps.Keys(c.policies)) {
		version := tag("member", text("Document", encode(c.policies[arn])), text("VersionId", "v1"), text("IsDefaultVersion", "true"))
		items = append(items, item{ofPolicies + arn, text("PolicyName", lastOf(arn)) + text("Arn", arn) + text("DefaultVersionId", "v1") + tag("PolicyVersionList", version)})
	}
	items, end, no := c.part(in, items)
	return list("UserDetailList", items, ofUsers) + list("GroupDetailList", items, ofGroups) + tag("RoleDetailList") + list("Policies", items, ofPolicies) + end, no
}

// encode encodes a document as AWS does: by RFC 3986, a blank as %20.
func encode(document string) string { return strings.ReplaceAll(url.QueryEscape(document), "+", "%20") }

func lastOf(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }

func inlineXML(name string, documents map[string]string) string {
	var members string
	for _, n := range slices.Sorted(maps.Keys(documents)) {
		members += tag("member", text("PolicyName", n), text("PolicyDocument", encode(documents[n])))
	}
	return tag(name, members)
}

func attachedXML(arns []string) string {
	var members string
	for _, arn := range arns {
		members += tag("member", text("PolicyName", lastOf(arn)), text("PolicyArn", arn))
	}
	return tag("AttachedManagedPolicies", members)
}

func getAccountSummary(c *Cloud, _ *call) (string, *refusal) {
	mfa := 0
	if c.rootMFA {
		mfa = 1
	}
	values := map[string]int{
		"Users": len(c.users) - 1, "Groups": len(c.groups), "AccountMFAEnabled": mfa,
		"AccountAccessKeysPresent": min(len(c.keysOf(Root)), 1), "AccessKeysPerUserQuota": maxKeys,
	}
	var entries string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		entries += tag("entry", text("key", name), text("value", strconv.Itoa(values[name])))
	}
	return tag("SummaryMap", entries), nil
}

func getAccountPasswordPolicy(c *Cloud, _ *call) (string, *refusal) {
	return "", refuse(http.StatusNotFound, "NoSuchEntity", "The Password Policy with domain name %s cannot be found.", c.Account)
}

const maxKeys = 2

func createAccessKey(c *Cloud, in *call) (string, *refusal) {
	u, no := c.who(in)
	if no != nil {
		return "", no
	}
	if len(c.keysOf(u.Name)) >= maxKeys {
		return "", refuse(http.StatusConflict, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: %d", maxKeys)
	}
	k := c.mint(u.Name, in.now)
	return tag("AccessKey", keyXML(k), text("SecretAccessKey", k.secret)), nil
}

// own answers the key that a call names, which must be the named user's or the caller's.
func (c *Cloud) own(in *call) (*key, *refusal) {
	u, no := c.who(in)
	if no != nil {
		return nil, no
	}
	id := in.params.Get("AccessKeyId")
	if k := c.keys[id]; k != nil && k.now != absent && k.User == u.Name {
		return k, nil
	}
	return nil, refuse(http.StatusNotFound, "NoSuchEntity", "The Access Key with id %s cannot be found.", id)
}

func updateAccessKey(c *Cloud, in *call) (string, *refusal) {
	k, no := c.own(in)
	if no != nil {
		return "", no
	}
	switch in.params.Get("Status") {
	case "Active":
		k.become(active, in.now, c.Settle)
	case "Inactive":
		k.become(inactive, in.now, c.Settle)
	default:
		return "", refuse(http.StatusBadRequest, "ValidationError", "Status must be Active or Inactive")
	}
	return "", nil
}

func deleteAccessKey(c *Cloud, in *call) (string, *refusal) {
	k, no := c.own(in)
	if no != nil {
		return "", no
	}
	k.become(absent, in.now, c.Settle)
	return "", nil
}

const reportKept = 4 * time.Hour

func generateCredentialReport(c *Cloud, in *call) (string, *refusal) {
	r := &c.report
	if r.content == nil || in.now.After(r.started.Add(c.ReportTakes+reportKept)) {
		r.started, r.content = in.now, c.makeReport()
		return text("State", "STARTED") + text("Description", "No report exists. Starting a new report generation task"), nil
	}
	if in.now.Before(r.started.Add(c.ReportTakes)) {
		return text("State", "INPROGRESS"), nil
	}
	return text("State", "COMPLETE"), nil
}

func getCredentialReport(c *Cloud, in *call) (string, *refusal) {
	r := &c.report
	ready := r.started.Add(c.ReportTakes)
	switch {
	case r.content == nil:
		return "", refuse(http.StatusGone, "ReportNotPresent", "No report exists.")
	case in.now.Before(ready):
		return "", refuse(http.StatusNotFound, "ReportInProgress", "Report is in progress.")
	case in.now.After(ready.Add(reportKept)):
		return "", refuse(http.StatusGone, "ReportExpired", "The report has expired.")
	}
	return text("Content", base64.StdEncoding.EncodeToString(r.content)) + text("ReportFormat", "text/csv") + text("GeneratedTime", stamp(ready)), nil
}

var reportColumns = []string{
	"user", "arn", "user_creation_time", "password_enabled", "password_last_used", "password_last_changed", "password_next_rotation", "mfa_active",
	"access_key_1_active", "access_key_1_last_rotated", "access_key_1_last_used_date", "access_key_1_last_used_region", "access_key_1_last_used_service",
	"access_key_2_active", "access_key_2_last_rotated", "access_key_2_last_used_date", "access_key_2_last_used_region", "access_key_2_last_used_service",
	"cert_1_active", "cert_1_last_rotated", "cert_2_active", "cert_2_last_rotated",
}

// makeReport writes the credential report of this moment, with its words for no value.
func (c *Cloud) makeReport() []byte {
	const date = "2006-01-02T15:04:05+00:00"
	when := func(t time.Time, none string) string {
		if t.IsZero() {
			return none
		}
		return t.UTC().Format(date)
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(reportColumns) // into memory, as all that follow
	for _, name := range slices.Sorted(maps.Keys(c.users)) {
		u := c.users[name]
		row := []string{name, c.arn(name), when(u.created, ""), strconv.FormatBool(u.Console), "N/A", "N/A", "N/A", strconv.FormatBool(u.MFA)}
		switch {
		case name == Root:
			row = []string{name, c.arn(name), when(u.created, ""), "not_supported", "no_information", "not_supported", "not_supported", strconv.FormatBool(c.rootMFA)}
		case u.Console:
			row[4], row[5] = when(u.ConsoleAt, "no_information"), when(u.created, "")
		}
		slots := [2][]string{{"false", "N/A", "N/A", "N/A", "N/A"}, {"false", "N/A", "N/A", "N/A", "N/A"}}
		for _, k := range c.keysOf(name) {
			s := []string{strconv.FormatBool(k.Active), when(k.changed, ""), "N/A", "N/A", "N/A"}
			if last, ok := c.told(k); ok {
				s[2], s[3], s[4] = when(last.at, ""), last.region, last.service
			}
			slots[k.slot-1] = s
		}
		_ = w.Write(slices.Concat(row, slots[0], slots[1], []string{"false", "N/A", "false", "N/A"}))
	}
	w.Flush()
	return b.Bytes()
}
