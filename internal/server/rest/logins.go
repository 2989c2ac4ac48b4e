package rest

import (
	"context"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/server/rest/words"
)

// How people log in, as far as requests are signed; package login has the login itself. What
// stands under /v1/me everybody may who logged in, upon themselves.
func loginRoutes() []route {
	return []route{
		{"GET", "/v1/users/{user}/login", "GetUserLogin", people.ActionGetLogin, "Answers how a user logs in, and the user's sessions.", takes((*dialect).userLogin)},
		{"POST", "/v1/users/{user}/password", "SetUserPassword", people.ActionSetPassword, "Gives a user an initial password, and ends the user's sessions.", takes((*dialect).setPassword)},
		{"DELETE", "/v1/users/{user}/password", "RemoveUserPassword", people.ActionRemovePassword, "Lets a user log in no more, and ends the user's sessions.", takes((*dialect).removePassword)},
		{"DELETE", "/v1/users/{user}/mfa", "RemoveUserMFA", people.ActionRemoveMFA, "Takes a second factor from a user, or all of them, and ends the user's sessions.", takes((*dialect).removeMFA)},
		{"POST", "/v1/users/{user}/end-sessions", "EndUserSessions", people.ActionEndSessions, "Ends all sessions of a user who logged in.", takes((*dialect).endUserSessions)},
		{"POST", "/v1/me/mfa", "EnrollMFA", people.ActionEnrollMFA, "Makes the secret of a second factor for the caller, who logged in.", takes((*dialect).enrollMFA)},
		{"POST", "/v1/me/mfa/confirm", "ConfirmMFA", people.ActionConfirmMFA, "Makes every later login of the caller need a code, and answers recovery codes.", takes((*dialect).confirmMFA)},
		{"GET", "/v1/me/mfa", "GetMFA", people.ActionListMFA, "Answers the second factors of the caller, who logged in.", takes((*dialect).getMFA)},
		{"POST", "/v1/me/mfa/keys", "AddSecurityKey", people.ActionAddKey, "Asks the caller, who logged in, to register a security key in a browser.", takes((*dialect).addKey)},
		{"POST", "/v1/me/mfa/keys/confirm", "ConfirmSecurityKey", people.ActionConfirmKey, "Makes a security key that was registered a second factor of the caller.", takes((*dialect).confirmKey)},
		{"POST", "/v1/me/proofs", "BeginProof", people.ActionBeginProof, "Asks the caller, who logged in, to approve a request with a security key in a browser.", takes((*dialect).beginProof)},
		{"POST", "/v1/me/logout", "Logout", people.ActionLogout, "Ends the session of the caller, who logged in.", takes((*dialect).logout)},
	}
}

func (d *dialect) userLogin(ctx context.Context, q request, _ none) (api.LoginProfile, error) {
	p, err := d.People.Profile(ctx, q.call, q.vars["user"])
	return api.LoginProfile{
		User: p.User, CanLogIn: len(p.Password) > 0, SetAt: p.PasswordAt, Initial: p.Initial,
		HasMFA: p.HasMFA(), MFAAt: p.ConfirmedAt, RecoveryCodes: len(p.Recovery), Factors: factors(p),
		Sessions: words.Each(p.Sessions, func(s people.Session) api.LoginSession { return api.LoginSession(s) }),
	}, err
}

func (d *dialect) setPassword(ctx context.Context, q request, _ none) (api.InitialPassword, error) {
	made, err := d.People.SetPassword(ctx, q.call, q.vars["user"])
	return api.InitialPassword{User: q.vars["user"], Password: api.SecretText(made.Password.Expose()), ExpiresAt: made.ExpiresAt}, err
}

func (d *dialect) removePassword(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.People.RemovePassword(ctx, q.call, q.vars["user"])
}

func (d *dialect) removeMFA(ctx context.Context, q request, in api.RemoveMFARequest) (none, error) {
	return none{}, d.People.RemoveMFA(ctx, q.call, q.vars["user"], in.Factor)
}

func (d *dialect) endUserSessions(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.People.EndSessions(ctx, q.call, q.vars["user"])
}

func (d *dialect) enrollMFA(ctx context.Context, q request, _ none) (api.MFAEnrollment, error) {
	e, err := d.People.EnrollMFA(ctx, q.call)
	return api.MFAEnrollment{Secret: api.SecretText(e.Secret.Expose()), URI: api.SecretText(e.URI.Expose())}, err
}

func (d *dialect) confirmMFA(ctx context.Context, q request, in api.ConfirmMFARequest) (api.RecoveryCodes, error) {
	codes, err := d.People.ConfirmMFA(ctx, q.call, string(in.Code))
	return recovery(codes), err
}

func recovery(codes []material.Bytes) api.RecoveryCodes {
	return api.RecoveryCodes{Codes: words.Each(codes, func(code material.Bytes) api.SecretText { return api.SecretText(code.Expose()) })}
}

func (d *dialect) logout(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.People.Logout(ctx, q.call)
}
