package proof

import (
	"cmp"
	"io"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/proof/trace"
)

// recovery is how long a server may take to work again when nothing fails any more.
const recovery = 5 * time.Second

// points answers how many points a campaign visits: the variable's number, short if it
// is not set, 0 for "all".
func points(t *testing.T, variable string, short int) int {
	value := cmp.Or(os.Getenv(variable), strconv.Itoa(short))
	if value == "all" {
		return 0
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// seeded answers a campaign's seed, KEYWARD_SEED or a new one, and prints it.
func seeded(t *testing.T) uint64 {
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("KEYWARD_SEED"), strconv.FormatInt(time.Now().UnixNano(), 10)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("KEYWARD_SEED=%d", seed)
	return seed
}

// needTrace skips a test where programs cannot be traced, but fails it in CI.
func needTrace(t *testing.T) {
	t.Helper()
	switch {
	case trace.Supported:
	case os.Getenv("CI") != "":
		t.Fatal("this proof needs Linux on amd64")
	default:
		t.Skip("this proof needs Linux on amd64")
	}
}

// health asks the server whether it can work.
func (s *server) health(t *testing.T) (ready bool, text string) {
	resp, err := http.Get("http://" + s.address + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body) // the text is for the log
	return resp.StatusCode == http.StatusOK, string(body)
}
