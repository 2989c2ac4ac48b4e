package interop_test

import (
	"context"
	"testing"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	util "github.com/alibabacloud-go/tea-utils/v2/service"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

// TestApproval has somebody approve what the official SDK asks for: it is refused, then goes
// through once, with the approval's id in a header that the SDK signs, however it is spelt.
func TestApproval(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.account(t)
		k, other := create(t, a.sdk(t), aes256, ""), create(t, a.sdk(t), aes256, "")
		admin := must(client.New(client.Config{Endpoint: "http://" + a.address, AccessKeyID: a.id, AccessKeySecret: a.secret}))(t)
		me := must(admin.WhoAmI(t.Context()))(t)
		must(admin.CreateUser(t.Context(), api.CreateUserRequest{Name: "alice"}))(t)
		initial := must(admin.SetUserPassword(t.Context(), "alice"))(t)
		in := api.LoginRequest{Account: me.Account, User: "alice", Password: initial.Password, NewPassword: "some unrelated fake words"}
		proof := ""
		login := func() *client.Client {
			t.Helper()
			out := must(client.Login(t.Context(), client.Config{Endpoint: "http://" + a.address}, in))(t)
			in.Password, in.NewPassword = "some unrelated fake words", ""
			return must(client.New(client.Config{
				Endpoint: "http://" + a.address, AccessKeyID: out.AccessKeyID, AccessKeySecret: string(out.Secret), SecurityToken: string(out.SecurityToken),
				Code: func(context.Context, client.Wanted) (string, error) { return proof, nil },
			}))(t)
		}
		person := login()
		e := must(person.EnrollMFA(t.Context()))(t)
		must(person.ConfirmMFA(t.Context(), api.ConfirmMFARequest{Code: api.SecretText(code(t, e, -1))}))(t)
		in.Code = api.SecretText(code(t, e, 0))
		person, proof = login(), code(t, e, 1)
		must(admin.SetApprovalRule(t.Context(), "deletion", api.SetApprovalRuleRequest{Need: 1, Approvers: []string{"alice"}, Actions: []string{"kms:ScheduleKeyDeletion"}}))(t)

		try := func(method, id, key, days string) error {
			config := *a.config()
			headers := map[string]*string{"x-acs-approval-reason": new("ticket 7, 轮换")}
			if id != "" {
				headers = map[string]*string{"x-acs-approval-id": &id}
			}
			config.GlobalParameters = &openapi.GlobalParameters{Headers: headers}
			_, err := must(openapi.NewClient(&config))(t).CallApi(&openapi.Params{
				Action: new("ScheduleKeyDeletion"), Version: new("2016-01-20"), Protocol: new("HTTP"), Pathname: new("/"), Method: &method,
				AuthType: new("AK"), Style: new("RPC"), ReqBodyType: new("formData"), BodyType: new("json"),
			}, &openapi.OpenApiRequest{Query: map[string]*string{"KeyId": &key, "PendingWindowInDays": &days}}, &util.RuntimeOptions{})
			return err
		}
		refused(0, try("POST", "", k.id, "366"))(t, 403, "Forbidden.ApprovalRequired")
		refused(0, try("GET", "", k.id, "366"))(t, 403, "Forbidden.ApprovalRequired")
		open := must(admin.ListApprovals(t.Context(), api.ListApprovalsRequest{}))(t).Approvals
		if len(open) != 1 || open[0].Action != "kms:ScheduleKeyDeletion" || open[0].Reason != "ticket 7, 轮换" {
			t.Fatalf("the same request, spelt in two ways, opened %+v", open)
		}
		id := open[0].ID
		refused(0, try("POST", id, k.id, "366"))(t, 403, "Forbidden.ApprovalRequired") // nobody has approved it
		must(person.Approve(t.Context(), id))(t)
		refused(0, try("POST", id, k.id, "7"))(t, 400, "InvalidParameter")
		refused(0, try("POST", id, other.id, "366"))(t, 400, "InvalidParameter")
		refused(0, try("POST", "", k.id, "366"))(t, 403, "Forbidden.ApprovalRequired") // its id is not named
		succeed(t, try("GET", id, k.id, "366"))
		succeed(t, admin.RestoreKey(t.Context(), k.id))
		refused(0, try("POST", id, k.id, "366"))(t, 409, "Rejected.StateModifiedFailed") // it was used
	})
}
