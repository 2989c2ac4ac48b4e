// Package kubernetes delivers secrets into Secrets of a Kubernetes cluster, and tells from
// the pods how far their users came.
//
// The Secret is written by server-side apply under the field manager "keyward", never by
// force: what another manager owns (somebody's kubectl edit, a GitOps controller) answers
// with a conflict, which is told as drifted and left as it is until a person has it
// overwritten. Each apply carries the resourceVersion that was read before, so that one that
// was late cannot bring an older generation back.
//
// That the Secret is there is received, and no more. A pod has come farther if it carries
// the generation in its annotation: its own program put it there after it had read the
// Secret, or the target names a workload and keyward put it into that one's template, so
// that only pods that started afterwards carry it. All pods that the selector chooses carry
// it: applied. All of them are ready, too: used; what readiness means is up to the pods'
// probe. docs/targets.md tells this to users.
//
// Who may call: package target, through the kind that [Kind] answers. What is trusted: the
// API server, for what it says of Secrets and pods; whoever may annotate the pods can make
// them seem to have come farther. Values that are read are compared and dropped; what the
// API server says in words is not repeated, but for names that look like names.
package kubernetes

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/target"
)

// The annotations of a Secret that keyward writes. GenerationAnnotation is also that of pods,
// unless the target names another.
const (
	RolloutAnnotation    = "keyward/rollout"
	GenerationAnnotation = "keyward/generation"
	VersionAnnotation    = "keyward/version"
)

// Manager is who keyward is among the managers of a Secret's fields.
const Manager = "keyward"

// Kind answers the kind of target for package target.
func Kind() target.KindOfTarget {
	return target.KindOfTarget{Name: "kubernetes", Form: fields(), Open: open}
}

func fields() form.Form {
	return form.Form{
		Settings: []form.Field{
			{Name: "server", Required: true, Example: "https://10.0.0.1:6443", Help: form.Text{English: "URL of the API server", Chinese: "API server 的 URL"}},
			{Name: "ca", Lines: true, Help: form.Text{
				English: "certificates of the authority that the server's comes from, in PEM; those that this machine trusts if empty", Chinese: "签发服务器证书的 CA 证书（PEM）；留空则使用本机信任的 CA"}},
			{Name: "namespace", Required: true, Example: "shop", Help: form.Text{English: "namespace of the Secret and of the pods", Chinese: "Secret 与 Pod 所在的命名空间"}},
			{Name: "secret", Required: true, Example: "pay-{rollout}", Help: form.Text{
				English: "name of the Secret; {rollout} stands for the rollout's name", Chinese: "Secret 的名称；{rollout} 代表分发的名称"}},
			{Name: "keys", Example: "id=primary.access_key_id,secret=primary.access_key_secret", Help: form.Text{
				English: "what the Secret holds: KEY=primary or KEY=fallback for a whole value, KEY=primary.PART for a part; primary=primary,fallback=fallback if empty",
				Chinese: "Secret 的内容：KEY=primary 或 KEY=fallback 为整个值，KEY=primary.PART 为其中一部分；默认 primary=primary,fallback=fallback"}},
			{Name: "selector", Required: true, Example: "app=shop", Help: form.Text{English: "labels of the pods that use the Secret", Chinese: "使用该 Secret 的 Pod 的标签选择器"}},
			{Name: "workload", Example: "deployment/shop", Help: form.Text{
				English: "deployment, statefulset or daemonset that is restarted with each generation; if empty, the pods annotate themselves", Chinese: "每次更新后重启的 deployment、statefulset 或 daemonset；留空则由 Pod 自行更新注解"}},
			{Name: "pod_annotation", Example: GenerationAnnotation, Help: form.Text{
				English: "annotation in which pods carry the generation; " + GenerationAnnotation + " if empty", Chinese: "Pod 记录代次的注解；默认 " + GenerationAnnotation}},
		},
		Credential: []form.Field{
			{Name: "token", Required: true, Help: form.Text{English: "bearer token of a service account", Chinese: "服务账号的 Bearer 令牌"}},
		},
	}
}

// A cluster is one target: a Secret, and the pods that use it.
type cluster struct {
	http       *http.Client
	base       *url.URL
	token      material.Bytes
	namespace  string
	secret     string // template
	keys       []dataKey
	selector   string
	workload   []string // nil, or the segments of its path, such as deployments and shop
	annotation string
	now        func() time.Time
}

var (
	labelName   = lazy.Regexp(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)                   // RFC 1123
	objectName  = lazy.Regexp(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)                 // likewise, with dots
	annotations = lazy.Regexp(`^([a-z0-9.-]{1,253}/)?[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`) // with a prefix
	workloads   = map[string]string{"deployment": "deployments", "statefulset": "statefulsets", "daemonset": "daemonsets"}
)

func open(o target.Opening) (_ target.Place, err error) {
	s := o.Settings
	c := &cluster{
		namespace: s["namespace"], secret: s["secret"], selector: s["selector"], annotation: cmp.Or(s["pod_annotation"], GenerationAnnotation),
		token: o.Credential["token"], now: o.Now,
	}
	c.base, err = url.Parse(s["server"])
	if err != nil || c.base.Scheme != "https" && c.base.Scheme != "http" || c.base.Hostname() == "" || c.base.User != nil || c.base.RawQuery != "" || c.base.Fragment != "" {
		return nil, fault.InvalidParameter.New("the field server must be a URL such as https://10.0.0.1:6443, without user, query or fragment")
	}
	if c.base.Scheme == "http" && len(o.Allow) == 0 {
		return nil, fault.InvalidParameter.New("the field server must begin with https; http is for networks that the operator allowed with egress.allow")
	}
	if !labelName().MatchString(c.namespace) {
		return nil, fault.InvalidParameter.New("the field namespace is no name of a namespace")
	}
	if !objectName().MatchString(strings.ReplaceAll(c.secret, "{rollout}", "x")) {
		return nil, fault.InvalidParameter.New("the field secret is no name of a Secret; {rollout} may be a part of it")
	}
	if !annotations().MatchString(c.annotation) {
		return nil, fault.InvalidParameter.New("the field pod_annotation is no name of an annotation")
	}
	if w := s["workload"]; w != "" {
		kind, name, _ := strings.Cut(w, "/")
		if workloads[kind] == "" || !objectName().MatchString(name) {
			return nil, fault.InvalidParameter.New("the field workload must be deployment/NAME, statefulset/NAME or daemonset/NAME")
		}
		c.workload = []string{workloads[kind], name}
	}
	if c.keys, err = parseKeys(s["keys"]); err != nil {
		return nil, err
	}
	c.http = egress.HTTP(o.Allow)
	if ca := s["ca"]; ca != "" {
		if c.http, err = egress.Private(o.Allow, []byte(ca)); err != nil {
			return nil, fault.InvalidParameter.Wrap(err, "the field %q is not one certificate or more in PEM, and nothing else", "ca")
		}
	}
	return c, nil
}

// Check implements target.Place: it asks the API server for each right that is needed.
func (c *cluster) Check(ctx context.Context) error {
	name := c.secret
	if strings.Contains(name, "{rollout}") {
		name = ""
	}
	needs := []attributes{
		{Namespace: c.namespace, Verb: "get", Resource: "secrets", Name: name},
		{Namespace: c.namespace, Verb: "create", Resource: "secrets"},
		{Namespace: c.namespace, Verb: "patch", Resource: "secrets", Name: name},
		{Namespace: c.namespace, Verb: "list", Resource: "pods"},
	}
	if c.workload != nil {
		for _, verb := range []string{"get", "patch"} {
			needs = append(needs, attributes{Namespace: c.namespace, Verb: verb, Group: "apps", Resource: c.workload[0], Name: c.workload[1]})
		}
	}
	for _, n := range needs {
		var review accessReview
		review.APIVersion, review.Kind, review.Spec.Attributes = "authorization.k8s.io/v1", "SelfSubjectAccessReview", n
		status, err := c.call(ctx, http.MethodPost, c.path(nil, "apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"), review, &review)
		if err != nil {
			return err
		}
		if status != http.StatusCreated {
			return c.refused(status, fault.Say("tell what the token may do"))
		}
		if !review.Status.Allowed {
			return fault.NoPermission.New("the token gives no right to %s %s in namespace %s; docs/targets.md has the role that it needs", n.Verb, n.Resource, c.namespace)
		}
	}
	return nil
}

// Look implements target.Place.
func (c *cluster) Look(ctx context.Context, d target.Delivery) (target.Progress, error) {
	name, err := c.nameOf(d)
	if err != nil {
		return target.Progress{}, err
	}
	var s secretObject
	status, err := c.call(ctx, http.MethodGet, c.path(nil, "api", "v1", "namespaces", c.namespace, "secrets", name), nil, &s)
	switch {
	case err != nil:
		return target.Progress{}, err
	case status == http.StatusNotFound:
		return target.Progress{Waiting: "there is no Secret " + name}, nil
	case status != http.StatusOK:
		return target.Progress{}, c.refused(status, fault.Say("read Secret %s", name))
	}
	want, err := render(c.keys, d)
	if err != nil {
		return target.Progress{}, err
	}
	defer erase(want)
	defer erase(s.Data)
	if p, there := s.compare(d, want); !there {
		return p, nil
	}
	if behind, err := c.unannotated(ctx, d); err != nil {
		return target.Progress{}, err
	} else if behind {
		return target.Progress{Waiting: "the workload is not restarted yet"}, nil
	}
	return c.uptake(ctx, d)
}

// compare tells whether a Secret is what a delivery wants, and if not, what it is.
func (s secretObject) compare(d target.Delivery, want map[string][]byte) (target.Progress, bool) {
	drifted := func(format string, args ...any) (target.Progress, bool) {
		return target.Progress{Foreign: true, Waiting: "drifted: " + fmt.Sprintf(format, args...) +
			"; put it right there, or have it overwritten: keyward node target sync " + d.Target + " --overwrite"}, false
	}
	generation, err := strconv.ParseInt(cmp.Or(s.Metadata.Annotations[GenerationAnnotation], "0"), 10, 64)
	number := d.Due.Generation.Number
	switch other := s.Metadata.Annotations[RolloutAnnotation]; {
	case err != nil:
		return drifted("the annotation %s of the Secret is no number", GenerationAnnotation)
	case other != "" && other != d.Rollout:
		return drifted("the Secret belongs to another rollout")
	case generation > number:
		return drifted("the Secret has generation %d, which is newer than %d", generation, number)
	case generation < number:
		return target.Progress{Waiting: fmt.Sprintf("the Secret has generation %d", generation)}, false
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if have, ok := s.Data[name]; !ok || !bytes.Equal(have, want[name]) {
			return drifted("somebody changed %s of the Secret", name)
		}
	}
	return target.Progress{}, true
}

// unannotated tells whether the workload's template has an older generation than a delivery.
func (c *cluster) unannotated(ctx context.Context, d target.Delivery) (bool, error) {
	if c.workload == nil {
		return false, nil
	}
	var w workloadObject
	status, err := c.call(ctx, http.MethodGet, c.workloadPath(nil), nil, &w)
	switch {
	case err != nil:
		return false, err
	case status != http.StatusOK:
		return false, c.refused(status, fault.Say("read the workload %s", c.workload[1]))
	}
	return !c.carries(w.Spec.Template.Metadata.Annotations, d), nil
}

// carries tells whether annotations carry a delivery's generation, or a newer one.
func (c *cluster) carries(annotations map[string]string, d target.Delivery) bool {
	n, err := strconv.ParseInt(annotations[c.annotation], 10, 64)
	return err == nil && n >= d.Due.Generation.Number
}

const (
	perPage = 500
	maxPods = 20 * perPage
)

// uptake tells from the pods how far those are who use a Secret that is there.
func (c *cluster) uptake(ctx context.Context, d target.Delivery) (target.Progress, error) {
	var behind, unready []string
	pods := 0
	for next := ""; ; {
		var page podList
		query := url.Values{"labelSelector": {c.selector}, "limit": {strconv.Itoa(perPage)}}
		if next != "" {
			query.Set("continue", next)
		}
		status, err := c.call(ctx, http.MethodGet, c.path(query, "api", "v1", "namespaces", c.namespace, "pods"), nil, &page)
		if err != nil {
			return target.Progress{}, err
		}
		if status != http.StatusOK {
			return target.Progress{}, c.refused(status, fault.Say("list the pods that the selector chooses"))
		}
		for _, p := range page.Items {
			switch {
			case p.over():
				continue
			case !c.carries(p.Metadata.Annotations, d):
				behind = append(behind, p.name())
			case !p.ready():
				unready = append(unready, p.name())
			}
			pods++
		}
		if next = page.Metadata.Continue; next == "" {
			break
		}
		if pods >= maxPods {
			return target.Progress{}, fault.LimitExceeded.New("the selector chooses more than %d pods; use several targets", maxPods)
		}
	}
	p := target.Progress{Level: rollout.Received}
	switch {
	case pods == 0:
		p.Waiting = "the selector chooses no pod"
	case len(behind) > 0:
		p.Waiting = fmt.Sprintf("%d of %d pods do not carry the generation: %s", len(behind), pods, target.Names(behind))
	case len(unready) > 0:
		p.Level, p.Waiting = rollout.Applied, fmt.Sprintf("%d of %d pods are not ready: %s", len(unready), pods, target.Names(unready))
	default:
		p.Level, p.UsedAt = rollout.Used, c.now()
	}
	return p, nil
}

// Put implements target.Place.
func (c *cluster) Put(ctx context.Context, d target.Delivery) error {
	name, err := c.nameOf(d)
	if err != nil {
		return err
	}
	data, err := render(c.keys, d)
	if err != nil {
		return err
	}
	defer erase(data)
	version, err := c.resourceVersion(ctx, name)
	if err != nil {
		return err
	}
	apply := secretObject{APIVersion: "v1", Kind: "Secret", Type: "Opaque", Data: data}
	apply.Metadata = metadata{Name: name, Namespace: c.namespace, ResourceVersion: version, Annotations: map[string]string{
		RolloutAnnotation: d.Rollout, GenerationAnnotation: strconv.FormatInt(d.Due.Generation.Number, 10), VersionAnnotation: d.Due.Generation.Primary,
	}}
	query := url.Values{"fieldManager": {Manager}, "force": {strconv.FormatBool(d.Overwrite)}}
	var answer conflict
	status, err := c.call(ctx, http.MethodPatch, c.path(query, "api", "v1", "namespaces", c.namespace, "secrets", name), apply, &answer)
	switch {
	case err != nil:
		return err
	case status == http.StatusConflict:
		return answer.told(d)
	case status == http.StatusNotFound:
		return fault.ResourceNotFound.New("there is no namespace %s in the cluster", c.namespace)
	case status == http.StatusUnprocessableEntity:
		return fault.InvalidParameter.New("the API server does not take the Secret %s: it may be immutable or of another type; remove it there", name)
	case status != http.StatusOK && status != http.StatusCreated:
		return c.refused(status, fault.Say("apply Secret %s", name))
	}
	return c.annotate(ctx, d)
}

// resourceVersion answers which state of the Secret is written over; "" if there is none.
func (c *cluster) resourceVersion(ctx context.Context, name string) (string, error) {
	var s secretObject
	status, err := c.call(ctx, http.MethodGet, c.path(nil, "api", "v1", "namespaces", c.namespace, "secrets", name), nil, &s)
	defer erase(s.Data)
	if err == nil && status != http.StatusOK && status != http.StatusNotFound {
		err = c.refused(status, fault.Say("read Secret %s", name))
	}
	return s.Metadata.ResourceVersion, err
}

// annotate puts the generation into the template of the workload, which makes its controller
// replace the pods.
func (c *cluster) annotate(ctx context.Context, d target.Delivery) error {
	if behind, err := c.unannotated(ctx, d); err != nil || !behind {
		return err
	}
	var w workloadObject
	w.Spec.Template.Metadata.Annotations = map[string]string{c.annotation: strconv.FormatInt(d.Due.Generation.Number, 10)}
	status, err := c.call(ctx, http.MethodPatch, c.workloadPath(url.Values{"fieldManager": {Manager}}), w, nil)
	if err == nil && status != http.StatusOK {
		err = c.refused(status, fault.Say("restart the workload %s", c.workload[1]))
	}
	return err
}

// Close implements target.Place.
func (c *cluster) Close() { c.http.CloseIdleConnections() }

// nameOf answers the name of the Secret for a delivery.
func (c *cluster) nameOf(d target.Delivery) (string, error) {
	name := strings.ReplaceAll(c.secret, "{rollout}", d.Rollout)
	if !objectName().MatchString(name) {
		return "", fault.InvalidParameter.New("%q is no name of a Secret: names have lower-case letters, digits, dots and hyphens; give the target a name without {rollout}", name)
	}
	return name, nil
}
