package key

import (
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/job"
)

// The kinds of job that keys need.
const (
	JobRotate = "kms.rotate"
	JobDelete = "kms.delete"
	JobExpire = "kms.expire"
)

// Jobs answers when the key must be looked at next. Its deletion is planned once, when it
// is scheduled: nothing that happens to the key afterwards may plan it anew.
func (k Key) Jobs() []job.Job {
	var out []job.Job
	if k.RotationStatus() == RotationEnabled {
		out = append(out, job.Job{Kind: JobRotate, Account: k.Account, Subject: string(k.ID), Due: k.NextRotation()})
	}
	if !k.ExpireAt.IsZero() && !k.Empty {
		out = append(out, job.Job{Kind: JobExpire, Account: k.Account, Subject: string(k.ID), Due: k.ExpireAt})
	}
	return out
}

// Scheduler is the principal of what is done to an account's key because its time has come.
func Scheduler(account string, now time.Time) *authz.Call {
	return &authz.Call{
		Principal: authz.Principal{Account: account, Kind: authz.Service, Name: "scheduler"},
		Time:      now, Scheme: "job",
	}
}
