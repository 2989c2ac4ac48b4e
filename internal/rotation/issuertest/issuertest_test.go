package issuertest_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/issuertest"
)

func world(means rotation.Means, defect string) issuertest.World {
	return issuertest.World{Canary: canary, Start: func(*testing.T) issuertest.Provider { return (&toy{means: means}).provider(defect) }}
}

var multi = rotation.Means{Archetype: rotation.Multi, MaxKeys: 3, Tagged: true, Listed: true, Verifies: true}

// The suite holds for an issuer of each archetype that package rotation can use by itself;
// the clouds' issuers are those of archetype pair.
func TestArchetypes(t *testing.T) {
	for _, means := range []rotation.Means{
		multi,
		{Archetype: rotation.FixedOverlap, Overlap: 24 * time.Hour, Verifies: true},
		{Archetype: rotation.Pending, Overlap: time.Hour, Tagged: true, Listed: true, Repeats: true, Verifies: true},
		{Archetype: rotation.Promote, MaxKeys: 2, Listed: true, Verifies: true},
	} {
		t.Run(string(means.Archetype), func(t *testing.T) { issuertest.Run(t, world(means, "")) })
	}
}

// defect names, in the environment, the one that the issuer of TestDefective has.
const defect = "ISSUERTEST_DEFECT"

// TestDefective runs the suite for an issuer with a defect, for the test below.
func TestDefective(t *testing.T) {
	if name := os.Getenv(defect); name != "" {
		issuertest.Run(t, world(multi, name))
	}
}

// The suite finds defects.
func TestDefectsAreFound(t *testing.T) {
	for name, where := range map[string]string{
		"believes 500":   "TestDefective/Faults",
		"repeats":        "TestDefective/LostAnswer",
		"says nothing":   "TestDefective/Full",
		"tells secrets":  "TestDefective/Forbidden",
		"sends too late": "TestDefective/EndedContext",
		"lists nothing":  "TestDefective/Faults",
		"accepts all":    "TestDefective/Verify",
		"deletes once":   "TestDefective/Life",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := exec.Command(os.Args[0], "-test.run=^TestDefective$")
			run.Env = append(os.Environ(), defect+"="+name)
			out, err := run.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: "+where+" ") {
				t.Errorf("nobody noticed: %v\n%s", err, out)
			}
		})
	}
}
