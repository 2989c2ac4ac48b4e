// Package alerts is the store of package notify: channels, plans, people, rotas and incidents,
// which are bound, and what was and is to be sent, which is not.
//
// A delivery is made in the transaction of the incident that needs it, and marked later
// without a record: who forges one drops or repeats a message, and changes no incident.
package alerts

import "github.com/keyward/keyward/internal/store/bound"

// Tables answers the tables of this package, those first that others refer to.
func Tables() []bound.Table {
	return []bound.Table{
		bound.TableOf(channelRow), bound.TableOf(planRow), bound.TableOf(personRow), bound.TableOf(rotaRow), bound.TableOf(incidentRow),
		bound.OpenTable("notify_health", "what the channel does next says it again"),
		bound.OpenTable("notify_delivery", "who writes it can drop or repeat messages, and can change no incident"),
	}
}
