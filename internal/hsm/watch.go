package hsm

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/keyward/keyward/internal/fault"
)

// poll is how often a watched token's status is asked for.
const poll = 10 * time.Second

// Users answers the numbers of users who are named or numbered; of none, this process's own.
func Users(names []string) ([]int, error) {
	if len(names) == 0 {
		return []int{os.Geteuid()}, nil
	}
	var users []int
	for _, name := range names {
		uid, err := strconv.Atoi(name)
		if err != nil {
			u, unknown := user.Lookup(name)
			if unknown != nil {
				return nil, unknown
			}
			if uid, err = strconv.Atoi(u.Uid); err != nil {
				return nil, fmt.Errorf("looking up the user %s: %w", name, err)
			}
		}
		users = append(users, uid)
	}
	return users, nil
}

// Standing answers how the token stands; that the helper cannot be reached is a state, too.
func (c *Client) Standing(ctx context.Context) Status {
	s, err := c.Status(ctx)
	if err != nil {
		detail := fault.Say("the hardware token cannot be reached: %s; is keyward-pkcs11 running?", cause(err))
		return Status{State: Away, Detail: detail.String(), DetailZh: detail.Chinese()}
	}
	return s
}

// Watch tells note how the token stands, every ten seconds until ctx ends.
func (c *Client) Watch(ctx context.Context, note func(Status)) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		s := c.Standing(ctx)
		if ctx.Err() != nil {
			return
		}
		note(s)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
