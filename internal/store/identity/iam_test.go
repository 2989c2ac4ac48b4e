package identity_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/storetest"
)

func TestIAM(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		nodes := 0
		keys := sealtest.Keyring(t)
		storetest.IAM(t, func(t *testing.T) (pair [2]iam.Store) {
			for i := range pair {
				nodes++
				if i == 1 && strings.HasPrefix(url, "sqlite:") {
					return [2]iam.Store{pair[0], pair[0]} // it serves one node
				}
				pair[i] = identity.Store{Store: storetest.Start(t, storetest.Options{URL: url, Origin: fmt.Sprintf("keyward/%d", nodes), Keys: keys}).Store}
			}
			return pair
		})
	})
}

func TestRoles(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		n := storetest.Start(t, storetest.Options{URL: url, Origin: "keyward/a", Keys: sealtest.Keyring(t)})
		storetest.Roles(t, func(*testing.T) storetest.RoleStore { return identity.Store{Store: n.Store} })
	})
}

// An account takes as many users and policies as it may have, and not one more.
func TestAccountLimits(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		n := identity.Store{Store: storetest.Start(t, storetest.Options{URL: url, Origin: "keyward/a", Keys: sealtest.Keyring(t)}).Store}
		for _, fill := range []struct {
			query string
			rows  int
		}{
			{`INSERT INTO iam_user (account, name, kind, remark, enabled, policies, created_at, rev, mac_epoch, mac)
				SELECT '1', 'u' || n, 'user', '', 1, '[]', 0, 1, 1, $2 FROM numbers`, iam.MaxUsers - 1},
			{`INSERT INTO iam_policy (account, name, description, document, created_at, updated_at, rev, mac_epoch, mac)
				SELECT '1', 'p' || n, '', '', 0, 0, 1, 1, $2 FROM numbers`, iam.MaxPolicies - 1},
		} {
			numbers := `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < CAST($1 AS BIGINT)) `
			if _, err := storetest.Raw(t, url).ExecContext(t.Context(), numbers+fill.query, fill.rows, []byte{}); err != nil {
				t.Fatal(err)
			}
		}
		for i, want := range []fault.Kind{"", fault.LimitExceeded} {
			name := string(rune('a' + i))
			user := &iam.User{Account: "1", Name: name, Kind: authz.User, CreatedAt: time.Unix(1, 0)}
			if err := n.CreateUser(t.Context(), storetest.Record("ram:CreateUser"), user); fault.KindOf(err) != want {
				t.Errorf("user %s: %v, want %q", name, err, want)
			}
			policy := &iam.Policy{Account: "1", Name: name, CreatedAt: time.Unix(1, 0)}
			if err := n.CreatePolicy(t.Context(), storetest.Record("ram:CreatePolicy"), policy); fault.KindOf(err) != want {
				t.Errorf("policy %s: %v, want %q", name, err, want)
			}
		}
	})
}
