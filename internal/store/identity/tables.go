// Package identity is the store of accounts and of those who act in them: of package iam
// (accounts, users, access keys, policies), of people, role and federation below it, and of
// approvals, which rest on the revisions of users.
//
// Two things that may not both happen meet in a row that both write first: whoever deletes a
// user, and whoever gives it a key, a login or a link, take turns at the user's row.
//
// It stands on package kms besides, because whoever makes a user or a role must find, in the
// same transaction, that no policy of a key or a secret names somebody of that name.
package identity

import "github.com/keyward/keyward/internal/store/bound"

// Tables answers the tables of this package, those first that others refer to.
func Tables() []bound.Table {
	return []bound.Table{
		bound.TableOf(accountRow), bound.TableOf(policyRow), bound.TableOf(userRow), bound.TableOf(accessKeyRow), bound.TableOf(roleRow),
		bound.TableOf(loginRow), bound.TableOf(identityProviderRow), bound.TableOf(linkRow), bound.TableOf(approvalRuleRow), bound.TableOf(approvalRow),
		bound.TableOf(ceremonyRow),
		bound.OpenTable("iam_access_key_use", "for people; every use is in the audit log"),
		bound.OpenTable("login_limit", "who writes it can try more passwords, and use a code twice in its minute; docs/design/people.md"),
	}
}
