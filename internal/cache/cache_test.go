package cache_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

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
