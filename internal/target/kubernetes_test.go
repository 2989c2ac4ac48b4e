package target_test

import (
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/cloud/cloudtest"
	"github.com/keyward/keyward/internal/cloud/kubernetes"
	"github.com/keyward/keyward/internal/cloud/kubernetes/kubernetestest"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/store/storetest"
)

func sealKey(t testing.TB) []byte {
	t.Helper()
	private, err := hpke.MLKEM768X25519().GenerateKey()
	check(t, err)
	return private.PublicKey().Bytes()
}

// pods answers n pods that carry a generation, the last of them ready only if all are.
func pods(n int, generation string, ready bool) (out []kubernetestest.Pod) {
	for i := range n {
		out = append(out, kubernetestest.Pod{
			Name: fmt.Sprintf("shop-%d", i), Annotations: map[string]string{kubernetes.GenerationAnnotation: generation}, Ready: ready || i < n-1,
		})
	}
	return out
}

// A Secret that is written is received; the pods tell how far its users are.
func TestKubernetes(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.add(t, w.clusterDraft())
	w.pass(t, 5*time.Second)
	w.stands(t, 1, rollout.Received, "no pod")
	if w.cluster.Data("pay-key", "id") != "id-1" || w.cluster.Data("pay-key", "secret") != "canary-value-1" || w.cluster.Data("pay-key", "old-id") != "" {
		t.Error("the Secret holds something else")
	}
	w.publish(t)
	w.cluster.SetPods(pods(3, "1", true)...)
	w.pass(t, 20*time.Second)
	w.stands(t, 2, rollout.Received, "3 of 3", "shop-0, shop-1, shop-2")
	for annotation, want := range map[string]string{kubernetes.RolloutAnnotation: "pay", kubernetes.GenerationAnnotation: "2", kubernetes.VersionAnnotation: "v2"} {
		if got := w.cluster.Annotation("pay-key", annotation); got != want {
			t.Errorf("%s is %q, want %q", annotation, got, want)
		}
	}
	if w.cluster.Data("pay-key", "id") != "id-2" || w.cluster.Data("pay-key", "old-id") != "id-1" {
		t.Error("the Secret holds something else")
	}
	w.cluster.SetPods(append(pods(3, "2", false), kubernetestest.Pod{Name: "done", Phase: "Succeeded"})...)
	w.pass(t, 20*time.Second)
	w.stands(t, 2, rollout.Applied, "1 of 3", "shop-2")
	w.cluster.SetPods(pods(1203, "2", true)...)
	w.pass(t, 20*time.Second)
	w.stands(t, 2, rollout.Used)
	w.cluster.SetPods(append(pods(3, "2", true), kubernetestest.Pod{Name: "late", Ready: true})...) // one that reads something else
	w.pass(t, 40*time.Second)
	w.stands(t, 2, rollout.Received, "1 of 4", "late")
	if n := w.cluster.Applies(); n != 2 {
		t.Errorf("%d applies", n)
	}
}

// A workload that the target names is restarted, so that its pods have read the new Secret.
func TestKubernetesRestarts(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.cluster.SetWorkload("deployments/shop")
	w.add(t, w.clusterDraft("workload", "deployment/shop", "pod_annotation", "shop/pay-generation"))
	w.pass(t, 5*time.Second)
	if got := w.cluster.Template("deployments/shop", "shop/pay-generation"); got != "1" {
		t.Errorf("the template has %q", got)
	}
	w.cluster.SetPods(kubernetestest.Pod{Name: "a", Ready: true, Annotations: map[string]string{"shop/pay-generation": "1"}})
	w.pass(t, 20*time.Second)
	w.stands(t, 1, rollout.Used)
}

// What somebody else changed is told and left, until a person has it overwritten.
func TestKubernetesDrifts(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.add(t, w.clusterDraft())
	w.cluster.SetPods(pods(2, "9", true)...)
	w.pass(t, 5*time.Second)
	w.stands(t, 1, rollout.Used)
	w.cluster.Edit("pay-key", "id", "by-hand")
	w.pass(t, time.Minute)
	w.stands(t, 0, "", "drifted", "id")
	w.publish(t) // which does not change that
	w.pass(t, time.Minute)
	w.stands(t, 0, "", "drifted", "kubectl-edit", "sync there --overwrite")
	if got := w.cluster.Data("pay-key", "id"); got != "by-hand" {
		t.Errorf("it was overwritten with %q", got)
	}
	check(t, w.Sync(t.Context(), root(), "there", true))
	w.pass(t, 5*time.Second)
	w.stands(t, 2, rollout.Used)
	if got := w.cluster.Data("pay-key", "id"); got != "id-2" {
		t.Errorf("the Secret has %q", got)
	}
	if got, err := w.Show(t.Context(), root(), "there"); err != nil || got.Overwrite {
		t.Errorf("the order still stands: %+v, %v", got, err)
	}
	w.cluster.Edit("pay-key", "id", "again")
	w.pass(t, time.Minute)
	w.stands(t, 0, "", "drifted")
	w.cluster.Edit("pay-key", "id", "id-2") // put right by hand
	w.pass(t, 20*time.Second)
	w.stands(t, 2, rollout.Used)
}

// A Secret that was there before is somebody else's; one that was removed is made again.
func TestKubernetesSecretOfOthers(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.cluster.SetPods(pods(1, "9", true)...)
	w.cluster.Edit("pay-key", "id", "theirs")
	w.add(t, w.clusterDraft())
	w.pass(t, time.Minute)
	w.stands(t, 0, "", "drifted", "kubectl-edit")
	w.cluster.Remove("pay-key")
	w.pass(t, 20*time.Second)
	w.stands(t, 1, rollout.Used)
	w.cluster.Remove("pay-key")
	w.pass(t, time.Minute)
	w.stands(t, 1, rollout.Used)
}

// Somebody who writes between reading and applying wins, and is not overwritten unseen.
func TestKubernetesConflict(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.cluster.SetPods(pods(1, "9", true)...)
	w.add(t, w.clusterDraft())
	w.pass(t, 5*time.Second)
	w.publish(t)
	w.cluster.Meanwhile(2, func() { w.cluster.Edit("pay-key", "other", "x") }) // the second reading is that of the apply
	w.pass(t, 20*time.Second)
	w.stands(t, 1, rollout.Used, "at the same moment")
	w.pass(t, 20*time.Second)
	w.stands(t, 2, rollout.Used)
	if w.cluster.Data("pay-key", "other") != "x" {
		t.Error("what others added is gone")
	}
}

// Whatever goes wrong with the API server is told, and goes on when it is right again.
func TestKubernetesFails(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.cluster.SetPods(pods(1, "9", true)...)
	w.add(t, w.clusterDraft())
	w.cluster.Writing.Next(cloudtest.LoseAfter)
	w.pass(t, 5*time.Second)
	w.stands(t, 0, "", "cannot be reached")
	w.pass(t, 20*time.Second)
	w.stands(t, 1, rollout.Used)
	if n := w.cluster.Applies(); n != 1 {
		t.Errorf("%d applies", n)
	}
	w.cluster.Denied = "patch secrets"
	w.publish(t)
	w.pass(t, 20*time.Second)
	w.stands(t, 1, rollout.Used, "no right", "docs/targets.md")
	w.cluster.Denied = "list pods"
	w.pass(t, 20*time.Second)
	w.stands(t, 1, rollout.Used, "no right", "list the pods")
	w.cluster.Denied = ""
	w.cluster.Token = "another"
	w.pass(t, 20*time.Second)
	w.stands(t, 1, rollout.Used, "does not accept the token")
	w.cluster.Token = token
	w.pass(t, 20*time.Second)
	w.stands(t, 2, rollout.Used)
	w.api.CloseClientConnections()
	w.cluster.Remove("pay-key")
	w.cluster.RemoveNamespace()
	w.pass(t, time.Minute)
	w.stands(t, 2, rollout.Used, "no namespace shop")
	w.api.Close()
	w.pass(t, time.Minute)
	w.stands(t, 2, rollout.Used, "cannot be reached")
}

// A cluster that does not hold what it is asked for is refused when it is added.
func TestWhatIsNoCluster(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	wrong := otherAuthority(t)
	for name, test := range map[string]struct {
		settings []string
		denied   string
		kind     fault.Kind
		words    string
	}{
		"another CA":       {[]string{"ca", wrong}, "", fault.Unavailable, "not believed"},
		"no CA":            {[]string{"ca", "nothing"}, "", fault.InvalidParameter, "PEM"},
		"no right":         {nil, "create secrets", fault.NoPermission, "create secrets"},
		"another place":    {[]string{"namespace", "other"}, "", fault.NoPermission, "namespace other"},
		"a workload":       {[]string{"workload", "pod/shop"}, "", fault.InvalidParameter, "workload"},
		"no workload":      {[]string{"workload", "deployment/shop"}, "patch deployments", fault.NoPermission, "deployments"},
		"a namespace":      {[]string{"namespace", "../kube-system"}, "", fault.InvalidParameter, "namespace"},
		"a Secret":         {[]string{"secret", "a/b"}, "", fault.InvalidParameter, "secret"},
		"keys":             {[]string{"keys", "id=other"}, "", fault.InvalidParameter, "keys"},
		"an annotation":    {[]string{"pod_annotation", "a b"}, "", fault.InvalidParameter, "annotation"},
		"a server":         {[]string{"server", "https://u@h"}, "", fault.InvalidParameter, "server"},
		"nobody there":     {[]string{"server", "https://127.0.0.1:1"}, "", fault.Unavailable, "cannot be reached"},
		"a plain outsider": {[]string{"server", "http://192.0.2.1", "ca", ""}, "", fault.Unavailable, "egress.allow"},
	} {
		w.cluster.Denied = test.denied
		_, err := w.Add(t.Context(), root(), "there", w.clusterDraft(test.settings...))
		if !fault.Is(err, test.kind) || !strings.Contains(fault.Message(err), test.words) {
			t.Errorf("%s: %v", name, err)
		}
		noCanary(t, fmt.Sprint(err))
	}
}

// A value that has not the part that the target takes is told, and the part is not guessed.
func TestKubernetesKeys(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.add(t, w.clusterDraft("keys", "id=primary.identifier"))
	w.pass(t, 5*time.Second)
	w.stands(t, 0, "", `no part "identifier"`, "id, secret")
	_, err := w.Update(t.Context(), root(), "there", w.clusterDraft("keys", "").Filling)
	check(t, err)
	w.pass(t, 5*time.Second)
	if got := w.cluster.Data("pay-key", "primary"); got != value(1) {
		t.Errorf("the Secret has %q", got)
	}
}

// otherAuthority answers the certificate of an authority that signed nothing here, in PEM.
func otherAuthority(t testing.TB) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	check(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	check(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
