package alibaba

import (
	"context"
	"strconv"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/server/alibaba/rpc"
	"github.com/keyward/keyward/internal/tag"
)

func tagResource(d *Dialect, c *authz.Call, v *rpc.Values) act {
	v.Need("Tags")
	of, id := tagged(v)
	tags := v.Tags("Tags")
	return func(ctx context.Context) (rpc.Response, error) {
		if of == "SecretName" {
			return done(d.Secrets.Tag(ctx, c, id, tags))
		}
		return done(d.Keys.Tag(ctx, c, id, tags))
	}
}

func untagResource(d *Dialect, c *authz.Call, v *rpc.Values) act {
	var tagKeys []string
	of, id := tagged(v)
	v.Need("TagKeys")
	v.Document("TagKeys", &tagKeys, `It must be a JSON list such as ["team"].`)
	return func(ctx context.Context) (rpc.Response, error) {
		if of == "SecretName" {
			return done(d.Secrets.Untag(ctx, c, id, tagKeys))
		}
		return done(d.Keys.Untag(ctx, c, id, tagKeys))
	}
}

// tagged reads what the singular tag actions work on, and the parameter that names it.
func tagged(v *rpc.Values) (of, id string) {
	id, name := v.Text("KeyId"), v.Text("SecretName")
	switch {
	case name == "":
		return "KeyId", v.Need("KeyId")
	case id != "":
		v.Invalid("SecretName", "Name a key or a secret, not both.")
	}
	return "SecretName", name
}

// What the plural tag actions work on.
const (
	aKey    = "key"
	aSecret = "secret"
)

// resources reads what the plural tag actions work on: keys by their ids, secrets by their names.
func resources(v *rpc.Values) (kind string, ids []string) {
	kind = v.Need("ResourceType")
	if kind != "" && kind != aKey && kind != aSecret {
		v.Invalid("ResourceType", "It must be key or secret.")
	}
	return kind, v.List("ResourceId", tag.MaxMany)
}

func tagResources(d *Dialect, c *authz.Call, v *rpc.Values) act {
	kind, ids := resources(v)
	tags := v.Pairs("Tag", tag.Max)
	if len(ids) == 0 {
		v.Need("ResourceId.1")
	}
	if len(tags) == 0 {
		v.Need("Tag.1.Key")
	}
	return func(ctx context.Context) (rpc.Response, error) {
		if kind == aSecret {
			return done(d.Secrets.TagMany(ctx, c, ids, tags))
		}
		return done(d.Keys.TagMany(ctx, c, ids, tags))
	}
}

func untagResources(d *Dialect, c *authz.Call, v *rpc.Values) act {
	kind, ids := resources(v)
	tagKeys, all := v.List("TagKey", tag.Max), v.Boolean("All")
	if len(ids) == 0 {
		v.Need("ResourceId.1")
	}
	if len(tagKeys) == 0 && !all {
		v.Need("TagKey.1")
	}
	all = all && len(tagKeys) == 0
	return func(ctx context.Context) (rpc.Response, error) {
		if kind == aSecret {
			return done(d.Secrets.UntagMany(ctx, c, ids, tagKeys, all))
		}
		return done(d.Keys.UntagMany(ctx, c, ids, tagKeys, all))
	}
}

type resourceTag struct{ ResourceId, ResourceType, TagKey, TagValue string }

// taggedPerPage keeps one answer of ListTagResources within its 200 rows.
const taggedPerPage = 200 / tag.Max

func listTagResources(d *Dialect, c *authz.Call, v *rpc.Values) act {
	kind, ids := resources(v)
	tags := v.Pairs("Tag", tag.Max)
	page := key.Page{Number: 1, Size: taggedPerPage}
	if token := v.Text("NextToken"); token != "" {
		plain, err := d.Tokens.OpenToken(token)
		if page.Number, _ = strconv.Atoi(plain); err != nil || page.Number < 1 {
			v.Invalid("NextToken", "Pass on the one that the previous answer gave.")
		}
	}
	return func(ctx context.Context) (rpc.Response, error) {
		out := &tagPage{}
		out.TagResources.TagResource = []resourceTag{}
		var total int
		if kind == aSecret {
			secrets, n, err := d.Secrets.Tagged(ctx, c, secret.Filter{Names: ids, Tags: tags}, page)
			if err != nil {
				return nil, err
			}
			for _, s := range secrets {
				out.add(s.Name, kind, s.Tags)
			}
			total = n
		} else {
			keys, n, err := d.Keys.Tagged(ctx, c, ids, tags, page)
			if err != nil {
				return nil, err
			}
			for _, k := range keys {
				out.add(string(k.ID), kind, k.Tags)
			}
			total = n
		}
		if page.Number*page.Size >= total {
			return out, nil
		}
		var err error
		out.NextToken, err = d.Tokens.SealToken(strconv.Itoa(page.Number + 1))
		return out, err
	}
}

type tagPage struct {
	rpc.Reply
	NextToken    string
	TagResources struct{ TagResource []resourceTag }
}

func (p *tagPage) add(id, kind string, tags []tag.Tag) {
	for _, t := range tags {
		p.TagResources.TagResource = append(p.TagResources.TagResource, resourceTag{id, kind, t.Key, t.Value})
	}
}

type keyTag struct{ KeyId, TagKey, TagValue string }

func listResourceTags(d *Dialect, c *authz.Call, v *rpc.Values) act {
	id := v.Need("KeyId")
	return func(ctx context.Context) (rpc.Response, error) {
		k, err := d.Keys.Tags(ctx, c, id)
		out := &struct {
			rpc.Reply
			Tags struct{ Tag []keyTag }
		}{}
		out.Tags.Tag = []keyTag{}
		for _, t := range k.Tags {
			out.Tags.Tag = append(out.Tags.Tag, keyTag{string(k.ID), t.Key, t.Value})
		}
		return out, err
	}
}
