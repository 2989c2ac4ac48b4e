package demo

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/cloud/paysim"
	"github.com/keyward/keyward/internal/demo/child"
)

// setUp starts the server, tells it what there is, and has shops open.
func (s *stage) setUp(ctx context.Context) error {
	s.view.say("Everything here is real but the payment platform, the shops and the people: a server and %d agents, each a process of its own.",
		"除支付平台、商店和人员外，一切都是真的：一个服务器和 %d 个 agent，各是一个独立进程。", len(regionNames)*shopsOfRegion)
	s.view.say("Time is short here: a day of grace or observation lasts %s, the key's last three hours %s, a quarter of an hour to answer an alarm %s.",
		"这里的时间是压缩的：一天的宽限期或观察期为 %s，密钥最后的三小时为 %s，应答告警的一刻钟为 %s。", aDay, keyLife, answerIn)
	if err := s.startServer(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{s.remember, s.alarms, s.deliver, s.join, s.open, s.plan} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// remember keeps the keys and the heads of the audit logs, which the last verification
// goes by.
func (s *stage) remember(ctx context.Context) error {
	logs, err := s.operator.ListAuditLogs(ctx)
	if err != nil {
		return err
	}
	for _, l := range logs.Logs {
		s.trust[l.Origin] = audit.Trust{PublicKey: l.PublicKey, Remembered: [][]byte{[]byte(l.Checkpoint)}}
	}
	return nil
}

// alarms says who is told, over what, and who comes next.
func (s *stage) alarms(ctx context.Context) error {
	url, err := s.serve(s.alerts)
	if err != nil {
		return err
	}
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("fake-demo-webhook-secret-of-nobody"))
	_, err = s.keyward.AddChannel(ctx, api.AddChannelRequest{Name: "duty", Kind: "webhook", Connection: api.Connection{
		Credential: map[string]api.SecretBytes{"url": api.SecretBytes(url), "secret": api.SecretBytes(secret)},
	}})
	if err != nil {
		return err
	}
	for _, name := range []string{owner, second} {
		if _, err := s.keyward.SetPerson(ctx, name, api.SetPersonRequest{Email: name + "@example.com"}); err != nil {
			return err
		}
	}
	language := "en"
	if s.Chinese {
		language = "zh"
	}
	all := []string{"machine"}
	_, err = s.keyward.SetEscalation(ctx, api.Escalation{
		Rungs: []api.Rung{
			{Left: "7d", Severity: "warning", Families: all, Wait: answerIn.String()},
			{Left: "3h", Severity: "critical", Families: all, Wait: answerIn.String()},
		},
		Levels: [][]string{{"owner"}, {"person:" + second}}, Quiet: api.QuietHours{From: "00:00", To: "00:00", Zone: "Asia/Shanghai"}, Language: language,
	})
	return err
}

// deliver makes the key, the secret that holds it, and the rollout that brings it to nodes.
func (s *stage) deliver(ctx context.Context) error {
	id, value, err := s.platform.AddKey(merchant, "made by hand", keyLife)
	if err != nil {
		return err
	}
	s.firstKey = id
	text, err := json.Marshal(map[string]string{"key_id": id, "key_secret": value})
	if err != nil {
		return err
	}
	if _, err := s.keyward.CreateSecret(ctx, api.CreateSecretRequest{Name: secretName, Value: text}); err != nil {
		return err
	}
	_, err = s.keyward.CreateRollout(ctx, api.CreateRolloutRequest{Name: rolloutName, Secret: secretName, Waves: []api.RolloutWave{
		{Name: "canary", Labels: map[string]string{"tier": "canary"}},
		{Name: regionNames[cutRegion], Labels: map[string]string{"region": regionNames[cutRegion]}},
		{Name: "rest"},
	}})
	return err
}

// node answers the name of a shop's machine.
func node(region, n int) string { return regionNames[region] + "-" + strconv.Itoa(n+1) }

// each does something for every shop at once.
func each(ctx context.Context, do func(ctx context.Context, region, n int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for region := range regionNames {
		for n := range shopsOfRegion {
			group.Go(func() error { return do(ctx, region, n) })
		}
	}
	return group.Wait()
}

// join makes the machines nodes and starts their agents, each behind the relay of its region.
func (s *stage) join(ctx context.Context) error {
	for range regionNames {
		r, err := newRelay(s.address)
		if err != nil {
			return err
		}
		s.relays = append(s.relays, r)
	}
	s.agents = make([]*child.Process, len(regionNames)*shopsOfRegion)
	return each(ctx, func(ctx context.Context, region, n int) error {
		labels := map[string]string{"region": regionNames[region], "tier": "main"}
		if region == 0 && n == 0 {
			labels["tier"] = "canary"
		}
		token, err := s.keyward.CreateNodeToken(ctx, api.CreateNodeTokenRequest{Node: node(region, n), Labels: labels})
		if err != nil {
			return err
		}
		state := s.place(region, n, "")
		config := fmt.Sprintf("state = %q\nlisten = %q\nreport = %q\n", state, s.place(region, n, ".sock"), reporting)
		for ending, text := range map[string]string{".token": string(token.Token), ".toml": config} {
			if err := os.WriteFile(s.place(region, n, ending), []byte(text), 0o600); err != nil {
				return fmt.Errorf("setting up an agent: %w", err)
			}
		}
		log := node(region, n) + ".log"
		joining, err := s.start(log, "agent", "join", "--server", "http://"+s.relays[region].address(), "--name", node(region, n), "--token-file", s.place(region, n, ".token"), "--state", state)
		if err != nil {
			return err
		}
		if err := joining.Finish(ctx); err != nil {
			joining.Kill()
			return err
		}
		s.agents[region*shopsOfRegion+n], err = s.start(log, "agent", "run", "--config", s.place(region, n, ".toml"))
		return err
	})
}

// place answers the path of something of a machine. It is short: it may be a socket.
func (s *stage) place(region, n int, ending string) string {
	return filepath.Join(s.dir, strconv.Itoa(region)+strconv.Itoa(n)+ending)
}

// open has the shops pay, and the narrator look at everything.
func (s *stage) open(ctx context.Context) error {
	s.shops = make([]*shop, len(s.agents))
	ready, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := each(ready, func(ctx context.Context, region, n int) (err error) {
		t := till{name: node(region, n), url: s.url, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}}
		s.shops[region*shopsOfRegion+n], err = openShop(ctx, &t, s.place(region, n, ".sock"))
		return err
	}); err != nil {
		return err
	}
	var all context.Context
	all, s.closing = context.WithCancel(context.WithoutCancel(ctx))
	for _, shop := range s.shops {
		s.paying.Go(func() { shop.run(all) })
	}
	s.seen = &lookout{}
	s.paying.Go(func() { s.look(all) })
	s.view.attend(s)
	return s.wait(ctx, "every shop has paid and said so", func() (bool, error) {
		now := s.seen.now()
		return now.whole(1), nil
	})
}

// plan connects the platform, and says how its key is replaced.
func (s *stage) plan(ctx context.Context) error {
	vars, err := json.Marshal(map[string]string{"url": s.url, "merchant": merchant})
	if err != nil {
		return err
	}
	if _, err := s.keyward.AddProvider(ctx, api.AddProviderRequest{Name: providerName, Kind: "http", Owner: owner, Connection: api.Connection{
		Settings:   map[string]string{"vars": string(vars)},
		Credential: map[string]api.SecretBytes{"credential": api.SecretBytes(s.admin), "definition_file": paysim.Definition()},
	}}); err != nil {
		return err
	}
	text := func(d time.Duration) *string {
		out := d.String()
		return &out
	}
	waves := []api.RotationWaveRequest{}
	for _, name := range []string{"canary", regionNames[cutRegion], "rest"} {
		waves = append(waves, api.RotationWaveRequest{Name: name, Bake: text(bake)})
	}
	forecast, err := s.keyward.CreateRotationPlan(ctx, api.CreateRotationPlanRequest{
		Name: planName, Provider: providerName, Principal: merchant, Secret: secretName, Rollout: rolloutName,
		Care: api.RotationCareRequest{Call: text(callTime), Confirm: text(confirm), Grace: text(aDay), Quiet: text(quiet), Observe: text(aDay), Waves: &waves},
	})
	if err == nil && forecast.Plan.Key != s.firstKey {
		err = errors.New("the plan is about another key")
	}
	return err
}
