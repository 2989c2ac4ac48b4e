// Package kubernetestest simulates the part of a Kubernetes API server that package
// kubernetes uses, strictly, as the API reference has it: bearer tokens and what they may do,
// namespaces, server-side apply of Secrets with managers of fields and resourceVersion, pods
// that a selector chooses in pages, and templates of workloads that are merge-patched.
package kubernetestest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/keyward/keyward/internal/cloud/cloudtest"
)

// A Server is a simulated API server with one namespace, "shop". It may be used concurrently.
type Server struct {
	Token   string           // that is accepted
	Denied  string           // "VERB RESOURCE" that the token may not do; "" for none
	Writing cloudtest.Faults // of requests that apply a Secret

	mu        sync.Mutex // guards what follows
	version   int
	absent    bool // the namespace is
	secrets   map[string]*secret
	pods      []Pod
	templates map[string]map[string]string // annotations of workloads' templates, by "deployments/NAME"
	applies   int
	reads     int    // of Secrets, until meanwhile
	meanwhile func() // nil for nothing
}

// A secret is its fields, each with the managers that own it.
type secret struct {
	version int
	fields  map[string]string // such as "data.id", in base64, and "annotations.keyward/rollout"
	owners  map[string][]string
}

// A Pod is a pod with the labels app=shop.
type Pod struct {
	Name        string
	Annotations map[string]string
	Phase       string // "" for Running
	Ready       bool
}

// New makes a server that accepts one token.
func New(token string) *Server {
	s := &Server{Token: token, secrets: map[string]*secret{}, templates: map[string]map[string]string{}}
	s.Writing.Service = http.HandlerFunc(s.apply)
	return s
}

// Edit changes one entry of a Secret's data as a person would with kubectl edit; "" removes it.
func (s *Server) Edit(name, key, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.secrets[name]
	if of == nil {
		of = &secret{fields: map[string]string{"type": "Opaque"}, owners: map[string][]string{"type": {"kubectl-create"}}}
		s.secrets[name] = of
	}
	s.version++
	of.version = s.version
	field := "data." + key
	if value == "" {
		delete(of.fields, field)
		delete(of.owners, field)
		return
	}
	of.fields[field], of.owners[field] = base64.StdEncoding.EncodeToString([]byte(value)), []string{"kubectl-edit"}
}

// Remove removes a Secret.
func (s *Server) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.secrets, name)
}

// RemoveNamespace makes the namespace be absent.
func (s *Server) RemoveNamespace() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.absent = true
}

// Data answers one entry of a Secret's data, and "" if it is not there.
func (s *Server) Data(name, key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.secrets[name] == nil {
		return ""
	}
	value, err := base64.StdEncoding.DecodeString(s.secrets[name].fields["data."+key])
	if err != nil {
		panic(err) // only base64 is taken
	}
	return string(value)
}

// Annotation answers one annotation of a Secret.
func (s *Server) Annotation(name, key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.secrets[name].fields["annotations."+key]
}

// Meanwhile does something when a Secret was read so many times from now on, before anything
// else is served.
func (s *Server) Meanwhile(reads int, do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads, s.meanwhile = reads, do
}

// Applies answers how many applies there were that had an effect.
func (s *Server) Applies() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applies
}

// SetPods says which pods there are.
func (s *Server) SetPods(pods ...Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pods = pods
}

// SetWorkload makes a workload, such as deployments/shop.
func (s *Server) SetWorkload(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.templates[name] = map[string]string{}
}

// Template answers an annotation of a workload's template.
func (s *Server) Template(name, annotation string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.templates[name][annotation]
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+s.Token {
		fail(w, http.StatusUnauthorized, "Unauthorized", nil)
		return
	}
	path := r.URL.Path
	const ours = "/api/v1/namespaces/shop/"
	switch {
	case path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" && r.Method == http.MethodPost:
		s.review(w, r)
	case strings.HasPrefix(path, ours+"secrets/") && r.Method == http.MethodPatch:
		if s.denied(w, "patch", "secrets") {
			return
		}
		s.Writing.ServeHTTP(w, r)
	case strings.HasPrefix(path, ours+"secrets/") && r.Method == http.MethodGet:
		if s.denied(w, "get", "secrets") {
			return
		}
		s.read(w, strings.TrimPrefix(path, ours+"secrets/"))
	case path == ours+"pods" && r.Method == http.MethodGet:
		if s.denied(w, "list", "pods") {
			return
		}
		s.list(w, r)
	case strings.HasPrefix(path, "/apis/apps/v1/namespaces/shop/"):
		s.workload(w, r, strings.TrimPrefix(path, "/apis/apps/v1/namespaces/shop/"))
	default:
		fail(w, http.StatusNotFound, "NotFound", nil)
	}
}

func (s *Server) denied(w http.ResponseWriter, verb, resource string) bool {
	if s.Denied != verb+" "+resource {
		return false
	}
	fail(w, http.StatusForbidden, "Forbidden", nil)
	return true
}

func (s *Server) review(w http.ResponseWriter, r *http.Request) {
	var in struct {
		APIVersion, Kind string
		Spec             struct {
			ResourceAttributes struct{ Namespace, Verb, Resource string }
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Kind != "SelfSubjectAccessReview" || in.APIVersion != "authorization.k8s.io/v1" {
		fail(w, http.StatusBadRequest, "BadRequest", nil)
		return
	}
	a := in.Spec.ResourceAttributes
	w.WriteHeader(http.StatusCreated)
	write(w, map[string]any{"kind": in.Kind, "status": map[string]any{"allowed": a.Namespace == "shop" && s.Denied != a.Verb+" "+a.Resource}})
}

func (s *Server) read(w http.ResponseWriter, name string) {
	s.mu.Lock()
	of := s.secrets[name]
	if of == nil {
		s.mu.Unlock()
		fail(w, http.StatusNotFound, "NotFound", nil)
		return
	}
	write(w, of.object(name))
	meanwhile := s.meanwhile
	if s.reads--; s.reads != 0 {
		meanwhile = nil
	}
	s.mu.Unlock()
	if meanwhile != nil {
		meanwhile()
	}
}

// object answers a Secret as the API does.
func (of *secret) object(name string) map[string]any {
	data, annotations := map[string]string{}, map[string]string{}
	for field, value := range of.fields {
		if key, ok := strings.CutPrefix(field, "data."); ok {
			data[key] = value
		} else if key, ok := strings.CutPrefix(field, "annotations."); ok {
			annotations[key] = value
		}
	}
	return map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": of.fields["type"], "data": data,
		"metadata": map[string]any{"name": name, "namespace": "shop", "resourceVersion": strconv.Itoa(of.version), "annotations": annotations},
	}
}

// apply does a server-side apply of a Secret.
func (s *Server) apply(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	manager, force := r.URL.Query().Get("fieldManager"), r.URL.Query().Get("force") == "true"
	var in struct {
		APIVersion, Kind, Type string
		Metadata               struct {
			Name, Namespace, ResourceVersion string
			Annotations                      map[string]string
		}
		Data map[string]string
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	if err != nil || manager == "" || r.Header.Get("Content-Type") != "application/apply-patch+yaml" || in.APIVersion != "v1" || in.Kind != "Secret" || in.Metadata.Name != name || in.Metadata.Namespace != "shop" {
		fail(w, http.StatusBadRequest, "BadRequest", nil)
		return
	}
	if s.absent {
		fail(w, http.StatusNotFound, "NotFound", nil)
		return
	}
	fields := map[string]string{"type": in.Type}
	for key, value := range in.Data {
		if _, err := base64.StdEncoding.DecodeString(value); err != nil {
			fail(w, http.StatusBadRequest, "BadRequest", nil)
			return
		}
		fields["data."+key] = value
	}
	for key, value := range in.Metadata.Annotations {
		fields["annotations."+key] = value
	}
	of, status := s.secrets[name], http.StatusOK
	if of == nil {
		of, status = &secret{fields: map[string]string{}, owners: map[string][]string{}}, http.StatusCreated
	}
	if v := in.Metadata.ResourceVersion; v != "" && v != strconv.Itoa(of.version) {
		fail(w, http.StatusConflict, "Conflict", nil)
		return
	}
	if have := of.fields["type"]; have != "" && have != in.Type {
		fail(w, http.StatusUnprocessableEntity, "Invalid", nil)
		return
	}
	if causes := of.conflicts(fields, manager); len(causes) > 0 && !force {
		fail(w, http.StatusConflict, "Conflict", causes)
		return
	}
	if of.take(fields, manager) || status == http.StatusCreated {
		s.version++
		s.applies++
		of.version = s.version
	}
	s.secrets[name] = of
	w.WriteHeader(status)
	write(w, of.object(name))
}

// conflicts answers a cause for each field that another manager owns with another value.
func (of *secret) conflicts(fields map[string]string, manager string) (causes []map[string]string) {
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if have, ok := of.fields[field]; !ok || have == fields[field] {
			continue
		}
		for _, owner := range of.owners[field] {
			if owner != manager {
				causes = append(causes, map[string]string{"reason": "FieldManagerConflict", "message": fmt.Sprintf("conflict with %q using v1", owner), "field": "." + field})
			}
		}
	}
	return causes
}

// take makes the fields be those of an apply, and tells whether anything changed.
func (of *secret) take(fields map[string]string, manager string) (changed bool) {
	for field, owners := range of.owners {
		if _, still := fields[field]; still || !slices.Contains(owners, manager) {
			continue
		}
		if of.owners[field] = slices.DeleteFunc(owners, func(o string) bool { return o == manager }); len(of.owners[field]) == 0 {
			delete(of.fields, field)
			delete(of.owners, field)
			changed = true
		}
	}
	for field, value := range fields {
		switch {
		case of.fields[field] != value:
			of.fields[field], of.owners[field], changed = value, []string{manager}, true
		case !slices.Contains(of.owners[field], manager):
			of.owners[field] = append(of.owners[field], manager)
		}
	}
	return changed
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	limit, err := strconv.Atoi(q.Get("limit"))
	first, _ := strconv.Atoi(q.Get("continue")) // none is the beginning
	if err != nil || limit < 1 || first > len(s.pods) {
		fail(w, http.StatusBadRequest, "BadRequest", nil)
		return
	}
	items := []map[string]any{}
	next := ""
	if q.Get("labelSelector") == "app=shop" {
		end := min(first+limit, len(s.pods))
		if end < len(s.pods) {
			next = strconv.Itoa(end)
		}
		for _, p := range s.pods[first:end] {
			phase, ready := p.Phase, "False"
			if phase == "" {
				phase = "Running"
			}
			if p.Ready {
				ready = "True"
			}
			items = append(items, map[string]any{
				"metadata": map[string]any{"name": p.Name, "annotations": p.Annotations},
				"status":   map[string]any{"phase": phase, "conditions": []map[string]string{{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": ready}}},
			})
		}
	}
	write(w, map[string]any{"kind": "PodList", "metadata": map[string]any{"continue": next}, "items": items})
}

func (s *Server) workload(w http.ResponseWriter, r *http.Request, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	template := s.templates[name]
	if template == nil {
		fail(w, http.StatusNotFound, "NotFound", nil)
		return
	}
	if r.Method == http.MethodPatch {
		var in struct {
			Spec struct {
				Template struct {
					Metadata struct{ Annotations map[string]string }
				}
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("Content-Type") != "application/merge-patch+json" {
			fail(w, http.StatusUnsupportedMediaType, "UnsupportedMediaType", nil)
			return
		}
		maps.Copy(template, in.Spec.Template.Metadata.Annotations)
	}
	write(w, map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": template}}}})
}

// fail answers a Status, as the API does.
func fail(w http.ResponseWriter, code int, reason string, causes []map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	write(w, map[string]any{"kind": "Status", "status": "Failure", "reason": reason, "code": code, "details": map[string]any{"causes": causes}})
}

func write(w io.Writer, v any) {
	_ = json.NewEncoder(w).Encode(v) // whoever is gone gets nothing
}
