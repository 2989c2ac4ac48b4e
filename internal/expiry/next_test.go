package expiry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/expiry"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/oncall"
	"github.com/keyward/keyward/internal/rotation/phrase"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A desk is an account with one key, and what is told of it.
type desk struct {
	expiry.Incidents
	key   accesskey.AccessKey
	now   time.Time
	of    []accesskey.Standing // providers
	told  map[string]notify.Condition
	saved expiry.Scan
}

func (d *desk) SaveScan(_ context.Context, s expiry.Scan) error {
	d.saved = s
	return nil
}
func (d *desk) CountKeys(context.Context, string) (int, error) { return 1, nil }
func (d *desk) LastScan(context.Context, string) (expiry.Scan, error) {
	return expiry.Scan{At: d.now, NearAt: d.now}, nil
}
func (d *desk) Ladder(context.Context, string) (oncall.Plan, error)             { return oncall.DefaultPlan(), nil }
func (d *desk) Standings(context.Context, string) ([]accesskey.Standing, error) { return d.of, nil }
func (d *desk) Each(_ context.Context, _ string, _ time.Time, fn func(accesskey.AccessKey) error) error {
	return fn(d.key)
}
func (d *desk) Reconcile(_ context.Context, _ string, _ func(string) bool, conditions map[string]notify.Condition) error {
	d.told = conditions
	return nil
}

// TestNextCommand: who is told of a key that expires is told what to do, in words of both
// languages, and by a command that can be pasted whatever the provider calls its keys.
func TestNextCommand(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, plan, key, principal, secret string
		underWay                           bool
		advice, fix                        string
	}{
		{name: "planned", key: "AK1", plan: "pay", advice: "planned", fix: "keyward rotation start pay"},
		{name: "under way", key: "AK1", plan: "pay", underWay: true, advice: "under-way", fix: "keyward rotation status pay"},
		{name: "unplanned", key: "AK1", principal: "shop", advice: "unplanned", fix: "keyward rotation plan create NAME --provider prod --principal shop --secret SECRET --key AK1"},
		{name: "entered", key: "$(reboot)", secret: "pay/it's", advice: "unplanned", fix: `keyward rotation plan create NAME --provider prod --principal PRINCIPAL --secret 'pay/it'\''s' --key '$(reboot)'`},
	} {
		d := &desk{now: now, key: accesskey.AccessKey{Account: "a", Source: "prod", Observed: accesskey.Observed{
			ID: c.key, Principal: c.principal, Detail: map[string]string{"secret": c.secret}, Expiry: accesskey.Expiry{At: now.Add(48 * time.Hour), Basis: accesskey.Provided},
		}}}
		scans := expiry.New(expiry.Options{Store: d, Inventory: d, Incidents: d, Now: func() time.Time { return now }, Replacing: func(_ context.Context, account, source, key string) (string, bool, error) {
			if account != "a" || source != "prod" || key != c.key {
				t.Errorf("%s: it asks for %s %s %s", c.name, account, source, key)
			}
			return c.plan, c.underWay, nil
		}})
		if _, err := scans.Handlers()[expiry.JobScan](t.Context(), job.Job{Account: "a"}); err != nil {
			t.Fatal(err)
		}
		facts := map[string]string{}
		for _, f := range d.told["expiry/prod/"+c.key].Facts {
			facts[f.Name] = f.Value
		}
		if diff := cmp.Diff([]string{c.advice, c.fix}, []string{facts["advice"], facts["fix"]}); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if said := phrase.Fact("advice", c.advice); said.English == c.advice || said.Chinese == said.English {
			t.Errorf("%s: it is said as %q and %q", c.name, said.English, said.Chinese)
		}
	}
}

// A key whose plan cannot be read is told of all the same, without a command; the scan counts as
// one that did not end, so that its age goes on growing and somebody is told of that, too.
func TestToldWithoutItsPlan(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	d := &desk{now: now.Add(-time.Hour), key: accesskey.AccessKey{Account: "a", Source: "prod", Observed: accesskey.Observed{
		ID: "AK1", Expiry: accesskey.Expiry{At: now.Add(48 * time.Hour), Basis: accesskey.Provided},
	}}}
	node := storetest.Start(t, storetest.Options{URL: storetest.SQLite(t), Origin: "keyward/test", Keys: sealtest.Keyring(t)})
	damaged := errors.New("a row is not what keyward wrote")
	scans := expiry.New(expiry.Options{
		Store: d, Inventory: d, Incidents: d, Log: node.Log, Now: func() time.Time { return now },
		Replacing: func(context.Context, string, string, string) (string, bool, error) { return "", false, damaged },
	})
	if _, err := scans.Handlers()[expiry.JobScan](t.Context(), job.Job{Account: "a"}); !errors.Is(err, damaged) {
		t.Errorf("the scan answers %v", err)
	}
	if _, told := d.told["expiry/prod/AK1"]; !told {
		t.Error("nobody is told that the key expires")
	}
	if d.saved.Error == "" || d.saved.Chinese != "到期扫描未能完成；原因见服务器日志" || !d.saved.At.Equal(d.now) || !d.saved.NearAt.Equal(d.now) {
		t.Errorf("the scan counts as %+v", d.saved)
	}
}

// Why a provider was not read is told in the reader's language.
func TestStaleProviderSaysWhy(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	d := &desk{now: now, of: []accesskey.Standing{{
		Source: accesskey.Source{Account: "a", Name: "prod", CreatedAt: now.AddDate(0, -1, 0)},
		State:  accesskey.State{Error: "the credential was refused", Chinese: "凭证被拒绝"},
	}}}
	node := storetest.Start(t, storetest.Options{URL: storetest.SQLite(t), Origin: "keyward/test", Keys: sealtest.Keyring(t)})
	scans := expiry.New(expiry.Options{Store: d, Inventory: d, Incidents: d, Log: node.Log, Now: func() time.Time { return now },
		Replacing: func(context.Context, string, string, string) (string, bool, error) { return "", false, nil }})
	if _, err := scans.Handlers()[expiry.JobScan](t.Context(), job.Job{Account: "a"}); err != nil {
		t.Fatal(err)
	}
	told, found := d.told["provider/prod"]
	if !found {
		t.Fatalf("told is %v", d.told)
	}
	reason := told.Facts[1]
	if en, zh := reason.Text(message.English), reason.Text(message.Chinese); en != "the credential was refused" || zh != "凭证被拒绝" {
		t.Errorf("the reason is %q and %q", en, zh)
	}
}
