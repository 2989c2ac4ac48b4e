package people_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/material"
)

// L4: the time of a refusal tells nothing either. The hash is made cheap here, so that its
// own time does not drown what would tell; samples alternate in a random order.
func TestL4LoginsTellNothing(t *testing.T) {
	samples := 150
	if s := os.Getenv("KEYWARD_TIMINGS"); s != "" {
		samples = must(strconv.Atoi(s))(t)
	}
	w := newWorld(t)
	must(w.iam.CreateUser(t.Context(), w.root(), "nopassword", ""))(t)
	for _, name := range []string{"disabled", "factor"} {
		w.user(t, name)
	}
	must(w.iam.UpdateUser(t.Context(), w.root(), "disabled", iam.UserChange{Enabled: new(bool)}))(t)
	must(w.iam.CreateUser(t.Context(), w.root(), "initial", ""))(t)
	must(w.SetPassword(t.Context(), w.root(), "initial"))(t)
	ways := []people.Attempt{{User: "alice"}, {User: "unknown"}, {User: "nopassword"}, {User: "disabled"}, {User: "initial"}, {User: "ALICE"}}
	took := make([][]float64, len(ways))
	order := []int{0, 1, 2, 3, 4, 5}
	for i := range samples + 20 {
		w.advance(people.Forgotten + time.Second)
		rand.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
		for _, n := range order {
			in, call := ways[n], w.from(fmt.Sprintf("198.51.%d.%d", i%250, n))
			in.Password = material.NewBytes([]byte(second))
			start := time.Now()
			_, err := w.Login(t.Context(), call, in)
			elapsed := time.Since(start)
			if !fault.Is(err, fault.LoginFailed) {
				t.Fatal(err)
			}
			if i >= 20 {
				took[n] = append(took[n], float64(elapsed))
			}
		}
	}
	for n := range ways {
		z := mannWhitney(took[0], took[n])
		t.Logf("%s: %d samples, median %v, z = %.2f", ways[n].User, samples, time.Duration(median(took[n])), z)
		if math.Abs(z) > 4.4 { // p < 0.00001, two-sided
			t.Errorf("the times tell %q from a wrong password: z = %.2f", ways[n].User, z)
		}
	}
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

// mannWhitney answers how many standard deviations the rank sum of a lies from where it
// would lie if a and b were of one distribution, whatever that is.
func mannWhitney(a, b []float64) float64 {
	sum := 0.0
	for _, x := range a {
		for _, y := range b {
			if x > y {
				sum++
			} else if x == y {
				sum += 0.5
			}
		}
	}
	n, m := float64(len(a)), float64(len(b))
	return (sum - n*m/2) / math.Sqrt(n*m*(n+m+1)/12)
}

func TestMannWhitneyTellsDistributionsApart(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var a, b, c []float64
	for range 1000 {
		a, b, c = append(a, random.ExpFloat64()), append(b, random.ExpFloat64()), append(c, random.ExpFloat64()+0.2)
	}
	if z := mannWhitney(a, b); math.Abs(z) > 3.29 {
		t.Errorf("equal distributions: z = %.2f", z)
	}
	if z := mannWhitney(a, c); z > -3.29 {
		t.Errorf("a shift of a fifth: z = %.2f", z)
	}
}
