package app

import (
	"path/filepath"

	"github.com/keyward/keyward/internal/cloud/alibaba"
	"github.com/keyward/keyward/internal/cloud/aws"
	"github.com/keyward/keyward/internal/cloud/httpapi"
	"github.com/keyward/keyward/internal/cloud/tencent"
	"github.com/keyward/keyward/internal/rotation"
	rotating "github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/rotation/spool"
	"github.com/keyward/keyward/internal/store/fleet"
)

// spoolDir is where a node keeps new keys until they are in their secrets.
const spoolDir = "rotation.spool"

// rotators builds what replaces keys.
func (e *engine) rotators(a *App) {
	kept := &spool.Spool{Directory: filepath.Join(a.Config.DataDir, spoolDir)}
	if err := kept.Sweep(); err != nil {
		a.Logger.Warn("starting", "error", err) // it takes room, and no more
	}
	e.rotations = rotating.New(rotating.Options{
		Store: fleet.Rotations{Store: e.store}, Inventory: e.stock, Secrets: e.secrets, Rollouts: e.rollouts, Incidents: e.alerts, Tenants: e.iam,
		Spool: kept, Log: e.log, Kinds: issuers(), Count: a.metrics, Region: a.Config.Region, Now: e.now, Fresh: e.store.Fresh, Logger: a.Logger,
	})
}

// issuers answers the kinds of providers at which keyward makes and ends keys itself.
func issuers() []rotation.KindOfIssuer {
	return []rotation.KindOfIssuer{tencent.Issuer(), alibaba.Issuer(), aws.Issuer(), httpapi.Issuer()}
}
