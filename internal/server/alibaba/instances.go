package alibaba

import (
	"context"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/server/alibaba/rpc"
)

// noInstance is what says that there is no such instance.
const noInstance = "Forbidden.DKMSInstanceNotFound"

// instanceState is what says that an instance cannot do it now: its manager or its token is out
// of reach, or refuses.
const instanceState = "Forbidden.DKMSInstanceStateInvalid"

type instanceEntry struct{ KmsInstanceArn, KmsInstanceId string } //nolint:revive // the wire's spelling, here and below

func listKmsInstances(d *Dialect, c *authz.Call, v *rpc.Values) act {
	p := v.Page()
	if err := p.Check(); err != nil {
		v.Fail(err)
	}
	return func(ctx context.Context) (rpc.Response, error) {
		out := &struct {
			rpc.Reply
			paged
			KmsInstances struct{ KmsInstance []instanceEntry }
		}{}
		all, err := d.Instances.List(ctx, c)
		out.paged = paged{p.Number, p.Size, len(all)}
		out.KmsInstances.KmsInstance = []instanceEntry{}
		for _, i := range pageOf(all, p) {
			out.KmsInstances.KmsInstance = append(out.KmsInstances.KmsInstance, instanceEntry{d.Instances.ARN(i.Account, i.ID), i.ID})
		}
		return out, err
	}
}

// pageOf answers a page of a list that is there as a whole.
func pageOf[T any](all []T, p key.Page) []T {
	begin := min((p.Number-1)*p.Size, len(all))
	return all[begin:min(begin+p.Size, len(all))]
}

type kmsInstance struct {
	BindVpcs     struct{ BindVpc []string } // it is not bound to networks
	CreateTime   string
	InstanceId   string
	InstanceName string
	KeyNum       int // that it has
	ProductType  string
	StartDate    string
	Status       string
}

func getKmsInstance(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id := v.Need("KmsInstanceId")
	return func(ctx context.Context) (rpc.Response, error) {
		i, err := d.Instances.Show(ctx, c, id)
		out := kmsInstance{
			CreateTime: date(i.CreatedAt), InstanceId: i.ID, InstanceName: i.Name, KeyNum: i.Keys, ProductType: string(i.Class),
			StartDate: date(i.CreatedAt), Status: "Connected",
		}
		out.BindVpcs.BindVpc = []string{}
		if i.Trouble != "" {
			out.Status = "Error"
		}
		return &struct {
			rpc.Reply
			KmsInstance kmsInstance
		}{KmsInstance: out}, err
	}
}

func releaseKmsInstance(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id := v.Need("KmsInstanceId")
	return func(ctx context.Context) (rpc.Response, error) { return done(d.Instances.Delete(ctx, c, id)) }
}

// accessQuota is what the quota of other accounts is called: no source names it.
const accessQuota = "access"

type quotaInfo struct {
	ResourceQuota int
	ResourceType  string
	UsedQuantity  int
}

func getKmsInstanceQuotaInfos(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id, only := v.Need("KmsInstanceId"), v.Text("ResourceType")
	return func(ctx context.Context) (rpc.Response, error) {
		used, quota, err := d.Instances.Quota(ctx, c, id)
		out := &struct {
			rpc.Reply
			KmsInstanceId         string
			KmsInstanceQuotaInfos []quotaInfo
		}{KmsInstanceId: id, KmsInstanceQuotaInfos: []quotaInfo{}}
		if only == "" || only == accessQuota {
			out.KmsInstanceQuotaInfos = append(out.KmsInstanceQuotaInfos, quotaInfo{quota, accessQuota, used})
		}
		return out, err
	}
}

type region struct{ RegionId string }

// describeRegions needs no permission: it tells nothing that the caller does not know.
func describeRegions(d *Dialect, c *authz.Call, _ *rpc.Values) act {
	return func(ctx context.Context) (rpc.Response, error) {
		out := &struct {
			rpc.Reply
			Regions struct{ Region []region }
		}{}
		out.Regions.Region = []region{{d.Region}}
		return out, d.Log.Do(ctx, audit.NewRecord(c, "kms:DescribeRegions"), func() error { return nil })
	}
}

func describeAccountKmsStatus(d *Dialect, c *authz.Call, _ *rpc.Values) act {
	return func(ctx context.Context) (rpc.Response, error) {
		out := &struct {
			rpc.Reply
			AccountStatus string
		}{AccountStatus: "Enabled"}
		return out, d.Keys.AccountStatus(ctx, c)
	}
}

func openKmsService(d *Dialect, c *authz.Call, _ *rpc.Values) act {
	return func(ctx context.Context) (rpc.Response, error) { return done(d.Keys.OpenService(ctx, c)) }
}
