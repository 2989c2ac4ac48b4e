package cache_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/cache"
)

func always() bool { return true }

func TestValuesAreLoadedOnceAndForgotten(t *testing.T) {
	loads := 0
	c := cache.New(10, always, func(_ context.Context, k string) (int, error) { loads++; return loads, nil })
	get := func(k string, want int) {
		t.Helper()
		if v, err := c.Get(t.Context(), k); err != nil || v != want {
			t.Errorf("%s is %d, %v; want %d", k, v, err, want)
		}
	}
	get("a", 1)
	get("a", 1)
	get("b", 2)
	c.Forget("a")
	get("b", 2)
	get("a", 3)
	c.Clear()
	get("b", 4)
}

func TestErrorsAreNotKept(t *testing.T) {
	fail := true
	c := cache.New(10, always, func(context.Context, int) (int, error) {
		if fail {
			return 0, errors.New("injected")
		}
		return 7, nil
	})
	if _, err := c.Get(t.Context(), 1); err == nil {
		t.Error("the error was not answered")
	}
	fail = false
	if v, err := c.Get(t.Context(), 1); v != 7 || err != nil {
		t.Errorf("have %d, %v", v, err)
	}
}

// What was loading while its key was forgotten is answered and not kept.
func TestLoadThatRacesAChangeDoesNotStay(t *testing.T) {
	loading, changed := make(chan struct{}), make(chan struct{})
	loads := 0
	c := cache.New(10, always, func(context.Context, int) (int, error) {
		loads++
		if loads == 1 {
			close(loading)
			<-changed
		}
		return loads, nil
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if v, err := c.Get(t.Context(), 1); v != 1 || err != nil {
			t.Errorf("the racing load answers %d, %v", v, err)
		}
	})
	<-loading
	c.Forget(1)
	close(changed)
	wg.Wait()
	if v, err := c.Get(t.Context(), 1); v != 2 || err != nil {
		t.Errorf("afterwards %d is answered, %v", v, err)
	}
}

func TestCutOffFeedMeansNoCache(t *testing.T) {
	var fresh atomic.Bool
	loads := 0
	c := cache.New(10, fresh.Load, func(context.Context, int) (int, error) { loads++; return loads, nil })
	for want := 1; want <= 3; want++ {
		if v, err := c.Get(t.Context(), 1); v != want || err != nil {
			t.Errorf("have %d, %v", v, err)
		}
	}
}

func TestSizeIsBounded(t *testing.T) {
	loads := 0
	c := cache.New(3, always, func(context.Context, int) (int, error) { loads++; return 0, nil })
	for k := range 100 {
		if _, err := c.Get(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	before := loads
	for k := range 100 {
		if _, err := c.Get(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	if kept := 100 - (loads - before); kept > 3 {
		t.Errorf("%d values were kept, the limit is 3", kept)
	}
}

// What was used since the last Age stays; what was not is dropped by the second one.
func TestAgeDropsWhatIsIdle(t *testing.T) {
	loads := map[string]int{}
	c := cache.New(10, always, func(_ context.Context, k string) (string, error) { loads[k]++; return k, nil })
	get := func(keys ...string) {
		t.Helper()
		for _, k := range keys {
			if v, err := c.Get(t.Context(), k); v != k || err != nil {
				t.Fatalf("have %q, %v", v, err)
			}
		}
	}
	age := func(want int) {
		t.Helper()
		if got := c.Age(); got != want {
			t.Errorf("Age dropped %d, want %d", got, want)
		}
	}
	get("used", "idle", "forgotten")
	age(0)
	get("used")
	c.Forget("forgotten") // in the older generation
	age(1)
	get("used")
	age(0)
	get("used", "idle")
	get("forgotten")
	if diff := cmp.Diff(map[string]int{"used": 1, "idle": 2, "forgotten": 2}, loads); diff != "" {
		t.Errorf("loads:\n%s", diff)
	}
}

// Both generations together hold no more than the most.
func TestGenerationsAreBoundedTogether(t *testing.T) {
	const most = 8
	loads := 0
	c := cache.New(most, always, func(_ context.Context, k int) (int, error) { loads++; return k, nil })
	for i := range 3 * most {
		if i%5 == 4 {
			c.Age()
		}
		if _, err := c.Get(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	if dropped := c.Age() + c.Age(); dropped > most {
		t.Errorf("%d values were held, at most %d are allowed", dropped, most)
	}
}

// Values are right whoever ages, forgets and clears meanwhile; after Forget nobody gets
// what was loaded before.
func TestConcurrentAging(t *testing.T) {
	var version [16]atomic.Int64
	c := cache.New(12, always, func(_ context.Context, k int) (int64, error) { return version[k].Load(), nil })
	var running sync.WaitGroup
	for worker := range 8 {
		running.Go(func() {
			for i := range 2000 {
				k := (i*7 + worker) % len(version)
				switch {
				case worker == 0 && i%10 == 0:
					c.Age()
				case worker == 1 && i%3 == 0:
					want := version[k].Add(1)
					c.Forget(k)
					if got, err := c.Get(t.Context(), k); got < want || err != nil {
						t.Errorf("have version %d of %d after it became %d, %v", got, k, want, err)
					}
				default:
					if _, err := c.Get(t.Context(), k); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	running.Wait()
}
