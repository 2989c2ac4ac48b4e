package kubernetes_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/cloud/kubernetes"
	"github.com/keyward/keyward/internal/cloud/kubernetes/kubernetestest"
	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/target"
)

const (
	fakeToken  = "fake-token"
	adminToken = "fake-admin-token"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// Others are who else works in a cluster.
type others interface {
	Edit(name, key, value string) // as with kubectl edit
	SetPods(pods ...kubernetestest.Pod)
	Data(name, key string) string
}

// contract holds what package kubernetes relies on, and what the simulator claims.
func contract(t *testing.T, url, ca string, o others) {
	open := func(namespace string) target.Place {
		p, err := kubernetes.Kind().Open(target.Opening{
			Filling: form.Filling{
				Settings:   map[string]string{"server": url, "ca": ca, "namespace": namespace, "secret": "pay-key", "selector": "app=shop", "keys": "id=primary,old=fallback"},
				Credential: map[string]material.Bytes{"token": material.NewBytes([]byte(fakeToken))},
			},
			Now: time.Now, Allow: loopback,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		return p
	}
	p, ctx := open("shop"), t.Context()
	delivery := func(number int64, primary, fallback string) target.Delivery {
		d := target.Delivery{Account: "1000000000000001", Target: "there"}
		d.Rollout, d.Generation = "pay", rollout.Generation{Number: number, Primary: primary, Fallback: fallback}
		d.Primary, d.Fallback = material.NewBytes([]byte("value of "+primary)), material.NewBytes([]byte("value of "+fallback))
		return d
	}
	put := func(d target.Delivery) {
		t.Helper()
		if err := p.Put(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	look := func(d target.Delivery, level rollout.Level, words string) target.Progress {
		t.Helper()
		got, err := p.Look(ctx, d)
		if err != nil || got.Level != level || !strings.Contains(got.Waiting, words) {
			t.Fatalf("%q, %q, %v; want %q, %q", got.Level, got.Waiting, err, level, words)
		}
		return got
	}
	if err := p.Check(ctx); err != nil {
		t.Fatal(err)
	}
	if err := open("elsewhere").Check(ctx); !fault.Is(err, fault.NoPermission) {
		t.Errorf("another namespace: %v", err)
	}
	one, two := delivery(1, "v1", ""), delivery(2, "v2", "v1")
	look(one, "", "no Secret")
	put(one)
	look(one, rollout.Received, "no pod")
	put(one) // again, after an answer that was lost
	put(two)
	look(two, rollout.Received, "no pod")
	if got := look(one, "", "newer"); !got.Foreign {
		t.Error("what is newer counts as keyward's to overwrite")
	}
	if o.Data("pay-key", "id") != "value of v2" || o.Data("pay-key", "old") != "value of v1" {
		t.Error("the Secret holds something else")
	}
	o.SetPods(kubernetestest.Pod{Name: "shop-0", Annotations: map[string]string{kubernetes.GenerationAnnotation: "2"}, Ready: true}, kubernetestest.Pod{Name: "shop-1", Ready: true})
	look(two, rollout.Received, "1 of 2 pods do not carry the generation: shop-1")
	o.SetPods(kubernetestest.Pod{Name: "shop-0", Annotations: map[string]string{kubernetes.GenerationAnnotation: "2"}})
	look(two, rollout.Applied, "not ready: shop-0")
	o.SetPods(kubernetestest.Pod{Name: "shop-0", Annotations: map[string]string{kubernetes.GenerationAnnotation: "2"}, Ready: true})
	look(two, rollout.Used, "")
	o.Edit("pay-key", "id", "by hand")
	if got := look(two, "", "drifted"); !got.Foreign {
		t.Error("what somebody changed counts as keyward's to overwrite")
	}
	three := delivery(3, "v3", "")
	if err := p.Put(ctx, three); !fault.Is(err, fault.StateConflict) || !strings.Contains(err.Error(), "kubectl-edit") {
		t.Errorf("a conflict: %v", err)
	}
	three.Overwrite = true
	put(three)
	look(three, rollout.Received, "1 of 1")
	if o.Data("pay-key", "id") != "value of v3" || o.Data("pay-key", "old") != "" {
		t.Error("the Secret holds something else")
	}
}

// TestContractOfTheSimulator holds the contract against the simulator.
func TestContractOfTheSimulator(t *testing.T) {
	s := kubernetestest.New(fakeToken)
	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	contract(t, server.URL, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})), s)
}

// TestContractOfKubernetes holds it against a kube-apiserver with an etcd. It may be skipped,
// in CI too: it is asked for where both are installed.
func TestContractOfKubernetes(t *testing.T) {
	api, err := exec.LookPath("kube-apiserver")
	if err == nil {
		_, err = exec.LookPath("etcd")
	}
	if err != nil {
		t.Skip("kube-apiserver and etcd are not both installed, so the contract is held against the simulator only")
	}
	c := startReal(t, api)
	contract(t, c.url, c.ca, c)
}

// A real is a real API server, as its administrator sees it.
type real struct {
	t       *testing.T
	url, ca string
	http    *http.Client
}

// startReal starts an etcd and an API server, with a namespace and a role as docs/targets.md
// has it.
func startReal(t *testing.T, program string) *real {
	t.Helper()
	dir, ports := t.TempDir(), freePorts(t, 3)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"accounts.pem": string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})),
		"tokens.csv":   adminToken + ",admin,1,\"system:masters\"\n" + fakeToken + ",keyward,2\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	etcd := "http://127.0.0.1:" + ports[0]
	start(t, "etcd", "--data-dir", filepath.Join(dir, "etcd"), "--listen-client-urls", etcd, "--advertise-client-urls", etcd, "--listen-peer-urls", "http://127.0.0.1:"+ports[1])
	start(t, program, "--etcd-servers", etcd, "--token-auth-file", filepath.Join(dir, "tokens.csv"), "--authorization-mode", "RBAC",
		"--service-account-key-file", filepath.Join(dir, "accounts.pem"), "--service-account-signing-key-file", filepath.Join(dir, "accounts.pem"),
		"--service-account-issuer", "https://kubernetes.default.svc", "--cert-dir", filepath.Join(dir, "certs"), "--bind-address", "127.0.0.1",
		"--secure-port", ports[2], "--service-cluster-ip-range", "10.0.0.0/24", "--disable-admission-plugins", "ServiceAccount")
	c := &real{t: t, url: "https://127.0.0.1:" + ports[2]}
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) { // a process starts on its own time; there is nothing to wait on
		if ca, err := os.ReadFile(filepath.Join(dir, "certs", "apiserver.crt")); err == nil {
			if c.http, err = egress.Private(loopback, ca); err == nil {
				c.ca = string(ca)
			}
		}
		if c.ca != "" && c.ready() {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the API server does not serve")
		}
	}
	c.do("POST", "/api/v1/namespaces", `{"metadata":{"name":"shop"}}`)
	c.do("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles", `{"metadata":{"name":"keyward"},"rules":[
		{"apiGroups":[""],"resources":["secrets"],"verbs":["create"]},
		{"apiGroups":[""],"resources":["secrets"],"resourceNames":["pay-key"],"verbs":["get","patch"]},
		{"apiGroups":[""],"resources":["pods"],"verbs":["list"]}]}`)
	c.do("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings",
		`{"metadata":{"name":"keyward"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"keyward"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"keyward"}]}`)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) { // the authorizer hears of the role a moment later
		if strings.Contains(c.do("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews",
			`{"spec":{"user":"keyward","resourceAttributes":{"namespace":"shop","verb":"list","resource":"pods"}}}`), `"allowed":true`) {
			return c
		}
		if time.Now().After(end) {
			t.Fatal("the role does not count")
		}
	}
}

func (c *real) ready() bool {
	r, err := http.NewRequestWithContext(c.t.Context(), "GET", c.url+"/readyz", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	resp, err := c.http.Do(r)
	if err != nil {
		return false
	}
	_ = resp.Body.Close() // its status tells
	return resp.StatusCode == http.StatusOK
}

// do makes a request as the administrator and answers the body of what came back.
func (c *real) do(method, path, body string) string {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	r.Header.Set("Content-Type", map[string]string{"PATCH": "application/merge-patch+json"}[method])
	if method != "PATCH" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		c.t.Fatalf("%s %s: %d %s, %v", method, path, resp.StatusCode, content, err)
	}
	return string(content)
}

// Edit implements others.
func (c *real) Edit(name, key, value string) {
	c.do("PATCH", "/api/v1/namespaces/shop/secrets/"+name+"?fieldManager=kubectl-edit", fmt.Sprintf(`{"stringData":{%q:%q}}`, key, value))
}

// Data implements others.
func (c *real) Data(name, key string) string {
	var s struct{ Data map[string][]byte }
	if err := json.Unmarshal([]byte(c.do("GET", "/api/v1/namespaces/shop/secrets/"+name, "")), &s); err != nil {
		c.t.Fatal(err)
	}
	return string(s.Data[key])
}

// SetPods implements others.
func (c *real) SetPods(pods ...kubernetestest.Pod) {
	c.do("DELETE", "/api/v1/namespaces/shop/pods?gracePeriodSeconds=0", "")
	for _, p := range pods {
		annotations, err := json.Marshal(p.Annotations)
		if err != nil {
			c.t.Fatal(err)
		}
		c.do("POST", "/api/v1/namespaces/shop/pods", fmt.Sprintf(`{"metadata":{"name":%q,"labels":{"app":"shop"},"annotations":%s},"spec":{"containers":[{"name":"c","image":"i"}]}}`, p.Name, annotations))
		ready := map[bool]string{true: "True", false: "False"}[p.Ready]
		c.do("PATCH", "/api/v1/namespaces/shop/pods/"+p.Name+"/status", `{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"`+ready+`"}]}}`)
	}
}

// freePorts answers ports that nobody listens at now.
func freePorts(t *testing.T, n int) (out []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // the servers take the ports
		_, port, _ := net.SplitHostPort(l.Addr().String())
		out = append(out, port)
	}
	return out
}

// start starts a program that ends with the test.
func start(t *testing.T, program string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
	})
}
