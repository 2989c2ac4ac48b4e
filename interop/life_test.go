package interop_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
	"github.com/alibabacloud-go/tea/tea"
	"github.com/google/go-cmp/cmp"
)

var (
	uuidPattern      = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	requestIDPattern = regexp.MustCompile(`^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$`)
	arnPattern       = regexp.MustCompile(`^acs:kms:cn-hangzhou:([0-9]{16}):key/(key-[a-z2-7]{26})$`)
)

const dateLayout = "2006-01-02T15:04:05Z"

// TestNewKey checks every member of a new key's metadata.
func TestNewKey(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		before := time.Now().Add(-time.Second)
		created := must(c.CreateKey(&kms.CreateKeyRequest{
			KeySpec: new(aes256), Description: new("用于报表 a b*c~d/é+&=%"), ProtectionLevel: new("SOFTWARE"), Origin: new("Aliyun_KMS"),
			EnableAutomaticRotation: new(true), RotationInterval: new("30d"), Tags: new(`[{"TagKey":"team","TagValue":"pay"}]`),
		}))(t)
		m := created.Body.KeyMetadata
		parts := arnPattern.FindStringSubmatch(*m.Arn)
		if parts == nil || parts[2] != *m.KeyId {
			t.Fatalf("the key %q has the ARN %q", *m.KeyId, *m.Arn)
		}
		if id := *created.Body.RequestId; !requestIDPattern.MatchString(id) || id != *created.Headers["x-acs-request-id"] {
			t.Errorf("the request id is %q in the body and %q in the header", id, *created.Headers["x-acs-request-id"])
		}
		if !uuidPattern.MatchString(*m.PrimaryKeyVersion) {
			t.Errorf("the version id is %q", *m.PrimaryKeyVersion)
		}
		at := must(time.Parse(dateLayout, *m.CreationDate))(t)
		if at.Before(before.Truncate(time.Second)) || at.After(time.Now()) {
			t.Errorf("the creation date is %q", *m.CreationDate)
		}
		want := &kms.CreateKeyResponseBodyKeyMetadata{
			Arn: m.Arn, KeyId: m.KeyId, PrimaryKeyVersion: m.PrimaryKeyVersion, CreationDate: m.CreationDate,
			AutomaticRotation: new("Enabled"), Creator: &parts[1], Description: new("用于报表 a b*c~d/é+&=%"),
			KeySpec: new(aes256), KeyState: new("Enabled"), KeyUsage: new(encryptDecrypt), LastRotationDate: m.CreationDate,
			MaterialExpireTime: new(""), NextRotationDate: new(at.AddDate(0, 0, 30).Format(dateLayout)),
			Origin: new("Aliyun_KMS"), ProtectionLevel: new("SOFTWARE"), RotationInterval: new("2592000s"),
		}
		if diff := cmp.Diff(want, m); diff != "" {
			t.Errorf("metadata of the new key (-want +got):\n%s", diff)
		}
		must(c.CreateAlias(&kms.CreateAliasRequest{AliasName: new("alias/new"), KeyId: m.KeyId}))(t)
		byID := describe(t, c, *m.KeyId)
		for _, name := range []string{*m.Arn, "alias/new", strings.Replace(*m.Arn, "key/"+*m.KeyId, "alias/new", 1)} {
			if diff := cmp.Diff(byID, describe(t, c, name)); diff != "" {
				t.Errorf("metadata by id and by %s (-id +other):\n%s", name, diff)
			}
		}
		if *byID.DeletionProtection != "Disabled" || byID.DeleteDate != nil {
			t.Errorf("a new key has deletion protection %q and the delete date %q", *byID.DeletionProtection, tea.StringValue(byID.DeleteDate))
		}
	})
}

// TestSpecs creates a key of each spec and usage, and none of those that do not exist.
func TestSpecs(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		for _, row := range []struct {
			spec   string
			usages []string // the default first
		}{
			{aes256, []string{encryptDecrypt}}, {aes192, []string{encryptDecrypt}}, {aes128, []string{encryptDecrypt}},
			{sm4Spec, []string{encryptDecrypt}}, {rsa2048, []string{signVerify, encryptDecrypt}},
			{p256, []string{signVerify}}, {p256k, []string{signVerify}}, {sm2Spec, []string{signVerify, encryptDecrypt}},
		} {
			m := must(c.CreateKey(&kms.CreateKeyRequest{KeySpec: &row.spec}))(t).Body.KeyMetadata
			if *m.KeySpec != row.spec || *m.KeyUsage != row.usages[0] || *m.AutomaticRotation != "Disabled" || m.RotationInterval != nil {
				t.Errorf("a key of spec %s by default: %v", row.spec, m)
			}
			for _, usage := range []string{signVerify, encryptDecrypt} {
				made, err := c.CreateKey(&kms.CreateKeyRequest{KeySpec: &row.spec, KeyUsage: &usage})
				if possible := strings.Contains(strings.Join(row.usages, " "), usage); !possible {
					refused(made, err)(t, 400, invalidParameter)
				} else if got := *must(made, err)(t).Body.KeyMetadata.KeyUsage; got != usage {
					t.Errorf("a %s key for %s is one for %s", row.spec, usage, got)
				}
			}
		}
		if m := must(c.CreateKey(&kms.CreateKeyRequest{}))(t).Body.KeyMetadata; *m.KeySpec != aes256 {
			t.Errorf("the default spec is %s", *m.KeySpec)
		}
		for _, row := range []struct {
			in   kms.CreateKeyRequest
			code string
		}{
			{kms.CreateKeyRequest{KeySpec: new("Aliyun_AES_512")}, invalidParameter},
			{kms.CreateKeyRequest{KeyUsage: new("WRAP")}, invalidParameter},
			{kms.CreateKeyRequest{Origin: new("aliyun_kms")}, invalidParameter},
			{kms.CreateKeyRequest{ProtectionLevel: new("PAPER")}, invalidParameter},
			{kms.CreateKeyRequest{Origin: new("external")}, "InvalidParameter"},
			{kms.CreateKeyRequest{ProtectionLevel: new("HSM")}, "UnsupportedOperation"},
			{kms.CreateKeyRequest{Policy: new("{}")}, invalidParameter},
		} {
			refused(c.CreateKey(&row.in))(t, 400, row.code)
		}
	})
}

// TestDescription changes descriptions up to the documented limit.
func TestDescription(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		k := create(t, c, aes256, "")
		for _, text := range []string{"plain", "", strings.Repeat("x", 8192), strings.Repeat("密", 2730), `<a href="x">&amp;</a>` + "\n\t\"\\"} {
			must(c.UpdateKeyDescription(&kms.UpdateKeyDescriptionRequest{KeyId: &k.id, Description: &text}))(t)
			if got := *describe(t, c, k.id).Description; got != text {
				t.Errorf("a description of %d bytes came back with %d", len(text), len(got))
			}
		}
		long := strings.Repeat("x", 8193)
		refused(c.UpdateKeyDescription(&kms.UpdateKeyDescriptionRequest{KeyId: &k.id, Description: &long}))(t, 400, invalidParameter)
		refused(c.CreateKey(&kms.CreateKeyRequest{Description: &long}))(t, 400, invalidParameter)
	})
}

// TestDeletion schedules deletions within their limits, cancels them and protects from them.
func TestDeletion(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		k := create(t, c, aes256, "")
		schedule := func(days int32) (*kms.ScheduleKeyDeletionResponse, error) {
			return c.ScheduleKeyDeletion(&kms.ScheduleKeyDeletionRequest{KeyId: &k.id, PendingWindowInDays: &days})
		}
		for _, days := range []int32{-1, 0, 6, 367, 1 << 30} {
			refused(schedule(days))(t, 400, invalidParameter)
		}
		for _, days := range []int32{7, 366} {
			before := time.Now().Truncate(time.Second)
			must(schedule(days))(t)
			m := describe(t, c, k.id)
			at := must(time.Parse(dateLayout, tea.StringValue(m.DeleteDate)))(t)
			if window := time.Duration(days) * 24 * time.Hour; *m.KeyState != "PendingDeletion" || at.Before(before.Add(window)) || at.After(time.Now().Add(window)) {
				t.Errorf("a key that is to be deleted in %d days is %s until %s", days, *m.KeyState, at)
			}
			must(c.CancelKeyDeletion(&kms.CancelKeyDeletionRequest{KeyId: &k.id}))(t)
			if m := describe(t, c, k.id); *m.KeyState != "Enabled" || m.DeleteDate != nil {
				t.Errorf("after the deletion was cancelled the key is %s until %q", *m.KeyState, tea.StringValue(m.DeleteDate))
			}
		}
		protect := func(resource string, on bool) (*kms.SetDeletionProtectionResponse, error) {
			return c.SetDeletionProtection(&kms.SetDeletionProtectionRequest{
				ProtectedResourceArn: &resource, EnableDeletionProtection: &on, DeletionProtectionDescription: new("holds the payroll"),
			})
		}
		must(protect(k.arn, true))(t)
		if m := describe(t, c, k.id); *m.DeletionProtection != "Enabled" || *m.DeletionProtectionDescription != "holds the payroll" {
			t.Errorf("a protected key is %q because of %q", *m.DeletionProtection, *m.DeletionProtectionDescription)
		}
		refused(schedule(7))(t, 400, unsupportedOperation)
		must(protect(k.arn, false))(t)
		must(schedule(7))(t)
		refused(protect(k.arn, true))(t, 409, stateModifiedFailed)
		must(protect(k.arn, false))(t)
	})
}

// TestRotationPolicy changes rotation policies; past_test.go has them come true.
func TestRotationPolicy(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		k := create(t, c, aes256, "")
		update := func(id string, on bool, interval string) (*kms.UpdateRotationPolicyResponse, error) {
			in := &kms.UpdateRotationPolicyRequest{KeyId: &id, EnableAutomaticRotation: &on}
			if interval != "" {
				in.RotationInterval = &interval
			}
			return c.UpdateRotationPolicy(in)
		}
		for interval, seconds := range map[string]string{"7d": "604800s", "365d": "31536000s", "168h": "604800s", "10080m": "604800s", "605800s": "605800s"} {
			must(update(k.id, true, interval))(t)
			if m := describe(t, c, k.id); *m.AutomaticRotation != "Enabled" || *m.RotationInterval != seconds || m.NextRotationDate == nil {
				t.Errorf("a key that rotates every %s: %v", interval, m)
			}
		}
		for _, interval := range []string{"6d", "366d", "604799s", "0d", "-7d", "7", "d", "7w", "7.5d", "7dd", "99999999999999999999d", "9223372036854775807s"} {
			refused(update(k.id, true, interval))(t, 400, invalidParameter)
		}
		must(c.DisableKey(&kms.DisableKeyRequest{KeyId: &k.id}))(t)
		if m := describe(t, c, k.id); *m.AutomaticRotation != "Suspended" || m.RotationInterval == nil {
			t.Errorf("a disabled key that rotates: %v", m)
		}
		must(c.EnableKey(&kms.EnableKeyRequest{KeyId: &k.id}))(t)
		must(update(k.id, false, ""))(t)
		if m := describe(t, c, k.id); *m.AutomaticRotation != "Disabled" || m.RotationInterval != nil || m.NextRotationDate != nil {
			t.Errorf("a key that does not rotate: %v", m)
		}
		fresh := create(t, c, aes256, "")
		refused(update(fresh.id, true, ""))(t, 400, invalidParameter)
		refused(update(create(t, c, p256, "").id, true, "7d"))(t, 400, unsupportedOperation)
		refused(c.CreateKey(&kms.CreateKeyRequest{EnableAutomaticRotation: new(true)}))(t, 400, invalidParameter)
		refused(c.CreateKey(&kms.CreateKeyRequest{KeySpec: new(rsa2048), EnableAutomaticRotation: new(true), RotationInterval: new("7d")}))(t, 400, "UnsupportedOperation")
		refused(c.CreateKeyVersion(&kms.CreateKeyVersionRequest{KeyId: &fresh.id}))(t, 400, unsupportedOperation)
	})
}
