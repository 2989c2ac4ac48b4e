package httpapi_test

// What the recorded contracts of the shipped definitions were recorded with.
var recordedVars = map[string]map[string]string{
	"adyen":             {"environment": "test", "company": "FakeCompany"},
	"cloudflare":        {"account": "00000000000000000000000000000001"},
	"gitlab":            {"id": "42"},
	"grafana":           {"url": "https://grafana.example.com", "service_account": "2"},
	"story":             {"url": "https://keys.example.com"},
	"stripe":            {"api_version": "2026-10-28.preview"},
	"twilio":            {"account": "AC00000000000000000000000000000001"},
	"twilio-auth-token": {"account": "AC00000000000000000000000000000001"},
}

var recordedCredential = map[string]string{
	"adyen/key": "fake-adyen-key", "cloudflare/token": "fake-cloudflare-token", "gitlab/token": "fake-gitlab-token", "grafana/token": "fake-grafana-token",
	"openai/key": "fake-openai-admin-key", "paddle/key": "fake-paddle-key", "sendgrid/key": "fake-sendgrid-key", "story/token": "fake-story-key-1",
	"stripe/key": "fake-stripe-key", "twilio/sid": "fake-sid-of-a-main-key", "twilio/secret": "fake-twilio-secret", "twilio-auth-token/token": "fake-twilio-token",
}
