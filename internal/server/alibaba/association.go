package alibaba

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/server/alibaba/rpc"
	"github.com/keyward/keyward/internal/usage"
)

// The operations of this file are extensions: Alibaba Cloud has key associations in its
// console only. Its command line calls them with --force.

// detection is what the token of a detection says: that of a key, and when it is finished.
const detection = "key association detection "

func startKeyAssociationDetection(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id := v.Need("KeyId")
	return func(ctx context.Context) (rpc.Response, error) {
		finished, err := d.Usage.Detect(ctx, c, id)
		if err != nil {
			return nil, err
		}
		token, err := d.Tokens.SealToken(detection + strconv.FormatInt(finished.UnixMicro(), 10))
		return &struct {
			rpc.Reply
			DetectionId string
			Status      string
		}{DetectionId: token, Status: "Detecting"}, err
	}
}

// detected tells how a detection stands; what is stored without one is what was finished last.
func (d *Dialect) detected(c *authz.Call, v *rpc.Values) string {
	token := v.Text("DetectionId")
	if token == "" {
		return "Finished"
	}
	plain, err := d.Tokens.OpenToken(token)
	at, ok := strings.CutPrefix(plain, detection)
	micros, bad := strconv.ParseInt(at, 10, 64)
	if err != nil || !ok || bad != nil {
		v.Invalid("DetectionId", "Pass on the one that StartKeyAssociationDetection answered.")
	}
	if c.Time.Before(time.UnixMicro(micros)) {
		return "Detecting"
	}
	return "Finished"
}

type associationEntry struct {
	Product       string
	Principal     string
	SourceIp      string
	Action        string
	CallCount     int64
	FirstCallTime string
	LastCallTime  string
}

type associatedVersion struct {
	KeyVersionId    string
	CallCount       int64
	LastCallTime    string
	CiphertextCount int64
}

type associatedResource struct{ Product, Resource, Note, Creator, CreateTime string }

type associations struct {
	rpc.Reply
	paged
	KeyId           string
	KeyState        string
	Status          string
	Conclusion      string
	CountedSince    string
	LastCallTime    string
	CiphertextCount int64
	Associations    struct{ Association []associationEntry }
	KeyVersions     struct{ KeyVersion []associatedVersion }
	Resources       struct{ Resource []associatedResource }
}

func listKeyAssociations(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id, p, status := v.Need("KeyId"), v.Page(), d.detected(c, v)
	if err := p.Check(); err != nil {
		v.Fail(err)
	}
	return func(ctx context.Context) (rpc.Response, error) {
		r, err := d.Usage.Usage(ctx, c, id)
		out := &associations{
			paged: paged{p.Number, p.Size, len(r.Uses)}, KeyId: string(r.Key.ID), KeyState: string(r.Key.State), Status: status,
			Conclusion: string(r.Status()), CountedSince: date(r.Since), LastCallTime: date(r.LastUsed()), CiphertextCount: r.Made(),
		}
		out.Associations.Association, out.KeyVersions.KeyVersion, out.Resources.Resource = []associationEntry{}, []associatedVersion{}, []associatedResource{}
		for _, u := range pageOf(r.Uses, p) {
			out.Associations.Association = append(out.Associations.Association, associationEntry{u.Product, u.Principal, u.Source, u.Action, u.N, date(u.First), date(u.Last)})
		}
		for _, u := range r.Versions {
			out.KeyVersions.KeyVersion = append(out.KeyVersions.KeyVersion, associatedVersion{string(u.Version), u.Used, date(u.UsedAt), u.Made})
		}
		for _, k := range r.Resources {
			out.Resources.Resource = append(out.Resources.Resource, associatedResource{k.Product, k.Name, k.Note, k.Creator, date(k.CreatedAt)})
		}
		return out, err
	}
}

func registerKeyAssociation(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id, in := v.Need("KeyId"), usage.Resource{Product: v.Need("Product"), Name: v.Need("Resource"), Note: v.Text("Note")}
	return func(ctx context.Context) (rpc.Response, error) { return done(d.Usage.Register(ctx, c, id, in)) }
}

func deregisterKeyAssociation(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id, product, name := v.Need("KeyId"), v.Need("Product"), v.Need("Resource")
	return func(ctx context.Context) (rpc.Response, error) {
		return done(d.Usage.Deregister(ctx, c, id, product, name))
	}
}
