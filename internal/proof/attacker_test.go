package proof

import (
	"bytes"
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// An attacker has SQL. Each of its methods changes what is stored and says how, or finds
// that it cannot and answers "".
type attacker struct {
	t       *testing.T
	db      *sql.DB
	random  *rand.Rand
	history []version
}

func (a *attacker) table() string {
	return slices.Sorted(maps.Keys(boundTables))[a.random.IntN(len(boundTables))]
}

func pick[T any](a *attacker, list []T) T { return list[a.random.IntN(len(list))] }

// exec runs a statement; one that a constraint refuses is no attack.
func (a *attacker) exec(query string, args ...any) bool {
	res, err := a.db.ExecContext(a.t.Context(), query, args...)
	if err != nil && strings.Contains(err.Error(), "constraint") {
		return false
	}
	n, err := must(res, err)(a.t).RowsAffected()
	return must(n, err)(a.t) > 0
}

// where chooses a row by its key.
func where(table string, row map[string]any) (string, []any) {
	var conditions []string
	var args []any
	for _, k := range boundTables[table] {
		conditions = append(conditions, k+" = ?")
		args = append(args, row[k])
	}
	return " WHERE " + strings.Join(conditions, " AND "), args
}

func same(a, b any) bool {
	x, isBytes := a.([]byte)
	y, both := b.([]byte)
	if isBytes && both {
		return bytes.Equal(x, y)
	}
	return a == b
}

// set writes columns of a row.
func (a *attacker) set(table string, row map[string]any, columns map[string]any) bool {
	var sets []string
	var args []any
	for _, c := range slices.Sorted(maps.Keys(columns)) {
		sets = append(sets, c+" = ?")
		args = append(args, columns[c])
	}
	condition, keys := where(table, row)
	return a.exec("UPDATE "+table+" SET "+strings.Join(sets, ", ")+condition, append(args, keys...)...)
}

func (a *attacker) insert(table string, row map[string]any) bool {
	columns := slices.Sorted(maps.Keys(row))
	args := make([]any, len(columns))
	for i, c := range columns {
		args[i] = row[c]
	}
	return a.exec("INSERT INTO "+table+" ("+strings.Join(columns, ", ")+") VALUES (?"+strings.Repeat(", ?", len(columns)-1)+")", args...)
}

// edit changes one column to another value of its type.
func (a *attacker) edit() string {
	table := a.table()
	row := pick(a, rows(a.t, a.db, table))
	column := pick(a, slices.Sorted(maps.Keys(row)))
	if column == "mac_epoch" && row[column] == nil {
		return ""
	}
	var value any
	switch v := row[column].(type) {
	case int64:
		value = pick(a, []int64{0, 1, -1, v + 1, v - 1, 1 << 40})
	case string:
		value = pick(a, []string{"", v + "x", "Enabled", "Disabled", `["AdministratorAccess"]`, "root"})
	case []byte:
		changed := append(slices.Clone(v), 0)
		changed[a.random.IntN(len(changed))] ^= 1 << a.random.IntN(8)
		value = changed
	}
	if same(value, row[column]) || !a.set(table, row, map[string]any{column: value}) {
		return ""
	}
	return fmt.Sprintf("edit %s.%s to %v", table, column, value)
}

// swap exchanges everything but the keys of two rows, of one tenant or two.
func (a *attacker) swap() string {
	table := a.table()
	all := rows(a.t, a.db, table)
	x, y := pick(a, all), pick(a, all)
	left, right := maps.Clone(x), maps.Clone(y)
	for _, k := range boundTables[table] {
		delete(left, k)
		delete(right, k)
	}
	if maps.EqualFunc(left, right, same) || !a.set(table, x, right) || !a.set(table, y, left) {
		return ""
	}
	return fmt.Sprintf("swap %s %v %v", table, x, y)
}

// swapColumn copies one column of a row into another one.
func (a *attacker) swapColumn() string {
	table := a.table()
	all := rows(a.t, a.db, table)
	x, y := pick(a, all), pick(a, all)
	column := pick(a, slices.Sorted(maps.Keys(x)))
	if same(x[column], y[column]) || !a.set(table, x, map[string]any{column: y[column]}) {
		return ""
	}
	return fmt.Sprintf("copy %s.%s", table, column)
}

// transplant moves or copies a row to the other tenant, or to another name.
func (a *attacker) transplant() string {
	table := a.table()
	all := rows(a.t, a.db, table)
	x, y := pick(a, all), pick(a, all)
	column := pick(a, slices.Concat([]string{"account"}, boundTables[table]))
	if _, ok := x[column]; !ok || same(x[column], y[column]) {
		return ""
	}
	if a.random.IntN(2) == 0 {
		if !a.set(table, x, map[string]any{column: y[column]}) {
			return ""
		}
		return fmt.Sprintf("transplant %s.%s", table, column)
	}
	copied := maps.Clone(x)
	copied[column] = y[column]
	if !a.insert(table, copied) {
		return ""
	}
	return fmt.Sprintf("copy %s with another %s", table, column)
}

// remove deletes a row, or all rows of a tenant.
func (a *attacker) remove() string {
	table := a.table()
	row := pick(a, rows(a.t, a.db, table))
	if account, ok := row["account"]; ok && a.random.IntN(10) == 0 {
		a.exec("DELETE FROM "+table+" WHERE account = ?", account)
		return "delete all of a tenant in " + table
	}
	condition, args := where(table, row)
	a.exec("DELETE FROM "+table+condition, args...)
	return fmt.Sprintf("delete %s %v", table, args)
}

// rollBack puts a row back to an older state that keyward wrote.
func (a *attacker) rollBack() string {
	old := pick(a, a.history)
	condition, args := where(old.table, old.row)
	now := rows(a.t, a.db, old.table)
	i := slices.IndexFunc(now, func(row map[string]any) bool {
		for _, k := range boundTables[old.table] {
			if row[k] != old.row[k] {
				return false
			}
		}
		return true
	})
	if i < 0 || maps.EqualFunc(now[i], old.row, same) {
		return ""
	}
	a.exec("DELETE FROM "+old.table+condition, args...)
	if !a.insert(old.table, old.row) {
		a.t.Errorf("the row cannot be put back")
	}
	return fmt.Sprintf("rollback %s %v to revision %v", old.table, args, old.row["rev"])
}

// putBack inserts a row again that keyward removed.
func (a *attacker) putBack() string {
	old := pick(a, a.history)
	_, args := where(old.table, old.row)
	if !a.insert(old.table, old.row) {
		return ""
	}
	return fmt.Sprintf("resurrect %s %v", old.table, args)
}

// trail tampers with the audit log.
func (a *attacker) trail() string {
	all := rows(a.t, a.db, "audit_batch")
	batch := pick(a, all)
	switch a.random.IntN(4) {
	case 0:
		a.exec("DELETE FROM audit_batch WHERE first = ?", batch["first"])
		return "trail: delete a batch"
	case 1:
		leaves := slices.Clone(batch["leaves"].([]byte))
		leaves[a.random.IntN(len(leaves))] ^= 1
		a.exec("UPDATE audit_batch SET leaves = ? WHERE first = ?", leaves, batch["first"])
		return "trail: edit a batch"
	case 2:
		a.exec("UPDATE audit_log SET public_key = ?", "keyward/plant+00000000+AAAA")
		return "trail: another key"
	default:
		a.exec("INSERT INTO audit_batch SELECT 'keyward/evil', first, count, at, leaves, hashes FROM audit_batch WHERE first = ?", batch["first"])
		return "trail: a batch of no log"
	}
}

// job deletes or puts off what must be done later.
func (a *attacker) job() string {
	if a.random.IntN(2) == 0 {
		a.exec("DELETE FROM job WHERE (kind, account, subject) IN (SELECT kind, account, subject FROM job WHERE subject IN (SELECT id FROM kms_key) ORDER BY subject LIMIT 1)")
		return "job: deleted"
	}
	a.exec("UPDATE job SET due_at = due_at + 1000000000000")
	return "job: put off"
}
