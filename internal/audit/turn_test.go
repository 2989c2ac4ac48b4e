package audit_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A plain record waits for one transaction, however many changes came before it, and a change
// for one batch of plain records. Changes that wait share a transaction as long as its turn
// lasts.
func TestChangesAndRecordsTakeTurns(t *testing.T) {
	n, _ := start(t, storetest.SQLite(t))
	var all sync.WaitGroup
	queue := func(i int, change audit.Change) {
		before := n.Log.Waiting()
		all.Go(func() {
			err := error(nil)
			if change == nil {
				err = n.Log.Append(context.WithoutCancel(t.Context()), record(i))
			} else {
				err = n.Log.Commit(context.WithoutCancel(t.Context()), record(i), change)
			}
			if err != nil {
				t.Error(err)
			}
		})
		for i > 0 && n.Log.Waiting() == before {
			runtime.Gosched()
		}
	}
	began, goOn := make(chan struct{}), make(chan struct{})
	queue(0, func(context.Context, audit.Tx) ([]audit.Effect, error) {
		close(began)
		<-goOn
		for end := time.Now().Add(audit.Turn); time.Now().Before(end); { // then its turn is over
			runtime.Gosched()
		}
		return nil, nil
	})
	<-began
	nothing := func(context.Context, audit.Tx) ([]audit.Effect, error) { return nil, nil }
	for i := 1; i <= 5; i++ {
		queue(i, nothing)
	}
	queue(6, nil)
	queue(7, nil)
	close(goOn)
	all.Wait()
	entries, _, err := audit.List(t.Context(), n.DB, audit.Query{Limit: 10, Oldest: true})
	if err != nil {
		t.Fatal(err)
	}
	order := ""
	for _, e := range entries {
		order += fmt.Sprint(" ", e.Action[len("kms:Test"):])
	}
	if order != " 0 6 7 1 2 3 4 5" {
		t.Errorf("written were%s", order)
	}
}
