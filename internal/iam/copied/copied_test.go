package copied_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/iam/copied"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/inventory"
	"github.com/keyward/keyward/internal/store/storetest"
)

const account = "1000000000000001"

// told is who is told of conditions, and keeps the last ones.
type told struct{ subjects []string }

func (i *told) Reconcile(_ context.Context, _ string, _ func(string) bool, conditions map[string]notify.Condition) error {
	i.subjects = nil
	for _, c := range conditions {
		i.subjects = append(i.subjects, c.Subject)
	}
	slices.Sort(i.subjects)
	return nil
}

// What is reported is a finding of its own key, of which people are told, until a person says
// that it is over; the next report opens it again.
func TestReport(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		clock := func() time.Time { return now }
		node := storetest.Start(t, storetest.Options{URL: url, Origin: "keyward/test", Keys: sealtest.Keyring(t), Now: clock})
		shelf, people := inventory.Findings{Store: node.Store}, &told{}
		inbox := finding.New(finding.Options{
			Store: shelf, Ledger: shelf, Incidents: people, Rules: copied.Rules(), Log: node.Log, Region: "cn-test", Now: clock,
			Follow: func(string, time.Time) []job.Job { return nil },
		})
		report := func(user, key string, want ...string) {
			t.Helper()
			now = now.Add(time.Minute)
			if err := copied.Report(t.Context(), inbox, account, user, key, now); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, people.subjects); diff != "" {
				t.Errorf("told of (-want +have)\n%s", diff)
			}
		}
		report("alice", "blue", "principal/alice/blue")
		report("bob", "red", "principal/alice/blue", "principal/bob/red")
		id := finding.Name(copied.Source, "LG01", finding.Subject{Kind: finding.Principal, ID: "alice/blue"})
		root := &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.Root, Name: "root"}, Time: now}
		f, err := inbox.Resolve(t.Context(), root, id)
		if err != nil {
			t.Fatal(err)
		}
		rule := inbox.Rule(f.Rule)
		if fix := rule.Advice(&f); fix.Command == "" || f.Severity != finding.Critical {
			t.Errorf("the finding %+v is advised %+v", f, fix)
		}
		report("bob", "red", "principal/bob/red")
		report("alice", "blue", "principal/alice/blue", "principal/bob/red")
	})
}
