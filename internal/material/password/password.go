// Package password turns the passwords of people into hashes from which they cannot be
// found but by trying, and makes each try expensive: Argon2id, version 1.3 (RFC 9106).
//
// A hash is text in the PHC string format and says with which [Cost] it was made, so that
// the cost can grow and old hashes go on being understood:
//
//	$argon2id$v=19$m=65536,t=3,p=1$SALT$HASH
//
// with a salt of 16 and a hash of 32 bytes in base64 without padding. It is kept sealed, as
// key material is: who has only the database has nothing to try passwords against.
//
// Each hash takes [Cost].MemoryKiB of memory. A [Hasher] therefore does only so many at once
// and lets only so many wait: strangers, who may all ask for one, cannot exhaust memory.
package password

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/crypto/argon2"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// A Cost says how much work a hash is.
type Cost struct {
	MemoryKiB uint32
	Time      uint32 // passes over the memory
	Threads   uint8
}

// ProductionCost is the second recommendation of RFC 9106: about 150 ms on a server's core.
func ProductionCost() Cost { return Cost{MemoryKiB: 64 << 10, Time: 3, Threads: 1} }

// The limits of a cost that is believed, and the sizes of every hash.
const (
	maxMemoryKiB = 1 << 20
	maxTime      = 64
	saltSize     = 16
	hashSize     = 32
)

// format writes and reads a cost.
const format = "$argon2id$v=19$m=%d,t=%d,p=%d$"

// A Hasher makes and checks hashes. Its methods may be called concurrently.
type Hasher struct {
	cost    Cost
	room    chan struct{} // holds as many as work at once
	waiting atomic.Int64
	most    int64 // that wait or work
	decoy   material.Bytes
}

// New makes a Hasher, of which atOnce calls work and as many as patience wait.
func New(cost Cost, atOnce, patience int) *Hasher {
	h := &Hasher{cost: cost, room: make(chan struct{}, atOnce), most: int64(atOnce + patience)}
	salt := material.Random(saltSize)
	h.decoy = encode(cost, salt.Expose(), material.Random(hashSize).Expose())
	return h
}

// Hash answers the hash of a password. It answers a Throttled fault when too many wait.
func (h *Hasher) Hash(ctx context.Context, password material.Bytes) (material.Bytes, error) {
	salt := material.Random(saltSize).Expose()
	sum, err := h.derive(ctx, h.cost, password, salt)
	if err != nil {
		return material.Bytes{}, err
	}
	defer sum.Zero()
	return encode(h.cost, salt, sum.Expose()), nil
}

// Decoy answers a hash that no password has, for somebody who has none: to check against it
// takes as long as against any other.
func (h *Hasher) Decoy() material.Bytes { return h.decoy }

// Verify tells whether a hash is that of the password, and whether it was made with another
// cost than hashes are made with now. It answers a Throttled fault when too many wait.
func (h *Hasher) Verify(ctx context.Context, password, hash material.Bytes) (right, old bool, err error) {
	cost, salt, want, err := decode(string(hash.Expose()))
	if err != nil {
		return false, false, err
	}
	have, err := h.derive(ctx, cost, password, salt)
	if err != nil {
		return false, false, err
	}
	defer have.Zero()
	return have.Equal(want), cost != h.cost, nil
}

// derive does the work, when there is room for it.
func (h *Hasher) derive(ctx context.Context, cost Cost, password material.Bytes, salt []byte) (material.Bytes, error) {
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > h.most {
		return material.Bytes{}, fault.Throttled.New("too many people are logging in at this moment; try again")
	}
	select {
	case h.room <- struct{}{}:
	case <-ctx.Done():
		return material.Bytes{}, fault.Throttled.Wrap(ctx.Err(), "too many people are logging in at this moment; try again")
	}
	defer func() { <-h.room }()
	return material.NewBytes(argon2.IDKey(password.Expose(), salt, cost.Time, cost.MemoryKiB, cost.Threads, hashSize)), nil
}

func encode(c Cost, salt, sum []byte) material.Bytes {
	b := fmt.Appendf(nil, format, c.MemoryKiB, c.Time, c.Threads)
	b = base64.RawStdEncoding.AppendEncode(b, salt)
	b = append(b, '$')
	return material.NewBytes(base64.RawStdEncoding.AppendEncode(b, sum))
}

// errHash has no kind: callers cannot do anything about it.
var errHash = errors.New("a stored password hash is not one")

// decode reads a hash, of which there is exactly one spelling.
func decode(text string) (c Cost, salt []byte, sum material.Bytes, err error) {
	var tail string
	if _, err := fmt.Sscanf(text, format+"%s", &c.MemoryKiB, &c.Time, &c.Threads, &tail); err != nil {
		return Cost{}, nil, material.Bytes{}, errHash
	}
	b := make([]byte, saltSize+hashSize)
	strict := base64.RawStdEncoding.Strict()
	split := strict.EncodedLen(saltSize)
	if len(tail) != split+1+strict.EncodedLen(hashSize) || tail[split] != '$' {
		return Cost{}, nil, material.Bytes{}, errHash
	}
	if _, err := strict.Decode(b[:saltSize], []byte(tail[:split])); err != nil {
		return Cost{}, nil, material.Bytes{}, errHash
	}
	if _, err := strict.Decode(b[saltSize:], []byte(tail[split+1:])); err != nil {
		return Cost{}, nil, material.Bytes{}, errHash
	}
	salt, sum = b[:saltSize:saltSize], material.NewBytes(b[saltSize:])
	bounded := c.Time >= 1 && c.Time <= maxTime && c.Threads >= 1 && c.MemoryKiB >= 8*uint32(c.Threads) && c.MemoryKiB <= maxMemoryKiB
	if !bounded || string(encode(c, salt, sum.Expose()).Expose()) != text {
		return Cost{}, nil, material.Bytes{}, errHash
	}
	return c, salt, sum, nil
}
