// Package host looks for credentials where a machine keeps them outside of its programs'
// source: in the environments and command lines of running processes, in histories of
// shells and clients, in what cloud tools, registries and package managers remember, in
// configurations of clusters, and in the units and environments of services.
//
// It reads what it may. What belongs to others is left out and counted, for a search by an
// ordinary user is no failure; run by root it covers the machine. Nothing is changed, and
// no program is run. Of processes Linux tells; elsewhere there are files only.
package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/keyward/keyward/internal/leak/search"
)

// Reasons for which something is left out, as a [search.Coverage] counts them.
const (
	ForeignProcess   = "processes of others"
	ForeignFile      = "files of others"
	ForeignHome      = "home directories of others"
	ForeignDirectory = "other directories of others"
)

// inHomes are the files below a home directory, as patterns of path.Match.
var inHomes = []string{
	// Histories, into which keys are typed.
	".bash_history", ".zsh_history", ".sh_history", ".history", ".ash_history", ".local/share/fish/fish_history", ".mysql_history", ".psql_history",
	".rediscli_history", ".python_history", ".node_repl_history", ".lesshst", ".viminfo", ".wget-hsts",
	// What a shell sets.
	".bashrc", ".bash_profile", ".bash_login", ".profile", ".zshrc", ".zshenv", ".zprofile", ".config/fish/config.fish", ".env", ".envrc", ".pam_environment", ".ssh/environment",
	// Command lines of clouds.
	".aws/credentials", ".aws/config", ".aws/cli/cache/*.json", ".aliyun/config.json", ".acs/credentials", ".alibabacloud/credentials*", ".ossutilconfig", ".tccli/*.credential",
	".tencentcloud/credentials", ".cos.conf", ".cos.yaml", ".hcloud/config.json", ".obsutilconfig", ".volc/config*", ".volcengine/*", ".bce/credentials", ".jdc/config",
	".ucloud/credential.json", ".qshell/*", ".config/gcloud/application_default_credentials.json", ".config/gcloud/credentials.db", ".config/gcloud/legacy_credentials/*/adc.json", ".azure/*.json",
	".oci/config", ".oci/*.pem", ".config/doctl/config.yaml", ".s3cfg", ".boto", ".mc/config.json", ".config/rclone/rclone.conf", ".passwd-s3fs", ".terraformrc", ".terraform.d/credentials.tfrc.json",
	".config/keyward/*", ".vault-token",
	// Clusters and registries.
	".kube/config", ".kube/*.yaml", ".docker/config.json", ".config/containers/auth.json", ".config/helm/registry/config.json", ".config/helm/repositories.yaml",
	// Code and packages.
	".git-credentials", ".config/git/credentials", ".gitconfig", ".config/gh/hosts.yml", ".config/glab-cli/config.yml", ".netrc", ".npmrc", ".yarnrc.yml", ".pypirc", ".config/pip/pip.conf", ".pip/pip.conf",
	".gem/credentials", ".cargo/credentials", ".cargo/credentials.toml", ".m2/settings.xml", ".gradle/gradle.properties", ".nuget/NuGet/NuGet.Config", ".composer/auth.json", ".config/composer/auth.json",
	// Databases and machines.
	".my.cnf", ".pgpass", ".ssh/id_*", ".ssh/*.pem", ".ssh/config", ".config/ngrok/ngrok.yml", ".ansible/*", ".vault_pass*",
}

// onMachines are the files of a machine.
var onMachines = []string{
	"etc/environment", "etc/profile", "etc/profile.d/*", "etc/default/*", "etc/sysconfig/*", "etc/crontab", "etc/cron.d/*", "var/spool/cron/*", "var/spool/cron/crontabs/*",
	"etc/systemd/system/*", "etc/systemd/system/*.d/*", "usr/lib/systemd/system/*.d/*", "etc/supervisor/conf.d/*", "etc/supervisord.conf", "etc/supervisord.d/*", "etc/init.d/*",
	"etc/docker/daemon.json", "etc/docker/*.json", "var/lib/docker/containers/*/config.v2.json", "etc/containerd/config.toml", "etc/kubernetes/*.conf", "etc/kubernetes/manifests/*", "etc/rancher/*/*.yaml", "var/lib/kubelet/config.json",
	"etc/nginx/*.conf", "etc/nginx/conf.d/*", "etc/mysql/*.cnf", "etc/redis/*.conf", "etc/redis.conf", "etc/my.cnf", "etc/passwd-s3fs", "etc/fstab",
	"var/lib/cloud/instance/user-data.txt", "var/lib/cloud/instance/scripts/*", "var/lib/jenkins/credentials.xml", "etc/gitlab/gitlab.rb", "etc/gitlab-runner/config.toml",
}

// Look looks at the machine whose files are below root, "/" for this one; home is that of
// the user, "" for none. What cannot be read for another reason than its owner is a problem
// of s; the error is the context's.
func Look(ctx context.Context, root, home string, s *search.Search) error {
	l := &machine{root: root, files: os.DirFS(root), search: s, lane: s.Lane(), denied: map[string]bool{}}
	if err := l.processes(ctx); err != nil {
		return err
	}
	places := []place{{".", onMachines}}
	for _, dir := range l.homes(home) {
		if _, err := fs.Lstat(l.files, path.Join(dir, inHomes[0])); err != nil && !absent(err) {
			l.missed(filepath.Join(root, filepath.FromSlash(dir)), ForeignHome, err)
			l.denied[dir] = true
			continue // a pattern in it would answer nothing
		}
		places = append(places, place{dir, inHomes})
	}
	for _, p := range places {
		for _, pattern := range p.patterns {
			if err := ctx.Err(); err != nil {
				return err
			}
			names, err := l.glob(p.dir, pattern)
			if err != nil {
				return fmt.Errorf("looking for %s: %w", pattern, err)
			}
			for _, name := range names {
				l.file(name)
			}
		}
	}
	return nil
}

// A place is a directory and the patterns of the files in it that are looked at.
type place struct {
	dir      string
	patterns []string
}

// A machine is one that is looked at.
type machine struct {
	root   string
	files  fs.FS
	search *search.Search
	lane   *search.Lane
	seen   []os.FileInfo
	denied map[string]bool // directories that were counted as left out
}

// homes answers the home directories of all who have one, without the slash that they begin with.
func (m *machine) homes(own string) (out []string) {
	passwd, err := fs.ReadFile(m.files, "etc/passwd")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.search.Problem(filepath.Join(m.root, "etc/passwd"), err)
	}
	for line := range strings.Lines(string(passwd)) {
		if columns := strings.Split(strings.TrimSpace(line), ":"); len(columns) == 7 {
			out = append(out, columns[5])
		}
	}
	out = append(out, filepath.ToSlash(own))
	for i, dir := range out {
		out[i] = strings.TrimPrefix(path.Clean("/"+dir), "/")
	}
	out = slices.DeleteFunc(out, func(dir string) bool { return dir == "" })
	slices.Sort(out)
	return slices.Compact(out)
}

// glob answers what may be below a directory under a pattern. Unlike fs.Glob it tells of the
// directories that it could not read.
func (m *machine) glob(dir, pattern string) ([]string, error) {
	names := []string{dir}
	for element := range strings.SplitSeq(pattern, "/") {
		var next []string
		for _, name := range names {
			if !strings.ContainsAny(element, "*?[") {
				next = append(next, path.Join(name, element))
				continue
			}
			entries, err := fs.ReadDir(m.files, name)
			m.unread(name, err)
			for _, e := range entries {
				fits, err := path.Match(element, e.Name())
				if err != nil {
					return nil, err
				}
				if fits {
					next = append(next, path.Join(name, e.Name()))
				}
			}
		}
		names = next
	}
	return names, nil
}

// unread notes a name that could not be looked up or listed. If that is for its owner's sake,
// the directory that keeps others out is counted, once for all that may be in it.
func (m *machine) unread(name string, err error) {
	if absent(err) {
		return
	}
	at := filepath.Join(m.root, filepath.FromSlash(name))
	if errors.Is(err, fs.ErrPermission) {
		for ; name != "."; name = path.Dir(name) {
			if _, err := fs.Lstat(m.files, name); !errors.Is(err, fs.ErrPermission) {
				break
			}
		}
		if m.denied[name] {
			return
		}
		m.denied[name] = true
	}
	m.missed(at, ForeignDirectory, err)
}

// absent tells of an error that it says no more than that there is nothing under a name.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) }

// file looks at a file, unless it is a directory or was looked at under another name.
func (m *machine) file(name string) {
	at := filepath.Join(m.root, filepath.FromSlash(name))
	info, err := fs.Stat(m.files, name)
	if err != nil {
		m.unread(name, err)
		return
	}
	if !info.Mode().IsRegular() || slices.ContainsFunc(m.seen, func(other os.FileInfo) bool { return os.SameFile(info, other) }) {
		return
	}
	m.seen = append(m.seen, info)
	m.missed(at, ForeignFile, m.lane.File(at))
}

// missed notes what could not be looked at.
func (m *machine) missed(at, reason string, err error) {
	switch {
	case errors.Is(err, fs.ErrPermission):
		m.search.Skip(reason)
	case err != nil:
		m.search.Problem(at, err)
	}
}

// processes looks at the environments and command lines of processes.
func (m *machine) processes(ctx context.Context) error {
	entries, err := fs.ReadDir(m.files, "proc")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.search.Problem(filepath.Join(m.root, "proc"), err)
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		program, err := fs.ReadFile(m.files, path.Join("proc", e.Name(), "comm"))
		if err != nil {
			continue // it has ended
		}
		for _, part := range []string{"environ", "cmdline"} {
			m.process(path.Join("proc", e.Name(), part), strings.TrimSpace(string(program)))
		}
	}
	return nil
}

// maxProcess is how many bytes of an environment or a command line are read; Linux allows
// somewhat more for both together.
const maxProcess = 4 << 20

// process looks at a list that ends each of its entries with a zero.
func (m *machine) process(name, program string) {
	at := filepath.Join(m.root, filepath.FromSlash(name)) + " (" + program + ")"
	content, err := m.read(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errGone) || err == nil && len(content) == 0 {
		return // it has ended, or is the system's own
	}
	if err == nil {
		between := []byte("\n") // variables stand in lines
		if path.Base(name) == "cmdline" {
			between = []byte(" ")
		}
		err = m.lane.Reader(at, bytes.NewReader(bytes.ReplaceAll(content, []byte{0}, between)))
	}
	m.missed(at, ForeignProcess, err)
}

func (m *machine) read(name string) ([]byte, error) {
	file, err := m.files.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxProcess))
}
