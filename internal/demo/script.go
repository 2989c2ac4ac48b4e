package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyward/keyward/internal/cloud/paysim"
)

const (
	before  = 3 * time.Second // of the story in which all is well
	writing = 2 * time.Second // of the script, the new key to the shops of a region
	restart = time.Second     // of a shop, so that it reads the key
	unseen  = 4 * time.Second // until somebody notices
)

// A credential is what a shop of the old days has: a key, read when it starts.
type credential struct{ id, secret string }

// A kiosk is a shop of the old days.
type kiosk struct {
	till
	has  atomic.Pointer[credential]
	shut atomic.Bool // it is being restarted: nobody can pay, and it is not counted
}

func (k *kiosk) run(ctx context.Context) {
	k.till.run(ctx, func(ctx context.Context, order string) error {
		if k.shut.Load() {
			return errShut
		}
		c := k.has.Load()
		return k.pay(ctx, order, c.id, c.secret)
	})
}

// errShut is no failure: nothing was sent.
var errShut = errors.New("the shop is being restarted")

// RunScript tells what a script does that resets a key at the platform, writes it to one
// region after the other, and restarts the shops. The error wraps
// [ErrUnproven] if payments failed, as they do.
func RunScript(ctx context.Context, o Options) error {
	v := newView(o)
	platform := paysim.New(o.Now)
	s := &stage{Options: o, view: v, platform: platform}
	defer s.endWeb()
	var err error
	admin := platform.AddMerchant(merchant)
	if s.url, err = s.serve(platform); err != nil {
		return err
	}
	id, secret, err := platform.AddKey(merchant, "made by hand", paysim.Lifetime)
	if err != nil {
		return err
	}
	kiosks := make([]*kiosk, 0, len(regionNames)*shopsOfRegion)
	running, stop := context.WithCancel(ctx)
	var paying sync.WaitGroup
	defer paying.Wait()
	defer stop()
	for region := range regionNames {
		for n := range shopsOfRegion {
			k := &kiosk{till: till{name: node(region, n), url: s.url, http: &http.Client{Transport: &http.Transport{}}}}
			k.has.Store(&credential{id, secret})
			kiosks = append(kiosks, k)
			paying.Go(func() { k.run(running) })
		}
	}
	v.say("02:00. The key %s dies in three hours. Somebody runs the script.", "02:00。密钥 %s 三小时后失效，有人运行了脚本。", id)
	if err := s.play(ctx, admin, id, kiosks); err != nil {
		return err
	}
	stop()
	paying.Wait()
	return s.reckon(kiosks)
}

// endWeb ends what is served at addresses of this machine.
func (s *stage) endWeb() {
	for _, w := range s.web {
		_ = w.Close() // nobody waits for it
	}
}

// play does what the script does.
func (s *stage) play(ctx context.Context, admin, id string, kiosks []*kiosk) error {
	if err := pause(ctx, before); err != nil {
		return err
	}
	fresh, err := s.reset(ctx, admin, id)
	if err != nil {
		return err
	}
	s.view.say("The script resets the key at the platform: from here on the old secret is dead, everywhere.", "脚本在平台上重置密钥：从此刻起，旧密钥值在所有地方失效。")
	for region, name := range regionNames {
		if err := pause(ctx, writing); err != nil {
			return err
		}
		if region == cutRegion {
			s.view.say("%s cannot be reached. The script says so in a log, and goes on.", "%s 无法连接。脚本在日志中写了一行，继续执行。", name)
			continue
		}
		mine := kiosks[region*shopsOfRegion : (region+1)*shopsOfRegion]
		for _, k := range mine {
			k.shut.Store(true)
		}
		if err := pause(ctx, restart); err != nil {
			return err
		}
		for _, k := range mine {
			k.has.Store(&credential{id, fresh})
			k.shut.Store(false)
		}
		s.view.say("%s has the new secret, and its shops were restarted.", "%s 已写入新密钥值，商店已重启。", name)
	}
	s.view.say("The script ends: done.", "脚本结束：完成。")
	return pause(ctx, unseen)
}

// reset replaces the key's secret in place.
func (s *stage) reset(ctx context.Context, admin, id string) (secret string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v1/keys/"+id+"/reset", nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+admin)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", fmt.Errorf("resetting the key: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	var out struct {
		Secret string `json:"secret"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 4<<10)).Decode(&out)
	if err != nil || out.Secret == "" {
		return "", fmt.Errorf("resetting the key: the platform answers %d", resp.StatusCode)
	}
	return out.Secret, nil
}

// reckon shows what it cost.
func (s *stage) reckon(kiosks []*kiosk) error {
	v, tally := s.view, s.platform.Tally()
	var failed, paid, shut int64
	v.title("What it cost", "代价")
	for _, k := range kiosks {
		v.line("  %s  "+v.t("paid %s, failed %s, not taken during restarts %d", "完成 %s，失败 %s，重启期间未受理 %d"),
			pad(k.name, 12), pad(fmt.Sprint(k.paid.Load()), 5), pad(fmt.Sprint(k.failed.Load()), 5), k.skipped.Load())
		failed, paid, shut = failed+k.failed.Load(), paid+k.paid.Load(), shut+k.skipped.Load()
	}
	v.line("\n"+v.t("payments made: %d, %d failed, %d not taken during restarts; the platform refused %d", "完成支付 %d 笔，失败 %d 笔，重启期间未受理 %d 笔；平台拒绝 %d 笔"),
		paid, failed, shut, tally.Failed())
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("%d payments failed: %w", failed, ErrUnproven)
}
