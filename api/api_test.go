package api_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/api"
)

// types has one value of each type of the API.
var types = []any{
	api.Problem{}, api.PageRequest{}, api.Identity{},
	api.JWK{}, api.CSRRequest{}, api.CSR{}, api.ImportParametersRequest{}, api.ImportParameters{}, api.ImportRequest{},
	api.Key{}, api.Rotation{}, api.Protection{}, api.CreateKeyRequest{}, api.RotationRequest{}, api.ListKeysRequest{},
	api.KeyList{}, api.KeyPolicy{}, api.DescriptionRequest{}, api.DeleteKeyRequest{}, api.TagRequest{}, api.UntagRequest{}, api.KeyVersion{},
	api.KeyVersionList{}, api.PublicKey{}, api.Alias{}, api.CreateAliasRequest{}, api.PointAliasRequest{}, api.AliasList{},
	api.EncryptRequest{}, api.Encrypted{}, api.DecryptRequest{}, api.Decrypted{}, api.ReEncryptRequest{}, api.DataKeyRequest{},
	api.EncryptBatchRequest{}, api.EncryptedBatch{}, api.EncryptedItem{}, api.DecryptBatchRequest{}, api.DecryptedBatch{}, api.DecryptedItem{}, api.ItemError{}, api.ExportDataKeyRequest{}, api.GenerateAndExportDataKeyRequest{}, api.ExportedDataKey{}, api.MACRequest{}, api.MAC{}, api.VerifyMACRequest{}, api.MACVerification{}, api.RandomRequest{}, api.Random{},
	api.DataKey{}, api.SignRequest{}, api.Signature{}, api.VerifyRequest{}, api.Verification{}, api.AsymmetricEncryptRequest{},
	api.AsymmetricDecryptRequest{},
	api.User{}, api.CreateUserRequest{}, api.UpdateUserRequest{}, api.UserList{}, api.AccessKey{}, api.LastUse{},
	api.CreateAccessKeyRequest{}, api.IssuedAccessKey{}, api.UpdateAccessKeyRequest{}, api.ListAccessKeysRequest{},
	api.AccessKeyList{}, api.Policy{}, api.CreatePolicyRequest{}, api.UpdatePolicyRequest{}, api.SimulatePolicyRequest{}, api.Simulation{}, api.SimulatedStatement{}, api.PolicyList{},
	api.ListAuditRecordsRequest{}, api.AuditRecord{}, api.AuditRecordList{}, api.AuditLog{}, api.AuditLogList{},
	api.AuditProofRequest{}, api.AuditProof{},
	api.Text{}, api.KeyFinding{}, api.FindingSubject{}, api.FindingFact{}, api.FindingFix{}, api.KeySuppression{}, api.ListFindingsRequest{},
	api.FindingList{}, api.SuppressFindingRequest{}, api.Check{}, api.CheckList{}, api.CheckRun{},
	api.OperatorStatus{}, api.WitnessStatus{}, api.ClockStatus{}, api.InitializeRequest{}, api.UnsealRequest{}, api.CreateAccountRequest{}, api.FoundedAccount{},
	api.RootEnvelope{}, api.Delivery{}, api.RootKeyRequest{}, api.RootKeySessionRequest{}, api.RootKeySession{}, api.HSMStatus{}, api.HSMOffer{},
	api.Text{}, api.Field{}, api.Connection{}, api.ProviderKind{}, api.ProviderKindList{}, api.Provider{}, api.ProviderSync{}, api.ProviderIdentity{},
	api.ProviderProblem{}, api.AddProviderRequest{}, api.UpdateProviderRequest{}, api.ProviderList{}, api.InventoryKey{}, api.KeyUndo{}, api.KeyExpiry{}, api.KeyUse{},
	api.InventoryPrincipal{}, api.GrantedRight{}, api.KeyRemark{}, api.RemarkKeyRequest{}, api.ListInventoryRequest{}, api.InventoryList{},
	api.Guide{}, api.EnterKeyRequest{}, api.EnteredKey{}, api.CalendarRequest{}, api.Calendar{}, api.SubscribeCalendarRequest{}, api.CalendarSubscription{}, api.CalendarLink{}, api.CalendarSubscriptionList{}, api.ExpiryScan{},
	api.ChannelKind{}, api.ChannelKindList{}, api.Channel{}, api.ChannelHealth{}, api.ChannelList{}, api.AddChannelRequest{}, api.UpdateChannelRequest{},
	api.TestChannelRequest{}, api.ChannelReceipt{}, api.ConfirmChannelRequest{}, api.Person{}, api.SetPersonRequest{}, api.PersonList{}, api.Rota{},
	api.SetRotaRequest{}, api.RotaList{}, api.Escalation{}, api.Rung{}, api.QuietHours{}, api.Incident{}, api.IncidentFact{}, api.ListIncidentsRequest{},
	api.IncidentList{}, api.IncidentFile{}, api.IncidentDelivery{}, api.AcknowledgeRequest{},
	api.Secret{}, api.CreateSecretRequest{}, api.PutSecretRequest{}, api.GetSecretRequest{}, api.SecretValue{}, api.SecretVersion{}, api.SecretVersionList{}, api.ListSecretsRequest{}, api.SecretList{}, api.UpdateSecretRequest{}, api.RollbackSecretRequest{}, api.MoveStageRequest{}, api.DeleteSecretRequest{}, api.Sink{}, api.AddSinkRequest{}, api.SinkList{}, api.UpdateSinkRequest{}, api.SinkConnection{}, api.SinkStatus{}, api.SecretCopy{}, api.SyncSinkRequest{}, api.SecretPolicy{}, api.RandomPasswordRequest{}, api.RandomPassword{},
	api.KeyUsage{}, api.KeyAssociation{}, api.KeyVersionUsage{}, api.KeyResource{}, api.RegisterKeyResourceRequest{}, api.DeregisterKeyResourceRequest{},
	api.NodeToken{}, api.CreateNodeTokenRequest{}, api.IssuedNodeToken{}, api.NodeTokenList{}, api.Node{}, api.ListNodesRequest{}, api.NodeList{}, api.NodeStatus{}, api.LabelNodeRequest{},
	api.Rollout{}, api.RolloutWave{}, api.Generation{}, api.CreateRolloutRequest{}, api.UpdateRolloutRequest{}, api.RolloutList{}, api.PublishRolloutRequest{}, api.RolloutCoverage{},
	api.WaveCoverage{}, api.RolloutMember{},
	api.TargetKind{}, api.TargetKindList{}, api.Target{}, api.AddTargetRequest{}, api.TargetList{}, api.UpdateTargetRequest{}, api.SyncTargetRequest{},
	api.Role{}, api.CreateRoleRequest{}, api.UpdateRoleRequest{}, api.RoleList{}, api.AssumeRoleRequest{}, api.FederateRequest{}, api.TemporaryCredentials{},
	api.ScanKey{}, api.ReportLeaksRequest{}, api.SeenCredential{}, api.SeenPlace{}, api.LeakReceipt{}, api.AcceptedLeaksRequest{}, api.AcceptedLeaks{},
	api.Repository{}, api.RepositoryState{}, api.RepositoryPlace{}, api.AddRepositoryRequest{}, api.UpdateRepositoryRequest{}, api.SetRepositoryIssuersRequest{}, api.RepositoryList{},
	api.Offer{}, api.PublishedKey{}, api.CreateOfferRequest{}, api.OfferCredential{}, api.OfferList{}, api.PublishKeyRequest{},
	api.BeginSSORequest{}, api.SSOTransaction{}, api.FinishSSORequest{}, api.SSOLogin{}, api.IdentityProvider{}, api.IdentityLink{}, api.CreateIdentityProviderRequest{}, api.IdentityProviderList{}, api.LinkUserRequest{},
	api.Instance{}, api.InstanceStatus{}, api.CreateInstanceRequest{}, api.ConnectInstanceRequest{}, api.InstanceList{},
	api.RotationPlan{}, api.RotationCare{}, api.RotationWave{}, api.RotationWindows{}, api.RotationCareRequest{}, api.RotationWaveRequest{},
	api.CreateRotationPlanRequest{}, api.UpdateRotationPlanRequest{}, api.RotationPlanList{}, api.RotationForecast{}, api.StartRotationRequest{},
	api.ListRotationsRequest{}, api.RotationRunList{}, api.RotationRun{}, api.RotationProgress{}, api.RotationEvent{}, api.RollBackRotationRequest{},
	api.EnterRotationKeyRequest{},
	api.Role{}, api.CreateRoleRequest{}, api.UpdateRoleRequest{}, api.RoleList{}, api.AssumeRoleRequest{}, api.FederateRequest{}, api.TemporaryCredentials{},
	api.LoginRequest{}, api.InitialPassword{}, api.LoginProfile{}, api.LoginSession{}, api.MFAEnrollment{}, api.ConfirmMFARequest{}, api.RecoveryCodes{},
	api.Proof{}, api.HeldProof{}, api.ProofState{}, api.ProofRequest{}, api.AddSecurityKeyRequest{}, api.RemoveMFARequest{}, api.Factor{}, api.Factors{},
	api.ApprovalRule{}, api.SetApprovalRuleRequest{}, api.ApprovalRuleList{}, api.Approval{}, api.ApprovalParam{}, api.ApprovalWant{}, api.ApprovalVote{}, api.ApprovalPart{},
	api.ListApprovalsRequest{}, api.ApprovalList{}, api.SuspendApprovalRuleRequest{}, api.SuspendedApprovalRule{},
	api.ScrubReport{}, api.Finding{}, api.Account{}, api.AccountList{}, api.SecretBytes{}, api.SecretText(""),
}

func TestTheListOfTypesIsComplete(t *testing.T) {
	listed := map[string]bool{}
	for _, v := range types {
		listed[reflect.TypeOf(v).Name()] = true
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && !listed[spec.Name.Name] {
				t.Errorf("type %s is not in the list", spec.Name.Name)
			}
			return true
		})
	}
}

func TestEveryTypeRoundTrips(t *testing.T) {
	for _, v := range types {
		typ := reflect.TypeOf(v)
		t.Run(typ.Name(), rapid.MakeCheck(func(t *rapid.T) {
			want := reflect.New(typ)
			fill(t, want.Elem())
			text, err := json.Marshal(want.Interface())
			if err != nil {
				t.Fatal(err)
			}
			have := reflect.New(typ)
			if err := json.Unmarshal(text, have.Interface()); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if diff := cmp.Diff(want.Interface(), have.Interface()); diff != "" {
				t.Fatalf("%s:\n%s", text, diff)
			}
		}))
	}
}

// fill sets v to something random. Empty lists and maps are nil, as they are on their
// way back where they may be left out.
func fill(t *rapid.T, v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		if rapid.Bool().Draw(t, "set") {
			v.Set(reflect.ValueOf(time.UnixMicro(rapid.Int64Range(0, 1<<50).Draw(t, "time")).UTC()))
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case v.Kind() == reflect.Pointer:
		if rapid.Bool().Draw(t, "set") {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem())
			switch to := v.Elem(); { // "all of them" may be none
			case to.Kind() == reflect.Slice && to.IsNil():
				to.Set(reflect.MakeSlice(to.Type(), 0, 0))
			case to.Kind() == reflect.Map && to.IsNil():
				to.Set(reflect.MakeMap(to.Type()))
			}
		}
	case v.Kind() == reflect.Slice:
		if n := rapid.IntRange(0, 3).Draw(t, "length"); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
		}
		for i := range v.Len() {
			fill(t, v.Index(i))
		}
	case v.Kind() == reflect.Map:
		for _, name := range rapid.SliceOfNDistinct(rapid.String(), 0, 3, rapid.ID).Draw(t, "names") {
			if v.IsNil() {
				v.Set(reflect.MakeMap(v.Type()))
			}
			value := reflect.New(v.Type().Elem()).Elem()
			if fill(t, value); value.Kind() == reflect.Slice && value.IsNil() {
				value.Set(reflect.MakeSlice(value.Type(), 0, 0))
			}
			v.SetMapIndex(reflect.ValueOf(name), value)
		}
	case v.Kind() == reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "flag"))
	case v.Kind() == reflect.Uint8:
		v.SetUint(uint64(rapid.Uint8().Draw(t, "byte")))
	case v.CanInt():
		v.SetInt(rapid.Int64().Draw(t, "number"))
	default:
		v.SetString(rapid.String().Draw(t, "text"))
	}
}

// TestL18SecretsHaveSecretTypes holds that what is a secret by its name has a type that
// does not show it.
func TestL18SecretsHaveSecretTypes(t *testing.T) {
	secretive := regexp.MustCompile(`(?i)secret|passphrase|password|plaintext|token|material|private|credential`)
	// What names secrets, or describes them, shows none.
	names := map[string]bool{"SecretList.Secrets": true, "Sink.Secrets": true, "AddSinkRequest.Secrets": true, "UpdateSinkRequest.Secrets": true, "SecretCopy.Secret": true,
		"NodeTokenList.Tokens": true, "Rollout.Secret": true, "CreateRolloutRequest.Secret": true,
		"RotationPlan.Secret": true, "CreateRotationPlanRequest.Secret": true}
	found := 0
	for _, v := range types {
		of := reflect.TypeOf(v)
		if of.Kind() != reflect.Struct {
			continue
		}
		for i := range of.NumField() {
			f := of.Field(i)
			element := f.Type
			for element.Kind() == reflect.Pointer || element.Kind() == reflect.Map || element.Kind() == reflect.Slice && element != reflect.TypeFor[api.SecretBytes]() {
				element = element.Elem()
			}
			if !secretive.MatchString(f.Name) || names[of.Name()+"."+f.Name] {
				continue
			}
			if found++; element != reflect.TypeFor[api.SecretBytes]() && element != reflect.TypeFor[api.SecretText]() {
				t.Errorf("%s.%s is a secret by its name and a %s, which shows it", of.Name(), f.Name, f.Type)
			}
		}
	}
	if found < 10 {
		t.Errorf("found only %d secrets", found)
	}
}

func TestL18SecretsFormatThemselvesRedacted(t *testing.T) {
	const secret = "fake secret"
	values := []any{
		api.SecretBytes(secret), api.SecretText(secret), api.DataKey{Plaintext: []byte(secret)},
		&api.IssuedAccessKey{Secret: secret}, api.InitializeRequest{Passphrase: []byte(secret)}, []api.SecretText{secret},
	}
	for _, v := range values {
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("logging", "value", v)
		texts := []string{log.String()}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			texts = append(texts, fmt.Sprintf(verb, v))
		}
		for _, text := range texts {
			for _, trace := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprint([]byte(secret))} {
				if strings.Contains(text, trace) {
					t.Errorf("%T is seen in %q", v, text)
				}
			}
		}
	}
}
