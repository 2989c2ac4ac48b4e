package alibaba

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/authn"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/server/alibaba/rpc"
)

func TestEveryOperationNamesItsAction(t *testing.T) {
	for name, op := range operations {
		if op.decode == nil || !strings.HasPrefix(op.action, "kms:") {
			t.Errorf("%s: action %q", name, op.action)
		}
		if name != "ReEncrypt" && op.action != "kms:"+name {
			t.Errorf("%s has the action %s", name, op.action)
		}
	}
	if len(operations) != 71 {
		t.Errorf("%d operations; docs/alibaba.md lists 71", len(operations))
	}
}

func TestAnswersInBothFormats(t *testing.T) {
	for _, format := range []authn.Format{authn.JSON, authn.XML} {
		w := httptest.NewRecorder()
		a := rpc.Answer{Writer: w, RequestID: "ID-1", Host: "h", Format: format}
		body := &ciphertextReply{KeyId: "k", KeyVersionId: "v", CiphertextBlob: []byte("k\xef\xbf")}
		a.Succeed("Encrypt", body)
		want := `{"RequestId":"ID-1","KeyId":"k","KeyVersionId":"v","CiphertextBlob":"a++/"}` + "\n"
		if format == authn.XML {
			want = xml.Header + "<EncryptResponse><RequestId>ID-1</RequestId><KeyId>k</KeyId><KeyVersionId>v</KeyVersionId><CiphertextBlob>a++/</CiphertextBlob></EncryptResponse>"
		}
		if w.Code != 200 || w.Body.String() != want {
			t.Errorf("%s: %d %s", format, w.Code, w.Body)
		}
		w = httptest.NewRecorder()
		a.Writer = w
		a.Fail(fault.KeyNotFound.New("gone"), nil, false)
		if w.Code != 404 || !strings.Contains(w.Body.String(), "Forbidden.KeyNotFound") || !strings.Contains(w.Body.String(), "gone") {
			t.Errorf("%s: %d %s", format, w.Code, w.Body)
		}
	}
}

// given are parameters of a request.
type given [][2]string

func (g given) Len() int               { return len(g) }
func (g given) At(i int) (_, _ string) { return g[i][0], g[i][1] }
func (g given) Value(name string) (string, bool) {
	for _, p := range g {
		if p[0] == name {
			return p[1], true
		}
	}
	return "", false
}

// What is mandatory is told to be missing, and a token that cannot be one has its own code.
func TestMandatoryParametersHaveTheirCodes(t *testing.T) {
	for _, c := range []struct {
		action string
		params given
		want   fault.Kind
	}{
		{"ScheduleKeyDeletion", given{{"KeyId", "k"}}, fault.MissingParameter},
		{"ScheduleKeyDeletion", given{{"KeyId", "k"}, {"PendingWindowInDays", "7"}}, ""},
		{"ScheduleKeyDeletion", given{{"KeyId", "k"}, {"PendingWindowInDays", "x"}}, fault.InvalidParameter},
		{"ImportKeyMaterial", given{{"KeyId", "k"}, {"EncryptedKeyMaterial", "eA=="}}, fault.MissingParameter},
		{"ImportKeyMaterial", given{{"KeyId", "k"}, {"EncryptedKeyMaterial", "eA=="}, {"ImportToken", "%"}}, fault.InvalidImportToken},
		{"ImportKeyMaterial", given{{"KeyId", "k"}, {"EncryptedKeyMaterial", "eA=="}, {"ImportToken", "eA=="}}, ""},
	} {
		v := rpc.NewValues(c.params)
		operations[c.action].decode(&Dialect{}, &authz.Call{}, v)
		if kind := fault.KindOf(v.Finish()); kind != c.want {
			t.Errorf("%s %v: %q, want %q", c.action, c.params, kind, c.want)
		}
	}
}

// A successful answer must not have a member "Code": the Terraform provider takes it for an error.
func TestNoSuccessHasACode(t *testing.T) {
	for _, body := range []any{&keyReply{}, &ciphertextReply{}, &plaintextReply{}, &versionReply{}, &rpc.Reply{}} {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), `"Code"`) {
			t.Errorf("%s", b)
		}
	}
}

// Answers that encode themselves do it as package json would.
func TestQuickAnswers(t *testing.T) {
	r := rpc.Reply{RequestId: "4B1C2D3E-0000-4000-8000-000000000000"}
	c := ciphertextReply{Reply: r, KeyId: "k-1", KeyVersionId: "v-1", CiphertextBlob: []byte("ABC\xfb\xff")}
	for _, q := range []rpc.Quick{
		&c, &plaintextReply{Reply: r, KeyId: "k-1", KeyVersionId: "v-1", Plaintext: []byte{0, 0}}, &dataKeyReply{c, []byte("a data key")},
		&signatureReply{Reply: r, KeyId: "k-1", KeyVersionId: "v-1", Value: []byte{8, 32}},
	} {
		want, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(q.AppendJSON(nil))+"}"); diff != "" {
			t.Errorf("%T: -want +have\n%s", q, diff)
		}
	}
}

// A plaintext that was written is overwritten, and no other answer is made of what is left of it.
func TestPlaintextsDoNotStay(t *testing.T) {
	for _, format := range []authn.Format{authn.JSON, authn.XML} {
		for _, size := range []int{32, 4096} {
			secret := bytes.Repeat([]byte("fake "), size/5)
			w := httptest.NewRecorder()
			rpc.Answer{Writer: w, Format: format}.Succeed("Decrypt", &plaintextReply{Plaintext: secret})
			if !strings.Contains(w.Body.String(), base64.StdEncoding.EncodeToString([]byte("fake fake fake"))[:16]) {
				t.Errorf("the answer is %s", w.Body)
			}
			if bytes.Contains(secret, []byte("f")) {
				t.Error("the plaintext is there still")
			}
		}
	}
}
