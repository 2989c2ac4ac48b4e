package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/storetest"
)

func TestZZPG(t *testing.T) {
	keys := sealtest.Keyring(t)
	storetest.IAM(t, func(t *testing.T) (nodes [2]iam.Store) {
		o := storetest.Options{URL: "postgres://keyward@127.0.0.1:54329/t1?sslmode=disable", Keys: keys, Now: time.Now, Changed: func(string, string) {}}
		for i := range nodes {
			o.Origin = fmt.Sprintf("keyward.test/node%d-%d", time.Now().UnixNano(), i)
			nodes[i] = storetest.Start(t, o).Store
		}
		return nodes
	})
}
