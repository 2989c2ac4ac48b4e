package check

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/notify"
)

// most is how many names evidence has of what there are many of.
const most = 5

func days(name string, d time.Duration) notify.Fact {
	return fact(name, strconv.FormatFloat(d.Hours()/24, 'f', -1, 64))
}

// some names a few of many.
func some(names []string) string {
	if more := len(names) - most; more > 0 {
		return strings.Join(names[:most], ", ") + " +" + strconv.Itoa(more)
	}
	return strings.Join(names, ", ")
}

func (h *holder) ids() notify.Fact {
	var ids []string
	for _, k := range h.active {
		ids = append(ids, k.id)
	}
	return fact("keys", some(ids))
}

// person tells whether it is somebody who can be given rights and a password.
func (h *holder) person() bool { return h.Kind == accesskey.User || h.Kind == accesskey.Collaborator }

// overlap is AK07. Where a principal may have any number of keys, each is a program's own.
func overlap(e *Exam, h *holder) verdict {
	quota := e.st.State.Facts.Quota
	switch {
	case len(h.active) < 2 || h.Kind == accesskey.Program:
		return no
	case quota == 0 || h.active[0].made.IsZero(): // the oldest come first, and those that nobody tells of before them
		return dunno
	case e.now.Sub(h.active[1].made) <= e.t.Overlap:
		return no
	}
	return yes(finding.Medium, h.ids(), moment("newer-created", h.active[1].made), days("limit-days", e.t.Overlap))
}

// mixed is AK09.
func mixed(_ *Exam, h *holder) verdict {
	switch {
	case len(h.active) == 0 || h.Kind == accesskey.Root || h.Console == accesskey.No:
		return no
	case !h.person() || h.Console == accesskey.Unknown:
		return dunno
	}
	return yes(finding.Medium, h.ids())
}

// granted picks the grants of an API user that match. It is unknown whether somebody
// whose grants were not read has any.
func granted(h *holder, match func(accesskey.Grant) bool) (names []string, v verdict) {
	switch {
	case len(h.active) == 0 || h.Kind == accesskey.Root:
		return nil, no
	case h.Grants == nil:
		return nil, dunno
	}
	for _, g := range h.Grants {
		if !match(g) {
			continue
		}
		name := g.Name
		if g.Via != "" {
			name += " (" + g.Via + ")"
		}
		names = append(names, name)
	}
	return names, no
}

func (h *holder) admin() bool {
	return slices.ContainsFunc(h.Grants, func(g accesskey.Grant) bool { return g.Admin })
}

// administrator is AK11. A boundary may take away what the policy gives.
func administrator(_ *Exam, h *holder) verdict {
	names, v := granted(h, func(g accesskey.Grant) bool { return g.Admin })
	if len(names) == 0 {
		return v
	}
	facts := []notify.Fact{h.ids(), fact("policies", some(names))}
	if h.Boundary != "" {
		return yes(finding.Medium, append(facts, fact("boundary", h.Boundary))...)
	}
	return yes(finding.High, facts...)
}

// direct is AK12. keyward itself has no groups.
func direct(e *Exam, h *holder) verdict {
	if e.st.Source.Kind == own {
		return no
	}
	names, v := granted(h, func(g accesskey.Grant) bool { return g.Via == "" })
	if len(names) == 0 {
		return v
	}
	return yes(finding.Low, fact("policies", some(names)))
}

const own = "keyward"

// identity are the services that give rights: who has one wholly gives all to himself.
var identity = []string{"cam", "iam", "ram", "ims"}

// escalating are the vendors' policies that do so by name.
var escalating = []string{"QcloudCamFullAccess", "AliyunRAMFullAccess", "IAMFullAccess"}

// escalation is AK13, for whole services; who has all rights is AK11's.
func escalation(_ *Exam, h *holder) verdict {
	names, v := granted(h, func(g accesskey.Grant) bool {
		wide := slices.ContainsFunc(g.Wide, func(service string) bool { return slices.Contains(identity, strings.ToLower(service)) })
		return wide || slices.ContainsFunc(escalating, func(name string) bool { return strings.EqualFold(name, g.Name) })
	})
	if len(names) == 0 || h.admin() {
		return v
	}
	return yes(finding.High, h.ids(), fact("policies", some(names)))
}

// wideAndIdle is AK14, as far as the last uses of keys tell.
func wideAndIdle(e *Exam, h *holder) verdict {
	names, v := granted(h, func(g accesskey.Grant) bool { return len(g.Wide) > 0 })
	if len(names) == 0 || h.admin() {
		return v
	}
	var last time.Time
	for _, k := range h.active {
		at := k.use.At.Add(k.use.Lag)
		if k.use.Known == accesskey.No {
			at = k.made
		}
		if k.use.Known == accesskey.Unknown || at.IsZero() {
			return dunno
		}
		if at.After(last) {
			last = at
		}
	}
	if e.now.Sub(last) <= e.t.LongUnused {
		return no
	}
	return yes(finding.Medium, h.ids(), fact("policies", some(names)), moment("used", last), days("limit-days", e.t.LongUnused))
}

// unguarded is AK19. Some clouds tell of no guard of operations; the guard of logins
// decides there, unless the answer is missing because it could not be read.
func unguarded(e *Exam, h *holder) verdict {
	if h.Disabled == accesskey.Yes || h.Kind == accesskey.Root {
		return no
	}
	var off []string
	severity := finding.Medium
	if h.Console == accesskey.Yes && h.ConsoleMFA == accesskey.No {
		off, severity = append(off, "login"), finding.High
	}
	if h.ActionMFA == accesskey.No && (h.Console == accesskey.Yes || len(h.active) > 0) {
		off = append(off, "operations")
	}
	switch {
	case len(off) > 0:
		return yes(severity, fact("off", strings.Join(off, ", ")))
	case h.Console == accesskey.Unknown || h.Console == accesskey.Yes && h.ConsoleMFA == accesskey.Unknown,
		h.ActionMFA == accesskey.Unknown && e.problems[h.ID]:
		return dunno
	}
	return no
}

// departed is AK21.
func departed(_ *Exam, h *holder) verdict {
	switch {
	case len(h.active) == 0 || h.Kind == accesskey.Root:
		return no
	case h.Kind == accesskey.Collaborator:
		return yes(finding.High, h.ids(), fact("reason", "collaborator"))
	case h.Disabled == accesskey.Yes:
		return yes(finding.High, h.ids(), fact("reason", "disabled"))
	case h.Disabled == accesskey.Unknown || h.Kind == "":
		return dunno
	}
	return no
}

// idleUser is AK29. A zero login may be one that nobody tells of.
func idleUser(e *Exam, h *holder) verdict {
	switch {
	case h.Kind == accesskey.Root || h.Console == accesskey.No || h.Disabled == accesskey.Yes:
		return no
	case h.Console == accesskey.Unknown || h.ConsoleAt.IsZero():
		return dunno
	case e.now.Sub(h.ConsoleAt) <= e.t.ConsoleIdle:
		return no
	}
	return yes(finding.Low, moment("login", h.ConsoleAt), days("limit-days", e.t.ConsoleIdle))
}
