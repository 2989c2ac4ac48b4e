package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/mirror"
)

func newRepositoryCmd(c *cli) *cobra.Command {
	return c.command(command{use: "repository", short: text{"Have git repositories watched for leaked keys", "监视 git 仓库中泄露的密钥"}},
		newRepositoryAddCmd(c), newRepositoryListCmd(c), newRepositoryShowCmd(c), newRepositoryUpdateCmd(c), newRepositoryScanCmd(c), newRepositoryRemoveCmd(c))
}

// A watching is what the flags say of a repository.
type watching struct {
	*cli
	api.AddRepositoryRequest
	cmd               *cobra.Command
	pace              time.Duration
	tokenFile, caFile string
	open              bool
}

func (w *watching) flags(cmd *cobra.Command) {
	w.cmd = cmd
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&w.Place.URL, "url", "", w.t("`URL` of the repository, without a user: https://host/path.git", "仓库的 `URL`，不含用户名：https://host/path.git"))
	f.StringVar(&w.Place.User, "user", "", w.t("`NAME` of the user that the token is of, if the host wants one", "令牌所属的用户 `NAME`（如果托管平台要求）"))
	f.StringVar(&w.tokenFile, "token-file", "", w.t("`FILE` with a token that may read the repository; - for standard input", "存有可读取该仓库的令牌的文件 `FILE`；- 表示标准输入"))
	f.StringVar(&w.caFile, "ca-file", "", w.t("`FILE` with the certificates, in PEM, of the authority that the host's comes from", "签发该平台证书的 CA 证书文件（PEM）`FILE`"))
	f.StringSliceVar(&w.Refs, "ref", nil, w.t("look at this `REF` only: a branch such as main or release/*, or refs/tags/*; may be repeated", "只检查此引用 `REF`：分支，如 main 或 release/*，或 refs/tags/*；可重复"))
	f.Var(days{&w.pace}, "every", w.t("look every `PERIOD`, 5m to 7d (default 1h)", "每隔 `PERIOD` 检查一次，5m 至 7d（默认 1h）"))
	f.StringVar(&w.Severity, "severity", "", w.t("tell findings of this `SEVERITY` and worse: critical, high, medium or low (default medium)", "只上报此级别 `SEVERITY` 及以上：critical、high、medium 或 low（默认 medium）"))
	f.StringVar(&w.Owner, "owner", "", w.t("`NAME` of who sees to what is found and belongs to nobody", "发现内容无归属时的负责人 `NAME`"))
	complete(cmd, "severity", "critical", "high", "medium", "low")
}

// fill reads the files that the flags name.
func (w *watching) fill() error {
	w.Pace = api.FormatDuration(w.pace)
	if w.caFile != "" {
		ca, err := w.credentialFile(w.caFile)
		if err != nil {
			return err
		}
		w.Place.CA = ca
	}
	switch w.tokenFile {
	case "":
	case "-":
		content, err := readAtMost(w.in, maxSecretValue)
		if err != nil {
			return err
		}
		if w.Place.Token = api.SecretText(strings.TrimSpace(string(content))); w.Place.Token == "" {
			return &problem{message: w.t("there is no token on standard input", "标准输入中没有令牌")}
		}
	default:
		token, err := w.credentialFile(w.tokenFile)
		if err != nil {
			return err
		}
		w.Place.Token = api.SecretText(token)
	}
	return nil
}

func newRepositoryAddCmd(c *cli) *cobra.Command {
	w := &watching{cli: c}
	var cmd *cobra.Command
	cmd = c.command(command{
		use:   "add NAME",
		short: text{"Have a git repository watched", "添加要监视的 git 仓库"},
		long: text{
			`Have the server look for leaked credentials in a git repository, now and again and again:
in all of its history the first time, then in what is new. What it finds is among the findings,
as after "keyward scan --report".

The server must be able to read the repository over https. A token comes from a file or from
standard input, never from the command line; give it the right to read and nothing else.`,
			`由服务器定期检查 git 仓库中泄露的密钥：首次检查全部历史，之后只检查新增内容。
发现的内容与 "keyward scan --report" 一样，可用 keyward finding list 查看。

服务器须能通过 https 读取该仓库。令牌来自文件或标准输入，绝不来自命令行；只需授予读取权限。`,
		},
		example: "  keyward repository add shop --url https://git.example.com/shop.git --token-file token --owner payments\n  keyward repository add site --url https://github.com/example/site.git --ref main --every 15m",
		secrets: true,
		run: func(ctx context.Context, args []string) error {
			if w.Place.URL == "" {
				return c.usage(cmd, "--url is missing", "缺少 --url")
			}
			if err := w.fill(); err != nil {
				return err
			}
			server, err := c.connect()
			if err != nil {
				return err
			}
			w.Name = args[0]
			r, err := server.AddRepository(ctx, w.AddRepositoryRequest)
			if err != nil {
				return err
			}
			c.say("%s is watched; keyward repository show %s tells how that goes", "已开始监视 %s；用 keyward repository show %s 查看进展", r.Name, r.Name)
			return c.jsonOnly(r)
		},
	})
	w.flags(cmd)
	return cmd
}

func newRepositoryUpdateCmd(c *cli) *cobra.Command {
	w := &watching{cli: c}
	var allRefs bool
	cmd := c.command(command{
		use:   "update NAME",
		short: text{"Change how a repository is watched, or its place", "修改仓库的监视方式或位置"},
		long: text{
			`Change how a repository is watched, or its place. What no flag names stays as it is, but a
place takes the token anew: it is never sent where it was not entered for. With another place,
or other refs, everything is looked at again.`,
			`修改仓库的监视方式或位置。未用参数指定的保持不变；但更改位置时须重新提供令牌：
令牌绝不会被发送到录入时未指定的地方。更改位置或引用后，将重新检查全部内容。`,
		},
		example: "  keyward repository update shop --every 15m\n  keyward repository update shop --token-file token",
		secrets: true,
		run:     func(ctx context.Context, args []string) error { return w.update(ctx, args[0], allRefs) },
	})
	w.flags(cmd)
	cmd.Flags().BoolVar(&allRefs, "all-refs", false, c.t("look at all refs", "检查所有引用"))
	cmd.Flags().BoolVar(&w.open, "no-token", false, c.t("the repository is read without a token", "读取该仓库不使用令牌"))
	return cmd
}

// update changes what the flags name.
func (w *watching) update(ctx context.Context, name string, allRefs bool) error {
	changed := w.cmd.Flags().Changed
	if allRefs && len(w.Refs) > 0 || w.open && w.tokenFile != "" {
		return w.usage(w.cmd, "these flags exclude each other", "这些选项不能同时使用")
	}
	if err := w.fill(); err != nil {
		return err
	}
	server, err := w.connect()
	if err != nil {
		return err
	}
	var in api.UpdateRepositoryRequest
	if changed("url") || changed("user") || changed("token-file") || changed("ca-file") || w.open {
		if in.Place, err = w.place(ctx, server, name); err != nil {
			return err
		}
	}
	if allRefs || changed("ref") {
		in.Refs = ptr(append([]string{}, w.Refs...))
	}
	if changed("every") {
		in.Pace = &w.Pace
	}
	if changed("severity") {
		in.Severity = &w.Severity
	}
	if changed("owner") {
		in.Owner = &w.Owner
	}
	if in == (api.UpdateRepositoryRequest{}) {
		return w.usage(w.cmd, "nothing is to be changed: name what with a flag", "没有要修改的内容：请用参数指定")
	}
	r, err := server.UpdateRepository(ctx, name, in)
	if err != nil {
		return err
	}
	w.say("%s is changed; keyward repository show %s tells how it goes", "%s 已修改；用 keyward repository show %s 查看进展", r.Name, r.Name)
	return w.jsonOnly(r)
}

// place answers the place that the flags name, with what they do not name as it is.
func (w *watching) place(ctx context.Context, server *client.Client, name string) (*api.RepositoryPlace, error) {
	have, err := server.GetRepository(ctx, name)
	if err != nil {
		return nil, err
	}
	if have.LoggedIn && w.Place.Token == "" && !w.open {
		return nil, w.usage(w.cmd, "the token is missing: a place takes it anew, with --token-file, or --no-token", "缺少令牌：更改位置时须用 --token-file 重新提供，或使用 --no-token")
	}
	w.Place.URL = cmp.Or(w.Place.URL, have.URL)
	w.Place.CA = cmp.Or(w.Place.CA, have.CA)
	return &w.Place, nil
}

func newRepositoryListCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "list",
		short: text{"List watched repositories and how they stand", "列出监视的仓库及其状态"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := server.ListRepositories(ctx)
			if err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("REPOSITORY", "仓库"), c.t("STATUS", "状态"), c.t("LAST COMPLETE", "最近完整检查"), c.t("FOUND", "发现"), "URL")
				for _, r := range all.Repositories {
					t.add(r.Name, c.repositoryStatus(r.State.Status), when(r.State.CompleteAt), strconv.Itoa(r.State.Found), r.URL)
				}
			})
		},
	})
}

func newRepositoryShowCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "show NAME",
		short: text{"Show a watched repository and how the last look went", "显示监视的仓库及最近一次检查的情况"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			r, err := server.GetRepository(ctx, args[0])
			if err != nil {
				return err
			}
			return c.show(r, func(t *table) { c.repositoryTable(t, r) })
		},
	})
}

func (c *cli) repositoryTable(t *table, r api.Repository) {
	st := r.State
	t.add(c.t("Repository", "仓库"), r.Name)
	t.add("URL", r.URL)
	t.add(c.t("Token", "令牌"), c.yesNo(r.LoggedIn))
	t.add(c.t("Refs", "引用"), cmp.Or(strings.Join(r.Refs, ", "), c.t("all", "全部")))
	t.add(c.t("Looked at every", "检查间隔"), r.Pace)
	t.add(c.t("Severity", "级别"), c.severity(r.Severity))
	t.add(c.t("Owner", "负责人"), orDash(r.Owner))
	t.add(c.t("Status", "状态"), c.repositoryStatus(st.Status))
	if st.Error != "" {
		t.add(c.t("Because", "原因"), st.Error)
	}
	t.add(c.t("Last look", "最近检查"), when(st.StartedAt))
	t.add(c.t("Last complete look", "最近完整检查"), when(st.CompleteAt))
	t.add(c.t("Failures in a row", "连续失败"), strconv.Itoa(st.Failures))
	t.add(c.t("Looked at", "已检查"), fmt.Sprintf(c.t("%d objects of %d refs, %s", "%d 个对象，%d 个引用，%s"), st.Objects, st.Refs, byteCount(st.Bytes)))
	t.add(c.t("Main branch", "主分支"), orDash(st.Head))
	t.add(c.t("Found", "发现"), strconv.Itoa(st.Found))
	if !st.RewrittenAt.IsZero() {
		t.add(c.t("Commits went missing", "发现提交被移除"), when(st.RewrittenAt))
	}
	if st.Unread > 0 {
		t.add(c.t("Not wholly read", "未能完整读取"), strconv.Itoa(st.Unread))
	}
	for _, p := range st.Problems {
		t.add("  ", p)
	}
}

// repositoryStatus writes how a repository stands in the user's language.
func (c *cli) repositoryStatus(status string) string {
	zh := map[string]string{
		"waiting": "等待首次检查", "complete": "完整", "empty": "没有可检查的内容", "shallow": "浅克隆，历史不全", "unreachable": "无法连接", "denied": "无权读取或不存在",
		"moved": "已迁移", "corrupt": "数据损坏", "too-large": "超出大小限制", "failed": "检查失败",
	}[status]
	return c.t(status, cmp.Or(zh, status))
}

func newRepositoryScanCmd(c *cli) *cobra.Command {
	return c.onServer("scan NAME", text{"Have a repository looked at now", "立即检查仓库"}, text{"%s is being looked at; keyward repository show tells what came of it", "%s 正在检查；用 keyward repository show 查看结果"},
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return nil, server.ScanRepository(ctx, args[0])
		})
}

func newRepositoryRemoveCmd(c *cli) *cobra.Command {
	return c.onServer("remove NAME", text{"Stop watching a repository; what was found stays", "停止监视仓库；已发现的内容会保留"}, text{"%s is not watched any more", "已停止监视 %s"},
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return nil, server.RemoveRepository(ctx, args[0])
		})
}

// newScanMirrorCmd is the process with which a server searches a mirror. It is for no person.
func newScanMirrorCmd(c *cli) *cobra.Command {
	cmd := c.command(command{
		use: "mirror", short: text{"Search a mirror for the server", "供服务器检查镜像"}, secrets: true,
		run: func(ctx context.Context, _ []string) error { return mirror.Serve(ctx, c.in, c.out) },
	})
	cmd.Hidden = true
	return cmd
}

// searcher answers a run of this program that searches a mirror.
func searcher(ctx context.Context) *exec.Cmd {
	exe, err := os.Executable()
	cmd := exec.CommandContext(ctx, exe)
	cmd.Args = []string{"keyward", "scan", "mirror", "--no-input"}
	cmd.Err = err
	return cmd
}
