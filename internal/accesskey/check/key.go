package check

import (
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/finding"
)

// since answers from when on a key certainly existed, and whether it was made then. A key
// whose age nobody tells is as old as the inventory's knowledge of it, at least.
func since(k *accesskey.AccessKey) (at time.Time, exact bool) {
	if k.Observed.CreatedAt.IsZero() {
		return k.SeenFirst, false
	}
	return k.Observed.CreatedAt, true
}

// sinceFact tells the same as evidence.
func sinceFact(at time.Time, exact bool) (name string, when time.Time) {
	if exact {
		return "created", at
	}
	return "first-seen", at
}

// rootUsed is AK02.
func rootUsed(e *Exam, k *accesskey.AccessKey) verdict {
	use := k.Observed.Use
	switch {
	case k.Observed.Status != accesskey.Active || k.Principal.ID == "":
		return no
	case k.Principal.Kind == "":
		return dunno
	case k.Principal.Kind != accesskey.Root || use.Known == accesskey.No:
		return no
	case use.Known == accesskey.Unknown:
		return dunno
	case e.now.Sub(use.At) > e.t.RootUse:
		return no
	}
	return yes(finding.Critical, moment("used", use.At))
}

// tooOld is AK03. A certificate tells itself when it ends; nothing is gained by changing
// it before.
func tooOld(e *Exam, k *accesskey.AccessKey) verdict {
	if k.Observed.Status != accesskey.Active || k.Observed.Expiry.Basis == accesskey.Certificate {
		return no
	}
	limit, old := e.t.MaxAge, e.t.OldAge
	if own := e.st.Source.MaxAge; own > 0 {
		limit, old = own, 2*own
	}
	at, exact := since(k)
	age := e.now.Sub(at)
	switch {
	case age <= limit && exact:
		return no
	case age <= limit:
		return dunno
	}
	severity := finding.Medium
	if age > old {
		severity = finding.High
	}
	return yes(severity, moment(sinceFact(at, exact)), days("limit-days", limit))
}

// unused is AK04. The provider's knowledge is behind by as much as it says: for so long
// the key may have been used without anybody's knowing.
func unused(e *Exam, k *accesskey.AccessKey) verdict {
	use := k.Observed.Use
	switch {
	case k.Observed.Status != accesskey.Active || use.Known == accesskey.No:
		return no
	case use.Known == accesskey.Unknown:
		return dunno
	}
	idle := e.now.Sub(use.At.Add(use.Lag))
	switch {
	case idle <= e.t.Unused:
		return no
	case idle <= e.t.LongUnused:
		return yes(finding.Medium, moment("used", use.At), days("limit-days", e.t.Unused))
	}
	return yes(finding.High, moment("used", use.At), days("limit-days", e.t.LongUnused))
}

// neverUsed is AK05.
func neverUsed(e *Exam, k *accesskey.AccessKey) verdict {
	use := k.Observed.Use
	switch {
	case k.Observed.Status != accesskey.Active || use.Known == accesskey.Yes:
		return no
	case use.Known == accesskey.Unknown:
		return dunno
	}
	at, exact := since(k)
	if e.now.Sub(at.Add(use.Lag)) <= e.t.Grace {
		if exact {
			return no
		}
		return dunno
	}
	return yes(finding.Medium, moment(sinceFact(at, exact)), days("grace-days", e.t.Grace))
}

// leftOver is AK06. Where nobody tells when the key was switched off, nobody can have
// needed it since it was last used, or made if it never was.
func leftOver(e *Exam, k *accesskey.AccessKey) verdict {
	if k.Observed.Status != accesskey.Inactive {
		return no
	}
	name, at := "changed", k.Observed.ChangedAt
	if at.IsZero() {
		switch k.Observed.Use.Known {
		case accesskey.Yes:
			name, at = "used", k.Observed.Use.At.Add(k.Observed.Use.Lag)
		case accesskey.No:
			name, at = "created", k.Observed.CreatedAt
		}
	}
	switch {
	case at.IsZero():
		return dunno
	case e.now.Sub(at) <= e.t.Inactive:
		return no
	}
	return yes(finding.Low, moment(name, at), days("limit-days", e.t.Inactive))
}

// unusedSinceChange is AK08: somebody rotated or enabled it, and nobody followed.
func unusedSinceChange(e *Exam, k *accesskey.AccessKey) verdict {
	use, changed := k.Observed.Use, k.Observed.ChangedAt
	switch {
	case k.Observed.Status != accesskey.Active || use.Known == accesskey.No:
		return no
	case use.Known == accesskey.Unknown || changed.IsZero():
		return dunno
	case !use.At.Add(use.Lag).Before(changed) || e.now.Sub(changed.Add(use.Lag)) <= e.t.Grace:
		return no
	}
	return yes(finding.Low, moment("changed", changed), moment("used", use.At))
}

// madeAtSetUp is AK10.
func madeAtSetUp(e *Exam, k *accesskey.AccessKey) verdict {
	p := k.Principal
	switch {
	case k.Observed.Status != accesskey.Active || p.Console == accesskey.No || p.Kind == accesskey.Root || p.ID == "":
		return no
	case p.Console == accesskey.Unknown || p.CreatedAt.IsZero() || k.Observed.CreatedAt.IsZero():
		return dunno
	case k.Observed.CreatedAt.Sub(p.CreatedAt).Abs() > e.t.SetUp:
		return no
	}
	return yes(finding.Low, moment("created", k.Observed.CreatedAt), moment("user-created", p.CreatedAt))
}

// unremarked is AK16.
func unremarked(_ *Exam, k *accesskey.AccessKey) verdict {
	if k.Observed.Status != accesskey.Active {
		return no
	}
	var missing []string
	for _, part := range []struct {
		name    string
		missing bool
	}{
		{"owner", k.Owner == ""}, {"purpose", k.Remark.Purpose == ""}, {"system", k.Remark.System == ""},
		{"expiry", k.Due.At.IsZero() && !k.Remark.Permanent},
	} {
		if part.missing {
			missing = append(missing, part.name)
		}
	}
	if missing == nil {
		return no
	}
	severity := finding.Low
	if k.Owner == "" {
		severity = finding.Medium
	}
	return yes(severity, fact("missing", strings.Join(missing, ", ")))
}
