// Package store says where everything that keyward keeps is kept: which package owns which
// table of the database. All SQL of the product is in the packages below this one, and each
// table is written by one of them.
//
//	kms  inventory  identity  fleet  alerts  root      the stores that domain packages declare
//	                    bound                          rows with their MAC, revision and anchor; jobs
//	                   database                        SQLite or PostgreSQL; the audit log; the root
//
// A store stands on bound and database and on none of the others, but for identity, whose
// transaction that makes a user or a role looks into the policies that kms keeps. A plan of
// fleet and a provider of inventory look for each other, in SQL alone. Whoever
// puts the server together opens a database, makes a [bound.Store] of it with [Tables], and
// gives that to each store: kms.Store{Store: s}.
//
// To add a table, write its migrations (database/schema, both dialects), describe its row in
// the package that is to own it, and name it in that package's Tables. The tests of this
// package fail for a table that nobody owns, a column that is not bound, and a statement that
// writes a table of another package.
package store

import (
	"maps"
	"slices"

	"github.com/keyward/keyward/internal/store/alerts"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
	"github.com/keyward/keyward/internal/store/fleet"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/inventory"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/root"
)

// An Owner is a package with the tables that it alone writes.
type Owner struct {
	Package string // its last element
	Tables  []bound.Table
}

// Owners answers all of them, those first whose rows others refer to.
func Owners() []Owner {
	return []Owner{
		{"database", ofDatabase()},
		{"bound", bound.Tables()},
		{"identity", identity.Tables()},
		{"kms", kms.Tables()},
		{"root", root.Tables()},
		{"inventory", inventory.Tables()},
		{"fleet", fleet.Tables()},
		{"alerts", alerts.Tables()},
	}
}

// Tables answers all tables of the product.
func Tables() []bound.Table {
	var all []bound.Table
	for _, o := range Owners() {
		all = append(all, o.Tables...)
	}
	return all
}

func ofDatabase() []bound.Table {
	reasons := database.Tables()
	var all []bound.Table
	for _, name := range slices.Sorted(maps.Keys(reasons)) {
		all = append(all, bound.OpenTable(name, reasons[name]))
	}
	return all
}
