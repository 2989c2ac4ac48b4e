package rest

import (
	"context"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/exposure"
	"github.com/keyward/keyward/internal/server/rest/words"
)

func leakRoutes() []route {
	return []route{
		{"GET", "/v1/leaks/key", "GetScanKey", "keyward:GetScanKey", "Answers what secrets are blinded with before they are reported.", takes((*dialect).getScanKey)},
		{"POST", "/v1/leaks/reports", "ReportLeaks", "keyward:ReportLeaks", "Takes in what a search for leaks saw; the findings follow.", takes((*dialect).reportLeaks)},
		{"POST", "/v1/leaks/accepted", "ListAcceptedLeaks", "keyward:ListAcceptedLeaks", "Answers which credentials of a push a person accepts now.", takes((*dialect).acceptedLeaks)},
	}
}

func (d *dialect) getScanKey(ctx context.Context, q request, _ none) (api.ScanKey, error) {
	key, err := d.Exposures.ScanKey(ctx, q.call)
	return api.ScanKey{Key: api.SecretText(key)}, err
}

func (d *dialect) reportLeaks(ctx context.Context, q request, in api.ReportLeaksRequest) (api.LeakReceipt, error) {
	r := exposure.Report{Origin: in.Origin, Stopped: in.Stopped, Reason: in.Reason}
	for _, c := range in.Seen {
		severity, err := severity(c.Severity)
		if err != nil {
			return api.LeakReceipt{}, d.refuse(ctx, q.call, "keyward:ReportLeaks", err)
		}
		r.Seen = append(r.Seen, exposure.Seen{
			Blind: c.Blind, KeyID: c.KeyID, Rule: c.Rule, Severity: severity, More: c.More,
			Places: words.Each(c.Places, func(p api.SeenPlace) exposure.Place { return exposure.Place(p) }),
		})
	}
	return api.LeakReceipt{Received: len(r.Seen)}, d.Exposures.Report(ctx, q.call, r)
}

func (d *dialect) acceptedLeaks(ctx context.Context, q request, in api.AcceptedLeaksRequest) (api.AcceptedLeaks, error) {
	accepted, err := d.Exposures.Accepted(ctx, q.call, in.Blinds)
	return api.AcceptedLeaks{Accepted: append([]string{}, accepted...)}, err
}
