package operator

import (
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/custody"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
)

// An Opening asks for an act, with a passphrase, with the hardware token or with one share.
type Opening struct {
	Session    string // of earlier shares; empty to begin one
	Intent     custody.Intent
	Passphrase material.Bytes
	Share      material.Bytes // text
	Device     bool
}

// Opened is what became of an Opening.
type Opened struct {
	Complete   bool // the act is done
	Progress   custody.Progress
	Deliveries []custody.Delivery // to be handed out, once
}

func (h handler) status(q request) (any, error) {
	if err := q.decode(nil); err != nil {
		return nil, err
	}
	s, err := h.control.Status(q.Context())
	out := api.OperatorStatus{
		Initialized: s.Initialized, Sealed: s.Sealed, Version: s.Version, Envelopes: len(s.Envelopes), Node: s.Node,
		AuditCheckpoint: string(s.Checkpoint), PublicKey: s.PublicKey,
		RootEnvelopes: make([]api.RootEnvelope, len(s.Envelopes)), Epoch: int(s.Epoch), Rewrapping: s.Rewrapping,
		ScrubbedAt: s.ScrubbedAt, Findings: s.Findings, Witnesses: make([]api.WitnessStatus, len(s.Witnesses)),
		Clock: api.ClockStatus{
			State: string(s.Clock.State), OffsetSeconds: int64(s.Clock.Offset.Seconds()), ServedSeconds: int64(s.Clock.Served.Seconds()),
		},
	}
	for i, w := range s.Witnesses {
		out.Witnesses[i] = api.WitnessStatus{Name: w.Witness, URL: w.URL, Size: w.Size, CosignedAt: w.At, Conflict: w.Conflict, Problem: w.Problem}
	}
	tested := map[string]time.Time{}
	for _, t := range s.Tests {
		tested[t.Envelope] = t.At
	}
	for i, e := range s.Envelopes {
		threshold, shares := e.Shares()
		out.RootEnvelopes[i] = api.RootEnvelope{
			Name: e.Title(), Kind: e.Provider, Recovery: e.Recovery, Threshold: threshold, Shares: shares, CreatedAt: e.CreatedAt,
		}
		if at, ok := tested[e.ID]; ok {
			out.RootEnvelopes[i].TestedAt = &at
			out.RecoveryTested = out.RecoveryTested || e.Recovery
		}
	}
	return out, err
}

func (h handler) initialize(q request) (any, error) {
	var in api.InitializeRequest
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	first := custody.Intent{
		Act: custody.Add, Recipients: in.Recipients,
		Protection: seal.Protection{Name: "passphrase", Passphrase: material.NewBytes(in.Passphrase), Shares: in.Shares, Threshold: in.Threshold, Device: in.HSM},
	}
	defer first.Zero()
	if in.HSM {
		first.Protection.Name = "hsm"
	}
	if in.Shares != 0 || in.Threshold != 0 {
		first.Protection.Name = "shares"
	}
	founded, deliveries, err := h.control.Found(q.Context(), first, in.Account)
	return foundedAccount(founded, deliveries), err
}

func foundedAccount(f iam.Founded, d []custody.Delivery) api.FoundedAccount {
	return api.FoundedAccount{
		AccountID: f.Account.ID, UserName: f.Key.AccessKey.User, AccessKeyID: f.Key.AccessKey.ID,
		AccessKeySecret: api.SecretText(f.Key.Secret.Expose()), Shares: delivered(d),
	}
}

func delivered(deliveries []custody.Delivery) []api.Delivery {
	var out []api.Delivery
	for _, d := range deliveries {
		out = append(out, api.Delivery{Share: d.Index, Recipient: d.Recipient, Text: api.SecretText(d.Text.Expose())})
	}
	return out
}

func (h handler) openRootKey(q request) (any, error) {
	var in api.RootKeyRequest
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	opening := Opening{
		Session: string(in.Session), Passphrase: material.NewBytes(in.Passphrase), Share: material.NewBytes([]byte(in.Share)), Device: in.HSM,
		Intent: custody.Intent{
			Act: custody.Act(in.Act), Recipients: in.Recipients, Untested: in.AcceptUntested,
			Protection: seal.Protection{
				Name: in.Name, Recovery: in.Recovery, Passphrase: material.NewBytes(in.NewPassphrase), Shares: in.Shares, Threshold: in.Threshold, Device: in.NewHSM,
			},
		},
	}
	if opening.Intent.Act == custody.Remove {
		opening.Intent.Envelope, opening.Intent.Protection.Name = in.Name, ""
	}
	defer opening.Passphrase.Zero()
	defer opening.Share.Zero()
	defer opening.Intent.Zero()
	ways := 0
	for _, given := range []bool{opening.Passphrase.Len() > 0, opening.Share.Len() > 0, opening.Device} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return nil, fault.InvalidParameter.New("the root key opens with a passphrase, with shares or with the hardware token; give one of them")
	}
	opened, err := h.control.OpenRootKey(q.Context(), opening)
	out := session(opened.Progress)
	out.Complete, out.Deliveries = opened.Complete, delivered(opened.Deliveries)
	return out, err
}

func session(p custody.Progress) api.RootKeySession {
	out := api.RootKeySession{
		Session: api.SecretText(p.Session), Act: string(p.Intent.Act), Envelope: p.Envelope, Threshold: p.Threshold, Given: p.Given,
		Name: p.Intent.Protection.Name, Recovery: p.Intent.Protection.Recovery, Recipients: p.Intent.Recipients, AcceptUntested: p.Intent.Untested,
		NewShares: p.Intent.Protection.Shares, NewThreshold: p.Intent.Protection.Threshold, NewHSM: p.Intent.Protection.Device,
	}
	if p.Intent.Act == custody.Remove {
		out.Name = p.Intent.Envelope
	}
	if !p.Ends.IsZero() {
		out.EndsAt = &p.Ends
	}
	return out
}

func (h handler) hsm(q request) (any, error) {
	if err := q.decode(nil); err != nil {
		return nil, err
	}
	s, err := h.control.Token(q.Context())
	out := api.HSMStatus{
		State: string(s.State), Detail: s.Detail, DetailZh: s.DetailZh, Label: s.Label, Serial: s.Serial, Maker: s.Maker, Sessions: s.Sessions, Lost: s.Lost,
		Offers: make([]api.HSMOffer, len(s.Offers)),
	}
	if !s.Since.IsZero() {
		out.Since = &s.Since
	}
	for i, o := range s.Offers {
		out.Offers[i] = api.HSMOffer{Spec: string(o.Spec), Reason: o.Reason, ReasonZh: o.ReasonZh}
	}
	return out, err
}

func (h handler) showSession(q request) (any, error) {
	var in api.RootKeySessionRequest
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	p, err := h.control.ShowSession(q.Context(), string(in.Session))
	return session(p), err
}

func (h handler) cancelSession(q request) (any, error) {
	var in api.RootKeySessionRequest
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	return nil, h.control.CancelSession(q.Context(), string(in.Session))
}
