package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/finding"
)

// rootKey is AK01: a key of the account itself, switched off or not.
func rootKey(e *Exam) verdict {
	keys := 0
	for _, h := range e.holders {
		if h.Kind == accesskey.Root {
			keys += h.keys
		}
	}
	switch {
	case keys > 0:
		return yes(finding.Critical, fact("root-keys", strconv.Itoa(keys)))
	case e.st.State.Facts.RootKey == accesskey.Yes:
		return yes(finding.Critical)
	case e.st.State.Facts.RootKey == accesskey.Unknown:
		return dunno
	}
	return no
}

// Ages of what is known of a paused provider, from which on that is a finding, and a worse one.
const (
	pausedWeek  = 7 * day
	pausedMonth = 30 * day
)

// paused is AK31: a provider that nobody reads, and that somebody may have forgotten.
func paused(e *Exam) verdict {
	since := e.st.State.SucceededAt
	switch age := e.now.Sub(since); {
	case !e.st.Source.Paused || age <= pausedWeek:
		return no
	case age <= pausedMonth:
		return yes(finding.Low, moment("since", since))
	default:
		return yes(finding.Medium, moment("since", since))
	}
}

// of makes a check of a fact about the account.
func of(tell func(accesskey.Account) accesskey.Fact, severity finding.Severity) func(*Exam) verdict {
	return func(e *Exam) verdict {
		switch tell(e.st.State.Facts) {
		case accesskey.No:
			return yes(severity)
		case accesskey.Yes:
			return no
		}
		return dunno
	}
}

// weakPasswords is AK28. Each rule of the password policy counts only if it is told.
func weakPasswords(e *Exam) verdict {
	detail := e.st.State.Facts.Detail
	if detail["password_policy"] == "none" {
		return yes(finding.Low, fact("password-policy", "none"))
	}
	var weak []string
	told := false
	least := func(name string, limit int) {
		n, err := strconv.Atoi(detail[name])
		if err != nil {
			return
		}
		told = true
		if n < limit {
			weak = append(weak, fmt.Sprintf("%s %d < %d", strings.TrimPrefix(name, "password_"), n, limit))
		}
	}
	least("password_min_length", e.t.PasswordLength)
	least("password_reuse_prevention", e.t.PasswordReuse)
	least("password_max_attempts", 1) // 0 is any number
	switch {
	case len(weak) > 0:
		slices.Sort(weak)
		return yes(finding.Low, fact("password-policy", strings.Join(weak, ", ")))
	case !told:
		return dunno
	}
	return no
}
