// Package cloud_test has the vendors' own clients judge keyward's simulators of clouds.
package cloud_test

import (
	"context"
	"encoding/csv"
	"errors"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/keyward/keyward/internal/cloud/aws/awstest"
)

// A world is a simulated account, a clock that the test moves, and the SDK.
type world struct {
	cloud *awstest.Cloud
	url   string

	mu sync.Mutex // guards what follows
	at time.Time
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(d)
}

// newWorld begins now, because the SDK signs with the time of the machine.
func newWorld(t *testing.T) *world {
	w := &world{at: time.Now()}
	w.cloud = awstest.New(w.now)
	w.cloud.Rate = 0
	server := httptest.NewServer(w.cloud)
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

func (w *world) iam(c awstest.Credential) *iam.Client {
	return iam.New(iam.Options{Region: "us-east-1", BaseEndpoint: &w.url, Credentials: fixed(c), Retryer: aws.NopRetryer{}})
}

func (w *world) sts(c awstest.Credential) *sts.Client {
	return sts.New(sts.Options{Region: "eu-west-1", BaseEndpoint: &w.url, Credentials: fixed(c), Retryer: aws.NopRetryer{}})
}

func fixed(c awstest.Credential) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: c.ID, SecretAccessKey: c.Secret}, nil
	})
}

func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}

const everything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// TestAWSReading has the SDK read everything that the provider reads.
func TestAWSReading(t *testing.T) {
	w := newWorld(t)
	w.cloud.PageSize = 3
	admin := w.cloud.Populate(10, everything)
	client, ctx := w.iam(admin), t.Context()

	me, err := w.sts(admin).GetCallerIdentity(ctx, nil)
	if err != nil || aws.ToString(me.Account) != "123456789012" || !strings.HasSuffix(aws.ToString(me.Arn), ":user/reader") {
		t.Fatalf("%+v, %v", me, err)
	}
	if _, err := w.sts(awstest.Credential{ID: admin.ID, Secret: "another"}).GetCallerIdentity(ctx, nil); code(err) != "SignatureDoesNotMatch" {
		t.Errorf("a wrong secret: %v", err)
	}
	if _, err := w.sts(awstest.Credential{ID: "AKIA9999999999999999", Secret: "another"}).GetCallerIdentity(ctx, nil); code(err) != "InvalidClientTokenId" {
		t.Errorf("a wrong key: %v", err)
	}

	keys := 0
	for users := iam.NewListUsersPaginator(client, &iam.ListUsersInput{}); users.HasMorePages(); {
		page, err := users.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Users) > 3 {
			t.Errorf("a part of %d users", len(page.Users))
		}
		for _, u := range page.Users {
			list, err := client.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: u.UserName})
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range list.AccessKeyMetadata {
				keys++
				if _, err := client.GetAccessKeyLastUsed(ctx, &iam.GetAccessKeyLastUsedInput{AccessKeyId: k.AccessKeyId}); err != nil || k.CreateDate == nil {
					t.Errorf("%+v, %v", k, err)
				}
			}
		}
	}
	if want := len(w.cloud.Keys()); keys != want {
		t.Errorf("%d keys of %d", keys, want)
	}

	var users, groups, policies int
	for details := iam.NewGetAccountAuthorizationDetailsPaginator(client, &iam.GetAccountAuthorizationDetailsInput{}); details.HasMorePages(); {
		page, err := details.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		users, groups, policies = users+len(page.UserDetailList), groups+len(page.GroupDetailList), policies+len(page.Policies)
	}
	if users != 11 || groups != 1 || policies != 1 {
		t.Errorf("%d users, %d groups, %d policies", users, groups, policies)
	}
	if summary, err := client.GetAccountSummary(ctx, nil); err != nil || summary.SummaryMap["AccessKeysPerUserQuota"] != 2 {
		t.Errorf("%+v, %v", summary, err)
	}
	var none *types.NoSuchEntityException
	if _, err := client.GetAccountPasswordPolicy(ctx, nil); !errors.As(err, &none) {
		t.Errorf("no password policy: %v", err)
	}
}

// TestAWSReport has the SDK wait for a credential report.
func TestAWSReport(t *testing.T) {
	w := newWorld(t)
	w.cloud.Settle = 0
	client, ctx := w.iam(w.cloud.Populate(2, everything)), t.Context()
	var absent *types.CredentialReportNotPresentException
	if _, err := client.GetCredentialReport(ctx, nil); !errors.As(err, &absent) {
		t.Errorf("no report: %v", err)
	}
	if r, err := client.GenerateCredentialReport(ctx, nil); err != nil || r.State != types.ReportStateTypeStarted {
		t.Errorf("%+v, %v", r, err)
	}
	var soon *types.CredentialReportNotReadyException
	if _, err := client.GetCredentialReport(ctx, nil); !errors.As(err, &soon) {
		t.Errorf("a report in the making: %v", err)
	}
	w.pass(time.Minute)
	if r, err := client.GenerateCredentialReport(ctx, nil); err != nil || r.State != types.ReportStateTypeComplete {
		t.Errorf("%+v, %v", r, err)
	}
	r, err := client.GetCredentialReport(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(r.Content))).ReadAll()
	if err != nil || len(rows) != 5 || rows[1][0] != "<root_account>" || len(rows[0]) != 22 {
		t.Errorf("%q, %v", rows, err)
	}
}

// TestAWSLifeOfKey has the SDK create, disable and delete a key, as a rotation does.
func TestAWSLifeOfKey(t *testing.T) {
	w := newWorld(t)
	client, ctx := w.iam(w.cloud.Populate(1, everything)), t.Context()
	who := aws.String("user-00000")
	made, err := client.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: who})
	if err != nil || made.AccessKey.Status != types.StatusTypeActive {
		t.Fatalf("%+v, %v", made, err)
	}
	key := awstest.Credential{ID: *made.AccessKey.AccessKeyId, Secret: *made.AccessKey.SecretAccessKey}
	works := func() bool {
		t.Helper()
		_, err := w.sts(key).GetCallerIdentity(ctx, nil)
		if err != nil && code(err) != "InvalidClientTokenId" {
			t.Error(err)
		}
		return err == nil
	}
	var full *types.LimitExceededException
	if _, err := client.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: who}); !errors.As(err, &full) {
		t.Errorf("a third key: %v", err)
	}
	steps := []struct {
		what string
		do   func() error
		then bool
	}{
		{"disable", func() error {
			_, err := client.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: who, AccessKeyId: &key.ID, Status: types.StatusTypeInactive})
			return err
		}, false},
		{"enable", func() error {
			_, err := client.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: who, AccessKeyId: &key.ID, Status: types.StatusTypeActive})
			return err
		}, true},
		{"delete", func() error {
			_, err := client.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: who, AccessKeyId: &key.ID})
			return err
		}, false},
	}
	if works() {
		t.Error("a new key works at once")
	}
	w.pass(w.cloud.Settle)
	if !works() {
		t.Error("a new key never works")
	}
	for _, s := range steps {
		before := works()
		if err := s.do(); err != nil {
			t.Fatalf("%s: %v", s.what, err)
		}
		if works() != before {
			t.Errorf("%s took effect at once", s.what)
		}
		w.pass(w.cloud.Settle)
		if works() != s.then {
			t.Errorf("%s took no effect", s.what)
		}
	}
	var none *types.NoSuchEntityException
	if _, err := client.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: who, AccessKeyId: &key.ID}); !errors.As(err, &none) {
		t.Errorf("deleting again: %v", err)
	}
}

// TestAWSLimits has the SDK meet a missing right, the rate limit and the lag of last uses.
func TestAWSLimits(t *testing.T) {
	w := newWorld(t)
	w.cloud.UseLag = 3 * time.Minute
	key := w.cloud.Populate(0, `{"Statement":[{"Effect":"Allow","Action":"iam:Get*","Resource":"*"},{"Effect":"Deny","Action":"iam:GetAccountSummary","Resource":"*"}]}`)
	client, ctx := w.iam(key), t.Context()
	for _, call := range []func() error{
		func() error { _, err := client.ListUsers(ctx, nil); return err },
		func() error { _, err := client.GetAccountSummary(ctx, nil); return err },
	} {
		if err := call(); code(err) != "AccessDenied" {
			t.Errorf("a missing right: %v", err)
		}
	}
	last := func() *time.Time {
		t.Helper()
		used, err := client.GetAccessKeyLastUsed(ctx, &iam.GetAccessKeyLastUsedInput{AccessKeyId: &key.ID})
		if err != nil {
			t.Fatal(err)
		}
		return used.AccessKeyLastUsed.LastUsedDate
	}
	if at := last(); at != nil {
		t.Errorf("a use is told at once: %s", at)
	}
	w.pass(w.cloud.UseLag + time.Second)
	if last() == nil {
		t.Error("a use is never told")
	}
	w.cloud.Rate, w.cloud.Burst = 1, 2
	var err error
	for range 5 {
		_, err = client.GetAccessKeyLastUsed(ctx, &iam.GetAccessKeyLastUsedInput{AccessKeyId: &key.ID})
	}
	if code(err) != "Throttling" {
		t.Errorf("too many requests: %v", err)
	}
}
