//go:build cgo

package token

import (
	"bytes"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/hsm"
	"github.com/keyward/keyward/internal/material"
)

// probe finds out what keys the token makes: by what it lists and, where that does not
// tell, by making a key for a moment.
func (c *connection) probe() error {
	mechanisms := map[uint]pkcs11.MechanismInfo{}
	listed, err := c.module.GetMechanismList(c.slot)
	if err != nil {
		return fmt.Errorf("listing the token's mechanisms: %w", err)
	}
	for _, m := range listed {
		info, err := c.module.GetMechanismInfo(c.slot, []*pkcs11.Mechanism{m})
		if err != nil {
			return fmt.Errorf("asking for mechanism %#x: %w", m.Mechanism, err)
		}
		mechanisms[m.Mechanism] = info
	}
	for _, spec := range material.Specs() {
		reason := c.reason(spec, mechanisms)
		c.offers = append(c.offers, hsm.Offer{Spec: spec, Reason: reason.String(), ReasonZh: reason.Chinese()})
	}
	return nil
}

// needed are the mechanisms that keys of a type take, generation aside.
func needed(k kind) map[uint]string {
	switch k.keyType {
	case pkcs11.CKK_AES:
		return map[uint]string{pkcs11.CKM_AES_GCM: "CKM_AES_GCM"}
	case pkcs11.CKK_RSA:
		return map[uint]string{pkcs11.CKM_RSA_PKCS: "CKM_RSA_PKCS", pkcs11.CKM_RSA_PKCS_PSS: "CKM_RSA_PKCS_PSS"}
	default:
		return map[uint]string{pkcs11.CKM_ECDSA: "CKM_ECDSA"}
	}
}

// reason answers why the token makes no keys of a spec, nothing if it does.
func (c *connection) reason(spec material.Spec, mechanisms map[uint]pkcs11.MechanismInfo) fault.Text {
	if spec.MAC() {
		return fault.Say("keyward keeps HMAC keys in software only")
	}
	k, ok := kindOf(spec)
	if !ok {
		return fault.Say("PKCS#11 2.40 has no mechanism for it")
	}
	generation, ok := mechanisms[k.generation]
	if !ok {
		return fault.Say("the token does not generate such keys (mechanism %#x)", k.generation)
	}
	for mechanism, name := range needed(k) {
		if _, ok := mechanisms[mechanism]; !ok {
			return fault.Say("the token has no %s", name)
		}
	}
	size := uint(k.bits)
	if k.keyType == pkcs11.CKK_AES && generation.MaxKeySize < 128 { // most count bytes
		size /= 8
	}
	if generation.MaxKeySize != 0 && k.bits != 0 && (size < generation.MinKeySize || size > generation.MaxKeySize) {
		return fault.Say("the token generates keys of %d to %d", generation.MinKeySize, generation.MaxKeySize)
	}
	if k.keyType == pkcs11.CKK_RSA { // making one takes seconds
		return fault.Text{}
	}
	if err := c.try(spec); err != nil {
		return textOf(err)
	}
	return fault.Text{}
}

// try makes a key of a spec that ends with its session and, of AES, finds out who chooses
// the IVs: this side, if the token takes ones of 16 bytes; otherwise the token, if it makes
// its own, and a different one each time. A token that wants to be given IVs of 12 bytes is
// no good: 2^32 random ones would not be safe, and a counter must not be lost.
func (c *connection) try(spec material.Spec) error {
	session, err := c.open()
	if err != nil {
		return err
	}
	defer func() { _ = c.module.CloseSession(session) }() // with all that was made in it
	r := hsm.Request{Spec: string(spec), Algorithm: hsm.ForSigning, Label: "keyward probe", ID: make([]byte, idSize)}
	key, _, err := c.make(session, r, false)
	if k, _ := kindOf(spec); err != nil || k.keyType != pkcs11.CKK_AES {
		return err
	}
	r.Data, r.Additional = make([]byte, 64), []byte("keyward probe")
	if _, _, err := c.gcm(session, key, bytes.Repeat([]byte{1}, randomIV), r); err == nil {
		c.ivSize = randomIV
		return nil
	}
	c.ivSize = 0
	zero := make([]byte, tokenIV)
	var before []byte
	for range 2 {
		used, _, err := c.gcm(session, key, zero, r)
		if err != nil {
			return err
		}
		if bytes.Equal(used, zero) || bytes.Equal(used, before) {
			return fault.Say("its AES-GCM takes IVs of %d bytes only and makes none itself, which is not safe for many messages", tokenIV)
		}
		before = used
	}
	return nil
}
