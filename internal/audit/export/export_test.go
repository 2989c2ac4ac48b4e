package export_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/export"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/storetest"
)

func TestVerifiesOffline(t *testing.T) {
	n := storetest.Start(t, storetest.Options{
		URL: storetest.SQLite(t), Origin: "keyward/test", Keys: sealtest.Keyring(t), Now: time.Now, Changed: func(string, string) {},
	})
	for i := range 25 {
		r := audit.NewRecord(&authz.Call{Time: time.Now()}, fmt.Sprintf("kms:Test%d", i))
		r.Result = audit.ResultOK
		if err := n.Log.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	logs, err := n.DB.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := export.Write(t.Context(), n.DB, logs[0], &out); err != nil {
		t.Fatal(err)
	}
	trust := func(string, string) audit.Trust { return audit.Trust{PublicKey: logs[0].PublicKey} }
	reports, err := export.Verify(bytes.NewReader(out.Bytes()), trust, nil)
	if err != nil || len(reports) != 1 || reports[0].Size != 25 {
		t.Fatalf("have %+v, %v", reports, err)
	}
	lines := strings.SplitAfter(out.String(), "\n")
	for name, bad := range map[string]string{
		"a line less":  strings.Join(append(append([]string{}, lines[:7]...), lines[8:]...), ""),
		"cut":          out.String()[:out.Len()-10],
		"cut at lines": strings.Join(lines[:20], ""),
		"swapped":      strings.Join(append(append([]string{}, lines[0], lines[2], lines[1]), lines[3:]...), ""),
		"a word":       strings.Replace(out.String(), "kms:Test9", "kms:Test8", 1),
		"empty":        "",
		"appended":     out.String() + "more\n",
	} {
		if _, err := export.Verify(strings.NewReader(bad), trust, nil); err == nil {
			t.Errorf("%s: not found", name)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte(`{"format":"keyward-audit-export","v":1,"log":"l","publicKey":"","size":1,"checkpoint":""}` + "\n{}\n"))
	f.Fuzz(func(_ *testing.T, in []byte) {
		_, _ = export.Verify(bytes.NewReader(in), func(_, claimed string) audit.Trust { return audit.Trust{PublicKey: claimed} }, nil)
	})
}
