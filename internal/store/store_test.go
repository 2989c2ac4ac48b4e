package store_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store"
	"github.com/keyward/keyward/internal/store/alerts"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
	"github.com/keyward/keyward/internal/store/fleet"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/inventory"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/root"
	"github.com/keyward/keyward/internal/store/storetest"
)

// stored answers the columns of each table that a new database has.
func stored(t *testing.T) map[string][]string {
	t.Helper()
	url := storetest.SQLite(t)
	db, err := database.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := storetest.Raw(t, url).QueryContext(t.Context(),
		`SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' ORDER BY m.name, c.cid`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[string][]string{}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			t.Fatal(err)
		}
		out[table] = append(out[table], column)
	}
	return out
}

// Every table has one owner, and every column of it is bound by the row's MAC, or by something
// else that the owner says. That both databases have the same tables, package database holds.
func TestEveryColumnIsBound(t *testing.T) {
	have, want, owners := stored(t), map[string][]string{}, map[string]string{}
	for _, o := range store.Owners() {
		for _, table := range o.Tables {
			if other := owners[table.Name]; other != "" {
				t.Errorf("%s belongs to %s and to %s", table.Name, other, o.Package)
			}
			owners[table.Name] = o.Package
			switch {
			case len(table.Columns) > 0:
				want[table.Name] = append(table.Columns, "rev", "mac_epoch", "mac")
				slices.Sort(want[table.Name]) // what was added later stands at the end
				slices.Sort(have[table.Name])
			case table.Why == "":
				t.Errorf("nothing says why %s is not bound", table.Name)
			case table.Name != "nonce": // of PostgreSQL only
				want[table.Name] = have[table.Name]
			}
		}
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("-owned and bound +stored\n%s", diff)
	}
}

// A table is written by its owner alone, so that who wants to know what becomes of a row reads
// one package.
func TestTablesAreWrittenByTheirOwners(t *testing.T) {
	owners := map[string]string{}
	for _, o := range store.Owners() {
		for _, table := range o.Tables {
			owners[table.Name] = o.Package
		}
	}
	writes := regexp.MustCompile(`(?:INSERT INTO|DELETE FROM|UPDATE|LOCK TABLE) (\w+)`)
	found := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "storetest") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			text, ok := n.(*ast.BasicLit)
			if !ok || text.Kind != token.STRING {
				return true
			}
			statement, err := strconv.Unquote(text.Value)
			if err != nil {
				t.Error(err)
			}
			for _, m := range writes.FindAllStringSubmatch(statement, -1) {
				owner, table := owners[m[1]], m[1]
				if owner == "" { // another word, such as SET
					continue
				}
				found[table] = true
				if of := filepath.Base(filepath.Dir(path)); of != owner {
					t.Errorf("%s writes %s, which belongs to %s", path, table, owner)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 20 {
		t.Errorf("found statements for only %d tables", len(found))
	}
}

// A floor is there for rows whose key may be used again, and each such row has one: without it a
// row that is made anew looks as if it had been put back to an older state.
func TestRowsThatComeAgainHaveAFloor(t *testing.T) {
	reused := map[string]bool{"rollout_generation": true} // numbers, not rows
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`Table: "(\w+)", [^\n]*Reused: true`).FindAllSubmatch(text, -1) {
			reused[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	url, floors := storetest.SQLite(t), map[string]bool{}
	db, err := database.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := storetest.Raw(t, url).QueryContext(t.Context(), `SELECT name FROM row_floor`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		floors[name] = true
	}
	if diff := cmp.Diff(reused, floors); diff != "" {
		t.Errorf("-rows that come again +floors\n%s", diff)
	}
}

// Whatever is asked of a database that does not answer, callers are told to try again: who
// is told of an internal error gives up.
func TestDatabaseThatDoesNotAnswer(t *testing.T) {
	n := storetest.Start(t, storetest.Options{URL: storetest.SQLite(t), Origin: "keyward/test", Keys: sealtest.Keyring(t)})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	of := reflect.TypeFor[*bound.Store]()
	asked := 0
	for _, s := range []any{
		n.DB, n.Store, identity.Store{Store: n.Store}, identity.Approvals{Store: n.Store}, kms.Store{Store: n.Store}, kms.Usage{Store: n.Store},
		inventory.Store{Store: n.Store}, inventory.Calendars{Store: n.Store}, inventory.Exposures{Store: n.Store}, inventory.Findings{Store: n.Store},
		inventory.Repositories{Store: n.Store}, fleet.Store{Store: n.Store}, fleet.Rotations{Store: n.Store}, alerts.Store{Store: n.Store}, root.Store{Store: n.Store},
	} {
		v := reflect.ValueOf(s)
		for i := range v.NumMethod() {
			m := v.Type().Method(i)
			if _, promoted := of.MethodByName(m.Name); promoted && v.Type() != of || slices.Contains(plumbing, m.Name) || !reads(m.Type) {
				continue
			}
			args := []reflect.Value{reflect.ValueOf(gone)}
			for in := 2; in < m.Type.NumIn(); in++ {
				args = append(args, something(m.Type.In(in)))
			}
			call := v.Method(i).Call
			if m.Type.IsVariadic() {
				call = v.Method(i).CallSlice
			}
			out := call(args)
			asked++
			if err, _ := out[len(out)-1].Interface().(error); !fault.Is(err, fault.Unavailable) {
				t.Errorf("%T.%s: %v", s, m.Name, err)
			}
		}
	}
	if asked < 100 {
		t.Errorf("only %d methods were asked", asked)
	}
}

// plumbing is what stores are made of, and what the audit log and the start call, who word its
// errors themselves; and Unchanged, which answers without asking of a table that there is not.
var plumbing = []string{"Apart", "Append", "CreateLog", "Exec", "LockNode", "Ping", "Probe", "QueryContext", "Returning", "Run", "Transact", "Unchanged"}

// reads tells whether a method asks the database for something by itself, or changes it without
// a record.
func reads(m reflect.Type) bool {
	for i := range m.NumIn() {
		if in := m.In(i); in == reflect.TypeFor[*audit.Record]() || in == reflect.TypeFor[database.Queryer]() {
			return false
		}
	}
	return m.NumIn() > 1 && m.In(1) == reflect.TypeFor[context.Context]() && m.NumOut() > 0 && m.Out(m.NumOut()-1) == reflect.TypeFor[error]()
}

// something answers a value of a type, with an element where there can be one.
func something(of reflect.Type) reflect.Value {
	switch of.Kind() {
	case reflect.Slice:
		return reflect.MakeSlice(of, 1, 1)
	case reflect.Pointer:
		return reflect.New(of.Elem())
	case reflect.Map:
		m := reflect.MakeMap(of)
		m.SetMapIndex(reflect.Zero(of.Key()), reflect.Zero(of.Elem()))
		return m
	}
	return reflect.Zero(of)
}
