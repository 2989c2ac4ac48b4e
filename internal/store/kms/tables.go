// Package kms is the store of keys and secrets and of what stands on them: of packages key,
// instance, secret, sink, offer and usage, and the marks of secrets that package exposure
// compares. They are one package because a key goes with its versions, aliases, resources and
// counts, a key's instance is held while the key is made, and a secret's version goes with its
// marks.
//
// Values are here as they were wrapped; nothing here can open them.
package kms

import "github.com/keyward/keyward/internal/store/bound"

// Tables answers the tables of this package, those first that others refer to.
func Tables() []bound.Table {
	return []bound.Table{
		bound.TableOf(keyRow), bound.TableOf(keyVersionRow), bound.TableOf(aliasRow), bound.TableOf(instanceRow), bound.TableOf(resourceRow),
		bound.TableOf(secretRow), bound.TableOf(secretVersionRow), bound.TableOf(secretPolicyRow), bound.TableOf(sinkRow), bound.TableOf(copyRow), bound.TableOf(offerRow),
		bound.TableOf(useRow),
		bound.TableOf(versionUseRow),
		bound.OpenTable("key_use_since", "for people"),
		bound.TableOf(secretMarkRow),
	}
}
