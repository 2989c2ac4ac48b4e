package vectors_test

import (
	"bytes"
	"compress/bzip2"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const acvpModule = "github.com/geomys/acvp-testdata"

// An acvpSet is a set of vectors, or of the answers expected to them.
type acvpSet struct {
	Mode   string      `json:"mode"`
	Groups []acvpGroup `json:"testGroups"`
}

type acvpGroup struct {
	ID        int        `json:"tgId"`
	Type      string     `json:"testType"`
	Direction string     `json:"direction"`
	Curve     string     `json:"curve"`
	Hash      string     `json:"hashAlg"`
	Modulus   int        `json:"modulo"`
	Signature string     `json:"sigType"`
	N         hexBytes   `json:"n"`
	E         hexBytes   `json:"e"`
	TagLength int        `json:"tagLen"`
	QX        hexBytes   `json:"qx"`
	QY        hexBytes   `json:"qy"`
	KTS       acvpKTS    `json:"ktsConfiguration"`
	Role      string     `json:"kasRole"`
	Tests     []acvpCase `json:"tests"`
}

type acvpKTS struct {
	Hash string `json:"hashAlg"`
}

type acvpCase struct {
	ID        int        `json:"tcId"`
	Passed    *bool      `json:"testPassed"`
	Key       hexBytes   `json:"key"`
	IV        hexBytes   `json:"iv"`
	AAD       hexBytes   `json:"aad"`
	PT        hexBytes   `json:"pt"`
	CT        hexBytes   `json:"ct"`
	Tag       hexBytes   `json:"tag"`
	Msg       hexBytes   `json:"msg"`
	Message   hexBytes   `json:"message"`
	Len       int        `json:"len"`
	MD        hexBytes   `json:"md"`
	MAC       hexBytes   `json:"mac"`
	QX        hexBytes   `json:"qx"`
	QY        hexBytes   `json:"qy"`
	R         hexBytes   `json:"r"`
	S         hexBytes   `json:"s"`
	Signature hexBytes   `json:"signature"`
	N         hexBytes   `json:"iutN"`
	E         hexBytes   `json:"iutE"`
	P         hexBytes   `json:"iutP"`
	Q         hexBytes   `json:"iutQ"`
	D         hexBytes   `json:"iutD"`
	C         hexBytes   `json:"serverC"`
	DKM       hexBytes   `json:"dkm"`
	Results   []acvpCase `json:"resultsArray"`
}

// An acvpRun runs a case. It answers why it skips it, or what differs from what is expected.
type acvpRun func(g acvpGroup, c acvpCase, wantGroup acvpGroup, want acvpCase) (skipped string, err error)

// acvpRows has every set of the module once: the operation, or the reason.
var acvpRows = []struct {
	sets, text string
	run        acvpRun
}{
	{"ACVP-AES-GCM", "the GCM of `material.AEAD`, suite 1, and `AEAD.Open`", acvpGCM},
	{"HMAC-SHA2-256", "the HMAC of package `authn`, and the derivation of `material.AEAD`", acvpHMAC},
	{"SHA2-256", "the digest that `AsymmetricSign` and the audit log take", acvpSHA256},
	{"ECDSA DetECDSA", "`material.OpenPublic` and `material.Public.Verify`, `EC_P256`", acvpECDSA},
	{"RSA", "`material.Public.Verify`, `RSA_PSS_SHA_256` and `RSA_PKCS1_SHA_256`", acvpRSA},
	{"KTS-IFC", "`material.Private.Decrypt`, `RSAES_OAEP_SHA_256`", acvpOAEP},

	{"ACVP-AES-CBC ACVP-AES-CTR ACVP-AES-ECB", "keyward offers no CBC, CTR or ECB", nil},
	{"CMAC-AES", "keyward offers no CMAC", nil},
	{"EDDSA", "keyward offers no EdDSA", nil},
	{"HMAC-SHA2-224 HMAC-SHA2-384 HMAC-SHA2-512 HMAC-SHA2-512-224 HMAC-SHA2-512-256 HMAC-SHA3-224 HMAC-SHA3-256 HMAC-SHA3-384 HMAC-SHA3-512", "their MACs are shortened or over SHA-3; keyward takes whole ones over SHA-2 and SM3, which Wycheproof tests", nil},
	{"SHA2-224 SHA2-384 SHA2-512 SHA2-512-224 SHA2-512-256 SHA3-224 SHA3-256 SHA3-384 SHA3-512 SHAKE-128 SHAKE-256 cSHAKE-128 cSHAKE-256", "keyward uses SHA-256, SM3 and SHA-1 only", nil},
	{"KAS-ECC-SSC", "keyward offers no key agreement", nil},
	{"KDA", "keyward has none of the encodings of SP 800-56C; HKDF itself is tested above", nil},
	{"kdf-components TLS-v1.2 TLS-v1.3", "keyward has no protocol of its own; crypto/tls is tested by Go", nil},
	{"ML-DSA ML-KEM", "keyward offers no ML-DSA and no ML-KEM", nil},
	{"PBKDF", "keyward stretches passphrases with Argon2id", nil},
	{"ctrDRBG hmacDRBG", "keyward's random numbers are the operating system's", nil},
}

func TestACVP(t *testing.T) {
	dir := acvpDirectory(t)
	entries, err := os.ReadDir(filepath.Join(dir, "vectors"))
	if err != nil {
		t.Fatal(err)
	}
	rows, seen := map[string]int{}, map[string]bool{}
	for i, r := range acvpRows {
		for _, set := range strings.Fields(r.sets) {
			if _, twice := rows[set]; twice {
				t.Errorf("%s stands in two rows", set)
			}
			rows[set] = i
		}
	}
	counts := make([]tally, len(acvpRows))
	for i := range counts {
		counts[i] = newTally()
	}
	for _, e := range entries {
		set := strings.TrimSuffix(e.Name(), ".bz2")
		i, ok := rows[set]
		if !ok {
			t.Errorf("the set %s stands in no row of the table: say which operation runs it, or why none does", set)
			continue
		}
		seen[set] = true
		counts[i].add(runACVP(t, dir, set, i))
	}
	for set := range rows {
		if !seen[set] {
			t.Errorf("there is no set %s", set)
		}
	}
	total := newTally()
	for _, c := range counts {
		total.add(c)
	}
	if t.Failed() {
		return
	}
	t.Logf("%d sets, %d cases: %d run, %d agreed, %d skipped for a reason", total.files, total.cases, total.run, total.agreed, sum(total.skipped))
	checkSection(t, "acvp", acvpSection(counts, total))
}

// acvpDirectory finds the module, which go.mod requires and go.sum pins. No package imports
// it, as it holds data only, so it may have to be downloaded.
func acvpDirectory(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "mod", "download", "-json", acvpModule).Output()
	if err != nil {
		t.Fatalf("downloading %s: %v\n%s", acvpModule, err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	return module.Dir
}

func runACVP(t *testing.T, dir, set string, row int) tally {
	t.Helper()
	count := newTally()
	count.files = 1
	vectors, expected := readACVP(t, filepath.Join(dir, "vectors", set+".bz2")), readACVP(t, filepath.Join(dir, "expected", set+".bz2"))
	for i, v := range vectors {
		for _, g := range v.Groups {
			wantGroup := find(expected[i].Groups, func(o acvpGroup) bool { return o.ID == g.ID })
			for _, c := range g.Tests {
				count.cases++
				if acvpRows[row].run == nil {
					count.skipped[acvpRows[row].text]++
					continue
				}
				want := find(wantGroup.Tests, func(o acvpCase) bool { return o.ID == c.ID })
				skipped, err := acvpRows[row].run(g, c, wantGroup, want)
				if skipped != "" {
					count.skipped[skipped]++
					continue
				}
				count.run++
				if err != nil {
					t.Errorf("%s %s, case %d: %v", set, v.Mode, c.ID, err)
					continue
				}
				count.agreed++
			}
		}
	}
	return count
}

func find[T any](list []T, is func(T) bool) (none T) {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i]
	}
	return none
}

// readACVP reads a file: a list whose first member says where the vectors come from. Of
// sets that are not run, members may have other types; what is needed to count them has not.
func readACVP(t *testing.T, path string) []acvpSet {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	content, err := io.ReadAll(bzip2.NewReader(f))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var members []json.RawMessage
	if err := json.Unmarshal(content, &members); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var sets []acvpSet
	for _, m := range members[1:] {
		var s acvpSet
		var mistyped *json.UnmarshalTypeError
		if err := json.Unmarshal(m, &s); err != nil && !errors.As(err, &mistyped) {
			t.Fatalf("%s: %v", path, err)
		}
		sets = append(sets, s)
	}
	return sets
}

func acvpSection(counts []tally, total tally) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d sets with %d cases: **%d run, %d agree**; %d are not run, for the reasons below.\n\n", total.files, total.cases, total.run, total.agreed, sum(total.skipped))
	b.WriteString("| Sets | Cases | Run | Agree | Operation, or reason |\n|---|---:|---:|---:|---|\n")
	for i, c := range counts {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %s |\n", code(acvpRows[i].sets), c.cases, c.run, c.agreed, acvpRows[i].text)
	}
	b.WriteString("\nOf the sets that are run, these cases are not:\n\n| Cases | Reason |\n|---:|---|\n")
	within := newTally()
	for i, c := range counts {
		if acvpRows[i].run != nil {
			within.add(c)
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(within.skipped)) {
		fmt.Fprintf(&b, "| %d | %s |\n", within.skipped[reason], reason)
	}
	return b.String()
}
