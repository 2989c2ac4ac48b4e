package kubernetes

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/target"
)

const (
	patience = 10 * time.Second // for one request
	maxBody  = 16 << 20         // bytes of an answer: a page of pods
)

// The parts of the API's objects that are needed, as the API reference of Kubernetes has them.
type (
	metadata struct {
		Name            string            `json:"name,omitempty"`
		Namespace       string            `json:"namespace,omitempty"`
		ResourceVersion string            `json:"resourceVersion,omitempty"`
		Annotations     map[string]string `json:"annotations,omitempty"`
		Continue        string            `json:"continue,omitempty"` // of a list
	}
	secretObject struct {
		APIVersion string            `json:"apiVersion,omitempty"`
		Kind       string            `json:"kind,omitempty"`
		Metadata   metadata          `json:"metadata"`
		Type       string            `json:"type,omitempty"`
		Data       map[string][]byte `json:"data,omitempty"`
	}
	workloadObject struct {
		Spec struct {
			Template struct {
				Metadata metadata `json:"metadata"`
			} `json:"template"`
		} `json:"spec"`
	}
	podObject struct {
		Metadata metadata `json:"metadata"`
		Status   struct {
			Phase      string `json:"phase"`
			Conditions []struct {
				Type   string `json:"type"`
				Status string `json:"status"`
			} `json:"conditions"`
		} `json:"status"`
	}
	podList struct {
		Metadata metadata    `json:"metadata"`
		Items    []podObject `json:"items"`
	}
	attributes struct {
		Namespace string `json:"namespace"`
		Verb      string `json:"verb"`
		Group     string `json:"group,omitempty"`
		Resource  string `json:"resource"`
		Name      string `json:"name,omitempty"`
	}
	accessReview struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Spec       struct {
			Attributes attributes `json:"resourceAttributes"`
		} `json:"spec"`
		Status struct {
			Allowed bool `json:"allowed"`
		} `json:"status"`
	}
	// A conflict is the Status of an apply that was not done.
	conflict struct {
		Details struct {
			Causes []struct {
				Reason  string `json:"reason"`
				Message string `json:"message"`
			} `json:"causes"`
		} `json:"details"`
	}
)

// over tells whether a pod's programs have ended for good.
func (p podObject) over() bool { return p.Status.Phase == "Succeeded" || p.Status.Phase == "Failed" }

// ready tells whether a pod is ready. One that is being deleted counts until it is gone: it
// runs as long as that.
func (p podObject) ready() bool {
	for _, c := range p.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True"
		}
	}
	return false
}

func (p podObject) name() string {
	if !objectName().MatchString(p.Metadata.Name) {
		return "?"
	}
	return p.Metadata.Name
}

// owner is how the API server names the manager of a field that it did not change.
var owner = lazy.Regexp(`^conflict with "([A-Za-z0-9][A-Za-z0-9 ._:/-]{0,127})"`)

// told answers what a conflict means.
func (c conflict) told(d target.Delivery) error {
	var managers []string
	for _, cause := range c.Details.Causes {
		if cause.Reason != "FieldManagerConflict" {
			continue
		}
		name := "somebody"
		if m := owner().FindStringSubmatch(cause.Message); m != nil {
			name = m[1]
		}
		if !slices.Contains(managers, name) {
			managers = append(managers, name)
		}
	}
	if len(managers) == 0 {
		return fault.Changed.New("somebody wrote the Secret at the same moment; it is tried again")
	}
	return fault.StateConflict.New("drifted: the Secret's fields belong to %s; leave them to keyward there, or have them overwritten: keyward node target sync %s --overwrite", target.Names(managers), d.Target)
}

// path answers the URL of a resource.
func (c *cluster) path(query url.Values, segments ...string) string {
	u := c.base.JoinPath(segments...) // of names that were checked
	u.RawQuery = query.Encode()
	return u.String()
}

func (c *cluster) workloadPath(query url.Values) string {
	return c.path(query, "apis", "apps", "v1", "namespaces", c.namespace, c.workload[0], c.workload[1])
}

// call makes one request, with a JSON body unless in is nil, and reads its answer into out,
// unless that is nil.
func (c *cluster) call(ctx context.Context, method, to string, in, out any) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return 0, fmt.Errorf("encoding a request to an API server: %w", err)
		}
		defer clear(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("making a request to an API server: %w", err)
	}
	r.Header.Set("User-Agent", "keyward")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(c.token.Expose())))
	switch _, isSecret := in.(secretObject); {
	case isSecret: // JSON is YAML
		r.Header.Set("Content-Type", "application/apply-patch+yaml")
	case method == http.MethodPatch:
		r.Header.Set("Content-Type", "application/merge-patch+json")
	case in != nil:
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return 0, c.unreached(err)
	}
	content, err := egress.ReadBody(resp, maxBody)
	if err != nil {
		return 0, fault.Unavailable.Wrap(err, "the API server at %s broke off its answer", c.base.Host)
	}
	defer clear(content)
	if out != nil && (resp.StatusCode < 300 || resp.StatusCode == http.StatusConflict) {
		if err := json.Unmarshal(content, out); err != nil {
			return 0, fault.Unavailable.New("%s does not answer as an API server does", c.base.Host)
		}
	}
	return resp.StatusCode, nil
}

// unreached tells a certificate that is not believed from a server that is not there.
func (c *cluster) unreached(err error) error {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	if errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid) {
		return fault.Unavailable.Wrap(err, "the certificate of the API server at %s is not believed; check the field ca", c.base.Host)
	}
	return fault.Unavailable.Wrap(err, "the API server at %s cannot be reached, or is not allowed: see egress.allow", c.base.Host)
}

// refused answers what a status says of what was tried.
func (c *cluster) refused(status int, what fault.Text) error {
	switch {
	case status == http.StatusUnauthorized:
		return fault.NoPermission.New("the API server does not accept the token; enter another one: keyward node target update")
	case status == http.StatusForbidden:
		return fault.NoPermission.New("the token gives no right to %s in namespace %s; docs/targets.md has the role that it needs", what, c.namespace)
	case status == http.StatusNotFound:
		return fault.ResourceNotFound.New("the API server could not %s: there is no such thing in namespace %s", what, c.namespace)
	case status == http.StatusTooManyRequests || status >= 500:
		return fault.Unavailable.New("the API server cannot serve now (%d)", status)
	}
	return fault.StateConflict.New("the API server would not %s (%d)", what, status)
}
