// Package identity is who a machine is for keyward: the keys with which it signs what it
// says and opens what is sealed for it.
//
// Both keys follow from one seed of 32 random bytes, the only secret that a machine
// keeps in the clear: the file "seed" of the state directory, mode 0600. It never leaves
// the machine. "node.json" beside it is what the machine was told when it joined: its
// account and name, and where the server is. Who has the seed can be the node, and can
// read what the agent cached; so the cache is worth nothing without it.
//
// Who may call: package agent. What is trusted: the state directory, which only the
// agent's user may enter.
package identity

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/durable"
	"github.com/keyward/keyward/internal/material"
)

const (
	seedFile = "seed"
	nodeFile = "node.json"
	seedSize = 32
)

// ErrNotJoined is wrapped by the error of [Load] for a machine that did not join.
var ErrNotJoined = errors.New("this machine has not joined")

// A Node is what a machine was told when it joined, and where.
type Node struct {
	Account string            `json:"account"`
	Name    string            `json:"name"`
	Labels  map[string]string `json:"labels"`
	Server  string            `json:"server"`
	CA      string            `json:"ca,omitempty"` // PEM; "" for the system's
}

// Path answers account/name, by which the node is known in signatures.
func (n Node) Path() string { return n.Account + "/" + n.Name }

// Keys are the two private keys of a machine. They may be used concurrently.
type Keys struct {
	sign ed25519.PrivateKey
	seal hpke.PrivateKey
}

// MakeKeys answers the keys of a state directory, and makes them durable first if it has
// none: a machine that asks to join again, because the first answer was lost, is the same.
func MakeKeys(dir string) (Keys, error) {
	path := filepath.Join(dir, seedFile)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		seed := material.Random(seedSize)
		defer seed.Zero()
		if err := durable.Replace(path, hex.AppendEncode(nil, seed.Expose())); err != nil {
			return Keys{}, fmt.Errorf("making the machine's keys: %w", err)
		}
	}
	return loadKeys(path)
}

func loadKeys(path string) (Keys, error) {
	if err := durable.RequirePrivate(filepath.Dir(path), path); err != nil {
		return Keys{}, fmt.Errorf("reading the machine's keys: %w", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Keys{}, fmt.Errorf("reading the machine's keys: %w", err)
	}
	content := material.NewBytes(text)
	defer content.Zero()
	seed := make([]byte, seedSize)
	defer clear(seed)
	if n, err := hex.Decode(seed, content.Expose()[:min(content.Len(), 2*seedSize)]); err != nil || n != seedSize || strings.TrimSpace(string(content.Expose()[2*seedSize:])) != "" {
		return Keys{}, fmt.Errorf("reading the machine's keys: %s is damaged; remove the state directory and join again", path)
	}
	signSeed, err := hkdf.Key(sha256.New, seed, nil, "keyward-agent-sign-v1", ed25519.SeedSize)
	if err != nil {
		return Keys{}, fmt.Errorf("deriving the machine's keys: %w", err)
	}
	defer clear(signSeed)
	sealSeed, err := hkdf.Key(sha256.New, seed, nil, "keyward-agent-seal-v1", seedSize)
	if err != nil {
		return Keys{}, fmt.Errorf("deriving the machine's keys: %w", err)
	}
	defer clear(sealSeed)
	seal, err := hpke.MLKEM768X25519().NewPrivateKey(sealSeed)
	if err != nil {
		return Keys{}, fmt.Errorf("deriving the machine's keys: %w", err)
	}
	return Keys{sign: ed25519.NewKeyFromSeed(signSeed), seal: seal}, nil
}

// Public answers the public keys, as a [delivery.JoinRequest] has them.
func (k Keys) Public() (sign, seal []byte) {
	return k.sign.Public().(ed25519.PublicKey), k.seal.PublicKey().Bytes()
}

// Sign signs a request, see [delivery.SignedMessage].
func (k Keys) Sign(message []byte) []byte { return ed25519.Sign(k.sign, message) }

// Open opens a sealed version that is bound to this account, rollout and node. What was
// sealed for another, or for another place, does not open.
func (k Keys) Open(n Node, rollout string, sealed delivery.Sealed) (material.Bytes, error) {
	info := delivery.SealedInfo(n.Account, rollout, n.Name, sealed.Version)
	value, err := hpke.Open(k.seal, hpke.HKDFSHA256(), hpke.AES256GCM(), info, sealed.Value)
	if err != nil {
		return material.Bytes{}, fmt.Errorf("opening version %.64q: it was not sealed for this node", sealed.Version)
	}
	return material.NewBytes(value), nil
}

// Proof proves that this node holds the value, see [delivery.ProofMessage].
func Proof(n Node, b delivery.Bundle, value material.Bytes) []byte {
	return material.Proof(value, delivery.ProofMessage(n.Account, b.Rollout, n.Name, b.Primary.Version, b.Generation))
}

// Save makes it durable that the machine has joined.
func Save(dir string, n Node) error {
	content, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return fmt.Errorf("writing who this machine is: %w", err)
	}
	return durable.Replace(filepath.Join(dir, nodeFile), append(content, '\n'))
}

// Load answers who a machine is that has joined, or an error that wraps [ErrNotJoined].
func Load(dir string) (Node, Keys, error) {
	content, err := os.ReadFile(filepath.Join(dir, nodeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Node{}, Keys{}, fmt.Errorf("reading %s: %w; run: keyward agent join", dir, ErrNotJoined)
	}
	if err != nil {
		return Node{}, Keys{}, fmt.Errorf("reading who this machine is: %w", err)
	}
	var n Node
	if err := json.Unmarshal(content, &n); err != nil || n.Account == "" || n.Name == "" || n.Server == "" {
		return Node{}, Keys{}, fmt.Errorf("reading who this machine is: %s is damaged; remove the state directory and join again", filepath.Join(dir, nodeFile))
	}
	k, err := loadKeys(filepath.Join(dir, seedFile))
	return n, k, err
}
