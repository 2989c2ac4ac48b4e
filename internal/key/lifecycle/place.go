package lifecycle

import (
	"context"
	"slices"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/instance"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/xks"
)

// settle says where a new key lives and where its material comes from. In an instance the
// class decides, whatever protection level is asked for: clients of Alibaba Cloud send one
// always.
func (s *Service) settle(ctx context.Context, c *authz.Call, k *key.Key, in CreateInput) error {
	if !slices.Contains([]string{"", key.LevelSoftware, key.LevelHSM}, in.ProtectionLevel) {
		return fault.InvalidParameter.New("The specified parameter ProtectionLevel is not valid. It must be %s or %s.", key.LevelSoftware, key.LevelHSM)
	}
	if in.Instance == "" {
		if in.ProtectionLevel == key.LevelHSM {
			k.ProtectionLevel = key.LevelHSM
		}
		if err := s.countDefault(ctx, c, in); err != nil {
			return err
		}
		return origin(k, in)
	}
	i, err := s.instances.Place(ctx, c.Account, in.Instance)
	if err != nil {
		return err
	}
	k.Instance = i.ID
	if i.Account != k.Account {
		k.Lender = i.Account
	}
	switch i.Class {
	case instance.External:
		return outside(k, in)
	case instance.Hardware:
		k.ProtectionLevel = key.LevelHSM
	}
	return origin(k, in)
}

// InstanceOf answers the id of the instance that a key of the account is in; "" for one that is
// in none, or is not there.
func (s *Service) InstanceOf(ctx context.Context, account string, id key.ID) (string, error) {
	k, err := s.store.Key(ctx, account, id)
	if fault.Is(err, fault.KeyNotFound) {
		return "", nil
	}
	return k.Instance, err
}

// CheckIn refuses a key that is not in the instance with an id or a name, for other domains that
// put something under a key. An instance that is not there is [fault.ResourceNotFound].
func (s *Service) CheckIn(ctx context.Context, account string, id key.ID, name string) error {
	i, err := s.instances.Place(ctx, account, name)
	if err != nil {
		return err
	}
	in, err := s.InstanceOf(ctx, account, id)
	if err == nil && in != i.ID {
		err = fault.InvalidParameter.New("the key %s is not in the instance %s; name a symmetric key of that instance", id, name)
	}
	return err
}

// countDefault refuses another key in no instance, if the server has a limit for them. Those of
// services are not counted.
func (s *Service) countDefault(ctx context.Context, c *authz.Call, in CreateInput) error {
	if s.defaultKeys == 0 || in.Service != "" {
		return nil
	}
	_, have, err := s.store.Keys(ctx, c.Account, key.Filter{Default: true, CreatorTypes: []string{"User"}}, key.Page{Number: 1, Size: 1})
	if err == nil && have >= s.defaultKeys {
		err = fault.LimitExceeded.New("the account has %d default keys, which is the limit; make the key in an instance", have)
	}
	return err
}

// origin says where the material of a key comes from that keyward or a token keeps.
func origin(k *key.Key, in CreateInput) error {
	switch in.Origin {
	case "", key.OriginKMS:
	case key.OriginExternal:
		k.Origin, k.State, k.Empty = in.Origin, key.PendingImport, true
	case key.OriginManager:
		return fault.InvalidParameter.New("The specified parameter Origin is not valid. A key has the origin %s in an instance of the class %s.", in.Origin, instance.External)
	default:
		return fault.InvalidParameter.New("The specified parameter Origin is not valid. It must be %s or %s.", key.OriginKMS, key.OriginExternal)
	}
	if in.External != "" {
		return fault.InvalidParameter.New("The specified parameter ExternalKeyId is not valid. A key has one in an instance of the class %s.", instance.External)
	}
	return nil
}

// outside says that an external manager has the key, which is known to the protocol as AES
// of 256 bits that encrypts.
func outside(k *key.Key, in CreateInput) error {
	if in.Origin != "" && in.Origin != key.OriginManager {
		return fault.InvalidParameter.New("The specified parameter Origin is not valid. In an instance of the class %s it is %s.", instance.External, key.OriginManager)
	}
	if k.Spec != material.AES256 {
		return fault.UnsupportedOperation.New("Unsupported operation. An external key has the spec %s.", material.AES256)
	}
	if in.External == "" {
		return fault.MissingParameter.New("ExternalKeyId is mandatory in an instance of the class %s: it names the key at the manager.", instance.External)
	}
	if !xks.ValidKey(in.External) {
		return fault.InvalidParameter.New("The specified parameter ExternalKeyId is not valid. It has 1 to 128 letters, digits and characters of . _ -, and not dots alone.")
	}
	k.Origin, k.External = key.OriginManager, in.External
	return nil
}
