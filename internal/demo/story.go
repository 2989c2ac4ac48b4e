package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/cloud/cloudtest"
)

// tell plays the story: what happens at which point of the rotation.
func (s *stage) tell(ctx context.Context) error {
	for _, chapter := range []func(context.Context) error{s.alarm, s.begin, s.dieAndReturn, s.cutOff, s.retire, s.calm} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	return nil
}

// alarm is the night: the expiry is noticed, the first who is told sleeps, the second has it.
func (s *stage) alarm(ctx context.Context) error {
	s.view.say("02:00. The key %s, with which all shops pay, dies in three hours. Nobody knows it yet.", "02:00。所有商店用来支付的密钥 %s 三小时后失效，还没有人知道。", s.firstKey)
	told := func(who string) func() (bool, error) {
		return func() (bool, error) {
			i, open := s.seen.now().incident("key-expiry")
			return open && s.alerts.has(func(n notice) bool { return n.of(i) && slices.Contains(n.Data.People, who) }), nil
		}
	}
	if err := s.wait(ctx, "the expiry is noticed", told(owner)); err != nil {
		return err
	}
	s.view.say("keyward has read the platform and tells %s, whose key it is. %s sleeps.", "keyward 读取了平台，通知密钥负责人 %s。%s 在睡觉。", owner, owner)
	if err := s.wait(ctx, "somebody else is told", told(second)); err != nil {
		return err
	}
	s.view.say("Nobody has answered in time: keyward tells %s, too.", "无人按时应答：keyward 升级通知 %s。", second)
	if err := pause(ctx, time.Second); err != nil {
		return err
	}
	id, err := s.acknowledge(ctx, "rotating it now")
	if err != nil {
		return err
	}
	s.view.say("%s acknowledges incident %s, and starts the rotation.", "%s 确认了事件 %s，并启动轮换。", second, id)
	return nil
}

// acknowledge has the second one take the incident on, which holds for a minute at this
// time: who works on it for longer says so again.
func (s *stage) acknowledge(ctx context.Context, note string) (id string, err error) {
	i, ok := s.seen.now().incident("key-expiry")
	if !ok {
		return "", errors.New("there is no incident of the key that expires")
	}
	_, err = s.keyward.AcknowledgeIncident(ctx, i.ID, api.AcknowledgeRequest{By: second, Note: note})
	return i.ID, err
}

// begin starts the rotation. The platform's first answer, with the new key in it, is lost.
func (s *stage) begin(ctx context.Context) error {
	s.platform.Creating.Next(cloudtest.LoseAfter)
	if _, err := s.keyward.StartRotation(ctx, planName, api.StartRotationRequest{Cause: "it expires in three hours"}); err != nil {
		return err
	}
	if err := s.wait(ctx, "the new key is made", func() (bool, error) { return s.platform.Creating.Count(cloudtest.LoseAfter) > 0, nil }); err != nil {
		return err
	}
	s.view.say("The platform has made a key, and the answer with its secret is lost: nobody can ever use that key.", "平台创建了密钥，但含有密钥值的应答丢失：这个密钥谁也用不了。")
	return pause(ctx, time.Second/2)
}

// dieAndReturn kills the server while nobody knows what became of the call.
func (s *stage) dieAndReturn(ctx context.Context) error {
	const dead = 2 * time.Second
	pid := s.server.ID()
	s.server.Kill()
	s.down.killed = s.Now()
	before := s.platform.Tally().Paid
	s.view.say("And now the server is gone: process %d was killed with SIGKILL. The shops pay on, with what their agents hold.", "偏偏此时服务器没了：进程 %d 被 SIGKILL 杀死。商店继续支付，用的是各自 agent 保存的密钥。", pid)
	if err := pause(ctx, dead); err != nil {
		return err
	}
	s.down.paid = s.platform.Tally().Paid - before
	if err := s.startServer(ctx); err != nil {
		return err
	}
	s.down.back = s.Now()
	s.view.say("It is back, as process %d, and finds that a key may have been made. It waits until no late answer can come, and then looks.",
		"服务器以进程 %d 恢复，发现可能已创建过密钥。它等到不会再有迟到的应答，再去查看。", s.server.ID())
	return s.advance(ctx, "the orphan is deleted and another key made", func(now sight) bool { return now.run.NewKey != "" })
}

// cutOff cuts one region off when its turn comes, and brings it back when people know.
func (s *stage) cutOff(ctx context.Context) error {
	s.view.say("The key nobody has the secret of is deleted. The new key is %s; the first to use it is the canary.", "无人持有密钥值的那个密钥已被删除。新密钥是 %s，由金丝雀节点首先使用。", s.seen.now().run.NewKey)
	if err := s.advance(ctx, "the canary uses the new key", func(now sight) bool { return now.confirmed(0) }); err != nil {
		return err
	}
	region := regionNames[cutRegion]
	s.relays[cutRegion].sever()
	s.view.say("The canary pays with it. And the line to %s is cut, just before its turn.", "金丝雀节点已用新密钥支付。就在轮到 %s 之前，通往那里的线路断了。", region)
	if err := s.advance(ctx, "the missing region is noticed", func(now sight) bool {
		stuck, ok := now.incident("rotation-stuck")
		return now.run.Trouble == "nodes-behind" && ok && s.alerts.has(func(n notice) bool { return n.of(stuck) })
	}); err != nil {
		return err
	}
	s.view.say("The wave waits for %s and tells people; its shops pay on with the old key, which works. The line is mended.", "该批次等待 %s，并通知了值班人员；那里的商店仍用旧密钥支付，旧密钥仍然有效。线路修复了。", region)
	s.relays[cutRegion].heal()
	return s.advance(ctx, region+" uses the new key", func(now sight) bool { return now.confirmed(1) })
}

// retire is the rest of the rotation: keyward alone does it.
func (s *stage) retire(ctx context.Context) error {
	s.view.say("%s uses the new key; the rest follows.", "%s 已使用新密钥，其余节点随后。", regionNames[cutRegion])
	if _, err := s.acknowledge(ctx, "the new key is being rolled out"); err != nil {
		return err
	}
	for _, c := range []struct {
		en, zh string
		so     func(sight) bool
	}{
		{"Every node uses the new key. For a day both work.", "所有节点都在使用新密钥。一天之内两个密钥都有效。", func(now sight) bool { return now.run.Step == "grace" || after(now, "grace") }},
		{"Nobody has used the old key any more: it is disabled, which can be undone.", "旧密钥已无人使用：将其禁用，此操作可以撤销。", func(now sight) bool { return now.run.Step == "observing" || after(now, "observing") }},
		{"A day without a complaint: nodes forget the old key, and then it is deleted.", "一天内没有任何异常：各节点丢弃旧密钥，随后将其删除。", func(now sight) bool { return after(now, "observing") }},
		{"The old key is gone. The rotation is done.", "旧密钥已删除，轮换完成。", func(now sight) bool { return now.run.Step == "done" }},
	} {
		if err := s.advance(ctx, "the rotation goes on", c.so); err != nil {
			return err
		}
		s.view.say(c.en, c.zh)
	}
	return nil
}

// after tells whether a rotation is past a step of its way.
func after(now sight, step string) bool {
	at := slices.Index(now.run.Route, step)
	return at >= 0 && slices.Index(now.run.Route, now.run.Step) > at
}

// calm waits until nothing is left that people have to see to, and everybody uses the last
// generation.
func (s *stage) calm(ctx context.Context) error {
	if err := s.keyward.SyncProvider(ctx, providerName); err != nil {
		return err
	}
	return s.wait(ctx, "no incident is open", func() (bool, error) {
		now := s.seen.now()
		_, expires := now.incident("key-expiry")
		_, stuck := now.incident("rotation-stuck")
		return !expires && !stuck && now.whole(now.coverage.Members[0].Target), nil
	})
}

// advance waits until the rotation has come somewhere. One that halts, or goes back, never does.
func (s *stage) advance(ctx context.Context, what string, so func(sight) bool) error {
	return s.wait(ctx, what, func() (bool, error) {
		now := s.seen.now()
		switch {
		case now.run.Halt != "":
			return false, fmt.Errorf("the rotation has halted: %s: %s", now.run.Halt, now.run.Detail)
		case now.run.Back != "":
			return false, fmt.Errorf("the rotation goes back: %s", now.run.Back)
		}
		return now.up && so(now), nil
	})
}
