// Package copied finds security keys that may have been copied: a key counts what it signs,
// and one that counts backwards is there twice. Package people refuses the answer and tells
// this package, which hands a finding in. Nothing shows that it is over: a person says so, when
// the key is removed, and the next answer of that kind opens the finding again. It stores
// nothing itself.
package copied

import (
	"context"
	"time"

	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/notify"
)

// Source is the finding.Finding.Source of what this package finds.
const Source = "logins"

// copiedKey is the rule, for ever.
const copiedKey = "LG01"

// Rules answers what this package finds.
func Rules() []finding.Rule {
	return []finding.Rule{{
		ID: copiedKey, Source: Source, Severity: finding.Critical,
		Title: form.Text{English: "A security key counted backwards", Chinese: "安全密钥的签名计数倒退"},
		Why: form.Text{
			English: "Each use is counted in the key, so that somebody else may have a copy of it. What it signed was refused. The finding opens again when that happens again.",
			Chinese: "密钥会记录每次使用，计数倒退说明可能有人持有副本。该次签名已被拒绝；再次发生时会重新打开。",
		},
		Fixes: []finding.Fix{{
			Command: "keyward user mfa remove {user} --factor {security-key}",
			Text:    form.Text{English: "Ask its owner where the key is, remove it, add another one, then say that it is resolved.", Chinese: "向其所有者核实密钥的去向，移除后添加新的安全密钥，然后标记为已解决。"},
		}},
	}}
}

// Report hands in that a user's security key counted backwards, and has people told.
func Report(ctx context.Context, to *finding.Service, account, user, key string, now time.Time) error {
	_, err := to.Reconcile(ctx, finding.Batch{
		Account: account, Source: Source, At: now, ReadAt: now,
		Found: []finding.Finding{{
			Rule: copiedKey, Subject: finding.Subject{Kind: finding.Principal, ID: user + "/" + key, Name: user}, Severity: finding.Critical, Owner: user,
			Evidence: []notify.Fact{{Name: "user", Value: user}, {Name: "security-key", Value: key}},
		}},
		Unknown: func(string, finding.Subject) bool { return true }, // of other keys it tells nothing
	})
	if err != nil {
		return err
	}
	_, err = to.Announce(ctx, account)
	return err
}
