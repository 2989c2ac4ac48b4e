package cloud_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/ims"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/alibaba"
	"github.com/keyward/keyward/internal/cloud/aws"
	"github.com/keyward/keyward/internal/cloud/aws/awstest"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
)

// opening has keyward reach a simulator over a real connection.
func opening(url string, now func() time.Time, credential map[string]string) accesskey.Opening {
	o := accesskey.Opening{
		Filling: form.Filling{Settings: map[string]string{"endpoint": url}, Credential: map[string]material.Bytes{}},
		Now:     now, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}
	for name, value := range credential {
		o.Credential[name] = material.NewBytes([]byte(value))
	}
	return o
}

// mint has an issuer of keyward create a key.
func mint(t *testing.T, kind rotation.KindOfIssuer, o accesskey.Opening, principal string) (rotation.Issuer, rotation.Minted) {
	t.Helper()
	issuer, err := kind.Open(o, principal)
	if err != nil {
		t.Fatal(err)
	}
	minted, err := issuer.Create(t.Context(), rotation.Attempt{ID: "1", Tag: "keyward/r/1", Principal: principal})
	if err != nil {
		t.Fatal(err)
	}
	return issuer, minted
}

// verified checks what keyward's issuer says of a key.
func verified(t *testing.T, issuer rotation.Issuer, minted rotation.Minted, want rotation.Verdict) {
	t.Helper()
	if got, err := issuer.Verify(t.Context(), minted.ID, minted.Parts); err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

// TestAWSMintedBySDK has the SDK use a key that keyward's issuer created, and keyward's
// issuer meet what the SDK then does with it.
func TestAWSMintedBySDK(t *testing.T) {
	w := newWorld(t)
	admin := w.cloud.Populate(1, everything)
	shop := w.cloud.AddUser(awstest.User{Name: "shop"}, w.now())
	issuer, minted := mint(t, aws.Issuer(), opening(w.url, w.now, map[string]string{"access_key_id": admin.ID, "secret_access_key": admin.Secret}), shop)
	key := awstest.Credential{ID: minted.ID, Secret: string(minted.Parts["aws_secret_access_key"].Expose())}
	if _, err := w.sts(key).GetCallerIdentity(t.Context(), nil); code(err) != "InvalidClientTokenId" {
		t.Errorf("before the key is known: %v", err)
	}
	verified(t, issuer, minted, rotation.Refused)
	w.pass(w.cloud.Settle)
	if me, err := w.sts(key).GetCallerIdentity(t.Context(), nil); err != nil || *me.UserId != shop {
		t.Errorf("%+v, %v", me, err)
	}
	verified(t, issuer, minted, rotation.Accepted)
	if err := issuer.Delete(t.Context(), minted.ID, ""); err != nil {
		t.Error(err)
	}
	w.pass(w.cloud.Settle)
	if _, err := w.sts(key).GetCallerIdentity(t.Context(), nil); code(err) != "InvalidClientTokenId" {
		t.Errorf("after the key was deleted: %v", err)
	}
}

// TestAlibabaMintedBySDK is the same with Alibaba Cloud's SDKs, which also find a user by
// its id as keyward's issuer does.
func TestAlibabaMintedBySDK(t *testing.T) {
	const shop = "200000000000000002"
	_, address := alibabaCloud(t)
	issuer, minted := mint(t, alibaba.Issuer(), opening("http://"+address, time.Now, map[string]string{"access_key_id": id, "access_key_secret": secret}), shop)
	consumer := newGeneric(t, address, minted.ID, string(minted.Parts["access_key_secret"].Expose()))
	if who := consumer.call(stsVersion, "GetCallerIdentity"); at(who, "UserId") != shop {
		t.Errorf("the key is of %v", who)
	}
	verified(t, issuer, minted, rotation.Accepted)
	g := newGeneric(t, address, id, secret)
	g.call(imsVersion, "UpdateAccessKey", "UserPrincipalName", alice, "UserAccessKeyId", minted.ID, "Status", "Inactive")
	verified(t, issuer, minted, rotation.Refused)
	if err := issuer.Delete(t.Context(), minted.ID, ""); err != nil {
		t.Error(err)
	}
	consumer.refused(404, "InvalidAccessKeyId.NotFound", stsVersion, "GetCallerIdentity")

	client, err := ims.NewClientWithAccessKey("cn-hangzhou", id, secret)
	if err != nil {
		t.Fatal(err)
	}
	user := ims.CreateGetUserRequest()
	user.Domain, user.Scheme, user.UserId = address, "http", shop
	if got, err := client.GetUser(user); err != nil || got.User.UserPrincipalName != alice {
		t.Errorf("user %+v, %v", got, err)
	}
	g.refused(404, "EntityNotExist.User", imsVersion, "GetUser", "UserId", "1")
}
