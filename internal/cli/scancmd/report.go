package scancmd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/leak"
)

// A reporter tells the server what a scan found. Of a secret it tells a keyed hash, under a
// key that it gets from the server.
type reporter struct {
	server  *client.Client
	key     []byte
	origin  string
	stopped bool   // of a push that is refused
	reason  string // of a push that is let through
}

// reporter answers who reports, nil if nobody does. It is made before the scan, which need
// not run if the server cannot be told.
func (s *scan) reporter(ctx context.Context, root string) (*reporter, error) {
	if !s.report {
		return nil, nil
	}
	server, err := remote.Connect(s.Run)
	if err != nil {
		return nil, err
	}
	got, err := server.GetScanKey(ctx)
	if err != nil {
		return nil, err
	}
	if s.origin == "" {
		s.origin = shortened(origin(ctx, root), 250)
	}
	return &reporter{server: server, key: []byte(got.Key), origin: s.origin}, nil
}

// origin answers what people call a directory: the repository that it was cloned from, or
// else its place on this machine.
func origin(ctx context.Context, root string) string {
	out, err := exec.CommandContext(ctx, "git", "-C", root, "config", "--get", "remote.origin.url").Output()
	if u, bad := url.Parse(strings.TrimSpace(string(out))); err == nil && bad == nil && u.Host != "" {
		return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String() // all else may have a password
	}
	if remote := strings.TrimSpace(string(out)); err == nil && remote != "" && !strings.Contains(remote, "://") {
		_, place, found := strings.Cut(remote, "@") // git@host:path, or a path
		if !found {
			place = remote
		}
		return place
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	if path, err := filepath.Abs(root); err == nil {
		root = path
	}
	return host + ":" + root
}

// A report has at most so many bytes, and of one credential so many places.
const (
	reportBytes  = 40 << 10
	reportEach   = 50
	reportPlaces = 20
)

// send reports findings, as many at once as the server takes, and answers how many.
func (r *reporter) send(ctx context.Context, findings []leak.Finding) (sent int, err error) {
	in := api.ReportLeaksRequest{Origin: r.origin, Stopped: r.stopped, Reason: r.reason}
	size := 0
	for i, f := range findings {
		one := seen(f)
		encoded, err := json.Marshal(one)
		if err != nil {
			return sent, err
		}
		in.Seen, size = append(in.Seen, one), size+len(encoded)
		if last := i == len(findings)-1; last || size > reportBytes/2 || len(in.Seen) == reportEach {
			if _, err := r.server.ReportLeaks(ctx, in); err != nil {
				return sent, err
			}
			sent += len(in.Seen)
			in.Seen, size = nil, 0
		}
	}
	return sent, nil
}

// accepted answers the findings that no person accepts in pushes now.
func (r *reporter) accepted(ctx context.Context, findings []leak.Finding) (left []leak.Finding, err error) {
	for some := range slices.Chunk(findings, reportEach) {
		in := api.AcceptedLeaksRequest{Blinds: []string{}}
		for _, f := range some {
			in.Blinds = append(in.Blinds, f.Mark)
		}
		out, err := r.server.ListAcceptedLeaks(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, f := range some {
			if f.Mark == "" || !slices.Contains(out.Accepted, f.Mark) {
				left = append(left, f)
			}
		}
	}
	return left, nil
}

// seen answers what is told of a finding.
func seen(f leak.Finding) api.SeenCredential {
	c := api.SeenCredential{Blind: f.Mark, KeyID: f.KeyID, Rule: f.Rule, Severity: f.Severity.String()}
	if f.Mark == "" {
		c.KeyID = f.Redacted // an identifier, which is public
	}
	for _, at := range f.Locations {
		if len(c.Places) == reportPlaces {
			c.More = len(f.Locations) - reportPlaces
			break
		}
		c.Places = append(c.Places, api.SeenPlace{Path: shortened(at.Path, 512), Line: at.Line, Commit: at.Commit, Layer: at.Layer})
	}
	return c
}

// shortened answers the end of a path, which says more than its beginning.
func shortened(path string, most int) string {
	if len(path) <= most {
		return path
	}
	return "…" + strings.ToValidUTF8(path[len(path)-most:], "")
}

// tellServer reports what was found: all that the threshold lets through, and identifiers,
// which the server compares with its inventory.
func (s *scan) tellServer(ctx context.Context, r *reporter, findings []leak.Finding, threshold leak.Severity) error {
	var told []leak.Finding
	for _, f := range findings {
		if f.Severity >= threshold || f.Mark == "" {
			told = append(told, f)
		}
	}
	sent, err := r.send(ctx, told)
	if err != nil {
		return &cli.Problem{Message: fmt.Sprintf(s.T("%d of %d findings were reported", "仅上报了 %d / %d 项"), sent, len(told)), Cause: err, Status: cli.ExitPartial}
	}
	s.Say("Reported: %s as %s.", "已上报：%s，来源 %s。", count(s.Run, int64(sent), "credential", "credentials", "个密钥"), cli.Printable(r.origin))
	return nil
}
