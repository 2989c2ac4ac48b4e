// Package inventory is the store of what others issued and of what was found about it: of
// packages accesskey, checkup, expiry, finding, exposure, subscription and watch.
//
// What people say (sources, remarks, suppressions, watched repositories, subscriptions) is bound. What
// providers tell, and what looks find, is not: the next synchronisation or look says it again.
// A snapshot may hold tens of thousands of keys, so most of it is written in transactions
// before the one with the record; each holds the source's row, so that the source, and what is
// said of its keys, stays what was read.
package inventory

import "github.com/keyward/keyward/internal/store/bound"

// Tables answers the tables of this package, those first that others refer to.
func Tables() []bound.Table {
	const told = "what a provider told, which the next synchronisation says again; docs/design/inventory.md"
	return []bound.Table{
		bound.TableOf(sourceRow), bound.TableOf(remarkRow), bound.TableOf(suppressionRow), bound.TableOf(leakKeyRow), bound.TableOf(repositoryRow), bound.TableOf(subscriptionRow),
		bound.OpenTable("accesskey", told),
		bound.OpenTable("accesskey_principal", told),
		bound.OpenTable("accesskey_state", told),
		bound.OpenTable("accesskey_check", "how the last check went; the next one says it again"),
		bound.OpenTable("calendar_fetch", "when a link was last followed, which the audit log tells, too"),
		bound.OpenTable("expiry_scan", "the next scan says it again"),
		bound.OpenTable("finding", "what was found, which the next check says again; what people decided is bound"),
		bound.OpenTable("leak_sighting", "what was reported, which the next report says again; docs/design/scan.md"),
		bound.OpenTable("watch_state", "how the last look at a repository went; who writes it can have one that is unchanged since not be searched; docs/design/scan.md"),
	}
}
