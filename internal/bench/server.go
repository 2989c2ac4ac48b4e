package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/xks"
)

// A server is a running keyward with all that the operations need.
type server struct {
	child
	place
	access client.Config // of the first user, an administrator
	root   *client.Client
	caller api.IssuedAccessKey
	reader api.IssuedAccessKey // may read secrets and nothing else
	ruled  api.IssuedAccessKey // has a policy of 50 statements
	keys   keyset
}

// form answers what all requests of an operation have in common.
func (s *server) form(o operation) form {
	if o.paths != nil {
		return form{host: s.process.address, paths: o.paths(s.keys), keyID: s.reader.AccessKey.ID, secret: string(s.reader.Secret)}
	}
	if o.offered {
		return form{host: s.process.address, whole: func(now time.Time) []byte { return xksEncrypt(s.process.address, s.keys, now) }}
	}
	caller := s.caller
	if o.ruled {
		caller = s.ruled
	}
	// No parameter has a character that url.Values and the signature spell differently.
	return form{host: s.process.address, action: o.action, sts: o.sts, query: o.params(s.keys).Encode(), keyID: caller.AccessKey.ID, secret: string(caller.Secret)}
}

// A place is what a server is started from.
type place struct {
	binary, dir string
	database    string // "sqlite" or "postgres"
	as          string // name in the table, unless the database says it
	token       string // socket of a hardware token's helper; "" for none
}

// called answers the server's name in the table.
func (at place) called() string { return cmp.Or(at.as, at.database) }

// data is the directory of the server's data.
func (at place) data() string { return filepath.Join(at.dir, at.called()) }

// startServer runs `keyward server` on a new database and prepares it. Nothing but the
// limits of its configuration is special; its log goes to a file.
func startServer(ctx context.Context, at place) (s *server, err error) {
	if err := os.Mkdir(at.data(), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(at.data(), passphraseFile), []byte(passphrase), 0o600); err != nil {
		return nil, err
	}
	if s, err = at.launch(); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx, filepath.Join(at.data(), "operator.sock")); err != nil {
		text, _ := os.ReadFile(at.data() + ".log") // if it cannot be read, the error must do
		return nil, errors.Join(fmt.Errorf("%w; its log:\n%s", err, text), s.stop())
	}
	return s, nil
}

const (
	passphraseFile = "passphrase"
	passphrase     = "not a secret: benchmark"
)

// launch starts the process on a database, be it new or not.
func (at place) launch() (*server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	config := at.data() + ".toml"
	if err := os.WriteFile(config, []byte(at.configuration(address)), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(at.data() + ".log")
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	cmd := exec.Command(at.binary, "server", "--config", config)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &server{place: at, child: child{
		name: at.called(), process: process{cmd.Process.Pid, address},
		end: func() error { return cmd.Process.Signal(syscall.SIGTERM) }, wait: cmd.Wait,
	}}, nil
}

func (at place) configuration(address string) string {
	text := fmt.Sprintf("listen = %q\ndata_dir = %q\n", address, at.data())
	if at.database == "postgres" {
		text += fmt.Sprintf("database = %q\n", os.Getenv(postgresVariable))
	}
	return text + fmt.Sprintf("[limits]\ncalls_per_access_key = 0\ncalls_per_account = 0\nconnections_per_address = 0\nconnections = 0\n[egress]\nallow = [\"127.0.0.0/8\"]\n[seal]\npassphrase_file = %q\n",
		filepath.Join(at.data(), passphraseFile)) + at.tokenSection()
}

func (at place) tokenSection() string {
	if at.token == "" {
		return ""
	}
	return fmt.Sprintf("[pkcs11]\nsocket = %q\n", at.token)
}

// freeAddress finds an address to listen on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// prepare initialises the server, once it answers, and makes what the operations need.
func (s *server) prepare(ctx context.Context, socket string) error {
	operator := client.Operator(socket)
	status, err := operator.Status(ctx)
	for end := time.Now().Add(patience); err != nil && ctx.Err() == nil && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
		status, err = operator.Status(ctx)
	}
	if err != nil {
		return fmt.Errorf("waiting for the server: %w", err)
	}
	if status.Initialized {
		return errors.New("the database is not empty; run: ./scripts/with-postgres go run ./internal/bench")
	}
	founded, err := operator.Initialize(ctx, api.InitializeRequest{Passphrase: []byte(passphrase), Account: "bench"})
	if err != nil {
		return fmt.Errorf("initialising: %w", err)
	}
	s.access = client.Config{AccessKeyID: founded.AccessKeyID, AccessKeySecret: string(founded.AccessKeySecret)}
	if err := s.connect(); err != nil {
		return err
	}
	if err := s.makeKeys(ctx, s.root); err != nil {
		return fmt.Errorf("making keys: %w", err)
	}
	if err := s.makeCaller(ctx, s.root); err != nil {
		return fmt.Errorf("making the caller: %w", err)
	}
	return nil
}

// restart stops the server and starts it again on its database, with nothing in memory.
func (s *server) restart(ctx context.Context) error {
	if err := s.stop(); err != nil {
		return err
	}
	next, err := s.launch()
	if err != nil {
		return err
	}
	s.child = next.child
	if err := s.connect(); err != nil {
		return err
	}
	return s.ready(ctx)
}

// connect makes the client of the first user.
func (s *server) connect() (err error) {
	s.access.Endpoint = "http://" + s.process.address
	s.root, err = client.New(s.access)
	return err
}

func (s *server) makeKeys(ctx context.Context, root *client.Client) (err error) {
	if s.keys.symmetric, err = root.CreateKey(ctx, api.CreateKeyRequest{Spec: "Aliyun_AES_256"}); err != nil {
		return err
	}
	if s.keys.p256, err = root.CreateKey(ctx, api.CreateKeyRequest{Spec: "EC_P256"}); err != nil {
		return err
	}
	if s.keys.rsa, err = root.CreateKey(ctx, api.CreateKeyRequest{Spec: "RSA_2048"}); err != nil {
		return err
	}
	if s.token != "" {
		if s.keys.hardware, err = root.CreateKey(ctx, api.CreateKeyRequest{Spec: "RSA_2048", ProtectionLevel: "HSM"}); err != nil {
			return err
		}
	}
	out, err := root.Encrypt(ctx, api.EncryptRequest{Key: s.keys.symmetric.ID, Plaintext: payload})
	s.keys.ciphertext = out.Ciphertext
	return err
}

// makeCaller makes a user who may use keys and act as a role. The root user would not do: no policy is
// evaluated for it.
func (s *server) makeCaller(ctx context.Context, root *client.Client) (err error) {
	const user = "bench"
	if s.caller, err = makeUser(ctx, root, user, "AliyunKMSCryptoUserAccess"); err != nil {
		return err
	}
	if err = s.makeOffer(ctx, root, user); err != nil {
		return err
	}
	if err = s.makeRuled(ctx, root); err != nil {
		return err
	}
	if err = s.makeExternal(ctx, root); err != nil {
		return err
	}
	return s.makeRole(ctx, root, user)
}

// makeRuled makes a user whose policy has 50 statements, none of which can be passed over: denials
// of the action under conditions that are not met, and the one that allows it last.
func (s *server) makeRuled(ctx context.Context, root *client.Client) (err error) {
	const policy, deny = "bench-ruled", `{"Effect":"Deny","Action":["kms:Decrypt*","kms:Enc*"],"Resource":"acs:kms:*:*:key/*","Condition":{"StringEquals":{"kms:tag/team":["team-%d"]},"IpAddress":{"acs:SourceIp":"10.0.%[1]d.0/24"}}},`
	var document strings.Builder
	document.WriteString(`{"Version":"1","Statement":[`)
	for i := range 49 {
		fmt.Fprintf(&document, deny, i)
	}
	document.WriteString(`{"Effect":"Allow","Action":"kms:Encrypt","Resource":"*"}]}`)
	if _, err := root.CreatePolicy(ctx, api.CreatePolicyRequest{Name: policy, Document: document.String()}); err != nil {
		return err
	}
	s.ruled, err = makeUser(ctx, root, "bench-ruled", policy)
	return err
}

// makeRole makes a role that the user may act as.
func (s *server) makeRole(ctx context.Context, root *client.Client, user string) error {
	me, err := root.WhoAmI(ctx)
	if err != nil {
		return err
	}
	role, err := root.CreateRole(ctx, api.CreateRoleRequest{Name: "bench", TrustPolicy: `{"Version":"1","Statement":[{"Effect":"Allow",
		"Action":"sts:AssumeRole","Principal":{"RAM":"acs:ram::` + me.Account + `:user/` + user + `"}}]}`})
	if err != nil {
		return err
	}
	s.keys.role = role.ARN
	const policy = "bench-assume"
	document := `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"` + role.ARN + `"}]}`
	if _, err := root.CreatePolicy(ctx, api.CreatePolicyRequest{Name: policy, Document: document}); err != nil {
		return err
	}
	return root.AttachPolicy(ctx, user, policy)
}

// makeOffer publishes the symmetric key to who acts as the user.
func (s *server) makeOffer(ctx context.Context, root *client.Client, user string) (err error) {
	if err = root.AttachPolicy(ctx, user, "AliyunKMSReadOnlyAccess"); err != nil { // the other side asks what a key is
		return err
	}
	if s.keys.offer, err = root.CreateOffer(ctx, api.CreateOfferRequest{Name: user, User: user}); err != nil {
		return err
	}
	_, err = root.PublishKey(ctx, user, s.keys.symmetric.ID, api.PublishKeyRequest{Key: s.keys.symmetric.ID})
	return err
}

// makeExternal makes a key whose manager is the offer of this very server.
func (s *server) makeExternal(ctx context.Context, root *client.Client) error {
	configuration, err := json.Marshal(map[string]any{
		"XksProxyUriPath":                  s.keys.offer.Offer.Path + "/kms/xks/v1",
		"XksProxyAuthenticationCredential": map[string]string{"AccessKeyId": s.keys.offer.AccessKeyID, "RawSecretAccessKey": string(s.keys.offer.SecretAccessKey)},
	})
	if err != nil {
		return err
	}
	i, err := root.CreateInstance(ctx, api.CreateInstanceRequest{Name: "bench", Class: "external", Connection: &api.Connection{
		Settings: map[string]string{"endpoint": s.access.Endpoint}, Credential: map[string]api.SecretBytes{"configuration": configuration},
	}})
	if err != nil {
		return err
	}
	s.keys.external, err = root.CreateKey(ctx, api.CreateKeyRequest{Instance: i.ID, ExternalKeyID: s.keys.symmetric.ID})
	return err
}

// xksEncrypt answers a signed request as AWS KMS would send it.
func xksEncrypt(host string, of keyset, now time.Time) []byte {
	body, err := json.Marshal(xks.EncryptRequest{
		Metadata:  xks.RequestMetadata{Principal: "arn:aws:iam::123456789012:user/Alice", Key: "arn:aws:kms:us-east-2:123456789012:key/1", Operation: "Encrypt", RequestID: "4112f4d6-db54-4af4-ae30-c55a22a8dfae"},
		Plaintext: payload, Algorithm: xks.Algorithm,
	})
	if err != nil { // its type always encodes
		panic(err)
	}
	r := xks.Request{Host: host, Path: of.offer.Offer.Path + "/kms/xks/v1/keys/" + of.symmetric.ID + "/encrypt", Header: map[string][]string{"Content-Type": {"application/json"}}, Body: body}
	xks.Credential{ID: of.offer.AccessKeyID, Secret: material.NewBytes([]byte(of.offer.SecretAccessKey))}.Sign(r, "us-east-1", now)
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", r.Path, host, len(body))
	for name, values := range r.Header {
		head += name + ": " + values[0] + "\r\n"
	}
	return append([]byte(head+"\r\n"), body...)
}

func makeUser(ctx context.Context, root *client.Client, user, policy string) (api.IssuedAccessKey, error) {
	if _, err := root.CreateUser(ctx, api.CreateUserRequest{Name: user}); err != nil {
		return api.IssuedAccessKey{}, err
	}
	if err := root.AttachPolicy(ctx, user, policy); err != nil {
		return api.IssuedAccessKey{}, err
	}
	return root.CreateAccessKey(ctx, user, api.CreateAccessKeyRequest{})
}

// makeSecrets makes n secrets of 32 bytes and a user who may read them.
func (s *server) makeSecrets(ctx context.Context, n int) (err error) {
	const policy = "bench-secrets"
	document := `{"Version":"1","Statement":[{"Effect":"Allow","Action":["kms:GetSecretValue","kms:Decrypt"],"Resource":"*"}]}`
	if _, err := s.root.CreatePolicy(ctx, api.CreatePolicyRequest{Name: policy, Document: document}); err != nil {
		return err
	}
	if s.reader, err = makeUser(ctx, s.root, "bench-reader", policy); err != nil {
		return err
	}
	s.keys.secrets = make([]string, n)
	return each(ctx, n, func(ctx context.Context, i int) error {
		s.keys.secrets[i] = fmt.Sprintf("bench-%06d", i)
		_, err := s.root.CreateSecret(ctx, api.CreateSecretRequest{Name: s.keys.secrets[i], Value: payload})
		return err
	})
}
