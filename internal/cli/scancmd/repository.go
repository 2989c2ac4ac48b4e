package scancmd

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/mirror"
)

func newRepositoryCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "repository", Short: c.T("Have git repositories watched for leaked keys", "监视 git 仓库中泄露的密钥")},
		newRepositoryAddCmd(c), newRepositoryListCmd(c), newRepositoryShowCmd(c), newRepositoryUpdateCmd(c), newRepositoryIssuersCmd(c), newRepositoryScanCmd(c), newRepositoryRemoveCmd(c))
}

// A watching is what the flags say of a repository.
type watching struct {
	*cli.Run
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
	f.StringVar(&w.Place.URL, "url", "", w.T("`URL` of the repository, without a user: https://host/path.git", "仓库的 `URL`，不含用户名：https://host/path.git"))
	f.StringVar(&w.Place.User, "user", "", w.T("`NAME` of the user that the token is of, if the host wants one", "令牌所属的用户 `NAME`（如果托管平台要求）"))
	f.StringVar(&w.tokenFile, "token-file", "", w.T("`FILE` with a token that may read the repository; - for standard input", "存有可读取该仓库的令牌的文件 `FILE`；- 表示标准输入"))
	f.StringVar(&w.caFile, "ca-file", "", w.T("`FILE` with the certificates, in PEM, of the authority that the host's comes from", "签发该平台证书的 CA 证书文件（PEM）`FILE`"))
	f.StringSliceVar(&w.Refs, "ref", nil, w.T("look at this `REF` only: a branch such as main or release/*, or refs/tags/*; may be repeated", "只检查此引用 `REF`：分支，如 main 或 release/*，或 refs/tags/*；可重复"))
	f.Var(cli.Days(&w.pace), "every", w.T("look every `PERIOD`, 5m to 7d (default 1h)", "每隔 `PERIOD` 检查一次，5m 至 7d（默认 1h）"))
	f.StringVar(&w.Severity, "severity", "", w.T("tell findings of this `SEVERITY` and worse: critical, high, medium or low (default medium)", "只上报此级别 `SEVERITY` 及以上：critical、high、medium 或 low（默认 medium）"))
	f.StringVar(&w.Owner, "owner", "", w.T("`NAME` of who sees to what is found and belongs to nobody", "发现内容无归属时的负责人 `NAME`"))
	cli.Complete(cmd, "severity", "critical", "high", "medium", "low")
}

// fill reads the files that the flags name.
func (w *watching) fill(ctx context.Context) error {
	w.Pace = api.FormatDuration(w.pace)
	if w.caFile != "" {
		ca, err := w.ReadText(ctx, w.caFile)
		if err != nil {
			return err
		}
		w.Place.CA = ca
	}
	if w.tokenFile != "" {
		token, err := w.ReadText(ctx, w.tokenFile)
		if err != nil {
			return err
		}
		w.Place.Token = api.SecretText(token)
	}
	return nil
}

func newRepositoryAddCmd(c *cli.Run) *cobra.Command {
	w := &watching{Run: c}
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "add NAME",
		Short: c.T("Have a git repository watched", "添加要监视的 git 仓库"),
		Long: c.T(
			`Have the server look for leaked credentials in a git repository, now and again and again:
in all of its history the first time, then in what is new. What it finds is among the findings,
as after "keyward scan --report".

The server must be able to read the repository over https. A token comes from a file or from
standard input, never from the command line; give it the right to read and nothing else.`,
			`由服务器定期检查 git 仓库中泄露的密钥：首次检查全部历史，之后只检查新增内容。
发现的内容与 "keyward scan --report" 一样，可用 keyward finding list 查看。

服务器须能通过 https 读取该仓库。令牌来自文件或标准输入，绝不来自命令行；只需授予读取权限。`,
		),
		Example: "  keyward repository add shop --url https://git.example.com/shop.git --token-file token --owner payments\n  keyward repository add site --url https://github.com/example/site.git --ref main --every 15m",
		Secrets: true,
		Run: func(ctx context.Context, args []string) error {
			if w.Place.URL == "" {
				return c.Usage(cmd, "--url is missing", "缺少 --url")
			}
			if err := w.fill(ctx); err != nil {
				return err
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			w.Name = args[0]
			r, err := server.AddRepository(ctx, w.AddRepositoryRequest)
			if err != nil {
				return err
			}
			c.Say("%s is watched; keyward repository show %s tells how that goes", "已开始监视 %s；用 keyward repository show %s 查看进展", r.Name, r.Name)
			return c.ShowJSON(r)
		},
	})
	w.flags(cmd)
	return cmd
}

func newRepositoryUpdateCmd(c *cli.Run) *cobra.Command {
	w := &watching{Run: c}
	var allRefs bool
	cmd := c.Command(cli.Command{
		Use:   "update NAME",
		Short: c.T("Change how a repository is watched, or its place", "修改仓库的监视方式或位置"),
		Long: c.T(
			`Change how a repository is watched, or its place. What no flag names stays as it is, but a
place takes the token anew: it is never sent where it was not entered for. With another place,
or other refs, everything is looked at again.`,
			`修改仓库的监视方式或位置。未用参数指定的保持不变；但更改位置时须重新提供令牌：
令牌绝不会被发送到录入时未指定的地方。更改位置或引用后，将重新检查全部内容。`,
		),
		Example: "  keyward repository update shop --every 15m\n  keyward repository update shop --token-file token",
		Secrets: true,
		Run:     func(ctx context.Context, args []string) error { return w.update(ctx, args[0], allRefs) },
	})
	w.flags(cmd)
	cmd.Flags().BoolVar(&allRefs, "all-refs", false, c.T("look at all refs", "检查所有引用"))
	cmd.Flags().BoolVar(&w.open, "no-token", false, c.T("the repository is read without a token", "读取该仓库不使用令牌"))
	return cmd
}

// update changes what the flags name.
func (w *watching) update(ctx context.Context, name string, allRefs bool) error {
	changed := w.cmd.Flags().Changed
	if allRefs && len(w.Refs) > 0 || w.open && w.tokenFile != "" {
		return w.Usage(w.cmd, "these flags exclude each other", "这些选项不能同时使用")
	}
	if err := w.fill(ctx); err != nil {
		return err
	}
	server, err := remote.Connect(w.Run)
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
		in.Refs = new(append([]string{}, w.Refs...))
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
		return w.Usage(w.cmd, "nothing is to be changed: name what with a flag", "没有要修改的内容：请用参数指定")
	}
	r, err := server.UpdateRepository(ctx, name, in)
	if err != nil {
		return err
	}
	w.Say("%s is changed; keyward repository show %s tells how it goes", "%s 已修改；用 keyward repository show %s 查看进展", r.Name, r.Name)
	return w.ShowJSON(r)
}

// place answers the place that the flags name, with what they do not name as it is.
func (w *watching) place(ctx context.Context, server *client.Client, name string) (*api.RepositoryPlace, error) {
	have, err := server.GetRepository(ctx, name)
	if err != nil {
		return nil, err
	}
	if have.LoggedIn && w.Place.Token == "" && !w.open {
		return nil, w.Usage(w.cmd, "the token is missing: a place takes it anew, with --token-file, or --no-token", "缺少令牌：更改位置时须用 --token-file 重新提供，或使用 --no-token")
	}
	w.Place.URL = cmp.Or(w.Place.URL, have.URL)
	w.Place.CA = cmp.Or(w.Place.CA, have.CA)
	return &w.Place, nil
}

func newRepositoryIssuersCmd(c *cli.Run) *cobra.Command {
	var nobody bool
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "issuers NAME [ISSUER...]",
		Short: c.T("Say which issuers are asked whether what is found works", "设置向哪些签发方确认发现的密钥是否有效"),
		Long: c.T(
			`Have the server ask these issuers, and no others, whether what it finds in a repository still
works, by a call that reads and changes nothing. The issuers are alibaba, aws, github, gitlab.com,
huggingface, npm, slack and tencent. Nobody is asked until this is said; --nobody ends it. Each
question is in the audit log before it is sent. Tokens are sent to who is named here: leave out
github and gitlab.com if you run such a server of your own, whose tokens look the same. Keys of
clouds sign the question and stay on the server.`,
			`由服务器向且仅向这些签发方确认仓库中发现的密钥是否仍然有效，只使用不做任何更改的只读调用。
签发方有 alibaba、aws、github、gitlab.com、huggingface、npm、slack 和 tencent。默认不询问任何一方；
--nobody 停止询问。每次询问在发送之前都会写入审计日志。令牌会发送给这里指定的签发方：如果您自建了
GitHub 或 GitLab 服务器，其令牌形式相同，请不要指定 github 或 gitlab.com。云厂商的密钥只用于签名，
不会离开服务器。`,
		),
		Example: "  keyward repository issuers shop tencent alibaba aws\n  keyward repository issuers shop --nobody",
		Run: func(ctx context.Context, args []string) error {
			if nobody == (len(args) > 1) {
				return c.Usage(cmd, "name issuers, or use --nobody", "请指定签发方，或使用 --nobody")
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			r, err := server.SetRepositoryIssuers(ctx, args[0], api.SetRepositoryIssuersRequest{Issuers: args[1:]})
			if err != nil {
				return err
			}
			if nobody {
				c.Say("nobody is asked about what is found in %s", "不再就 %s 中发现的内容询问任何签发方", r.Name)
			} else {
				c.Say("%s: %s will be asked whether what is found works", "%s：将向 %s 确认发现的密钥是否有效", r.Name, strings.Join(r.Issuers, ", "))
			}
			return c.ShowJSON(r)
		},
	})
	cmd.Flags().BoolVar(&nobody, "nobody", false, c.T("ask nobody any more", "不再询问任何签发方"))
	return cmd
}

func newRepositoryListCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List watched repositories and how they stand", "列出监视的仓库及其状态"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all, err := server.ListRepositories(ctx)
			if err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("REPOSITORY", "仓库"), c.T("STATUS", "状态"), c.T("LAST COMPLETE", "最近完整检查"), c.T("FOUND", "发现"), "URL")
				for _, r := range all.Repositories {
					t.Add(r.Name, repositoryStatus(c, r.State.Status), cli.When(r.State.CompleteAt), strconv.Itoa(r.State.Found), r.URL)
				}
			})
		}),
	})
}

func newRepositoryShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show NAME",
		Short: c.T("Show a watched repository and how the last look went", "显示监视的仓库及最近一次检查的情况"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			r, err := server.GetRepository(ctx, args[0])
			if err != nil {
				return err
			}
			return c.Show(r, func(t *cli.Table) { repositoryTable(c, t, r) })
		}),
	})
}

func repositoryTable(c *cli.Run, t *cli.Table, r api.Repository) {
	st := r.State
	t.Add(c.T("Repository", "仓库"), r.Name)
	t.Add("URL", r.URL)
	t.Add(c.T("Token", "令牌"), c.YesNo(r.LoggedIn))
	t.Add(c.T("Refs", "引用"), cmp.Or(strings.Join(r.Refs, ", "), c.T("all", "全部")))
	t.Add(c.T("Looked at every", "检查间隔"), r.Pace)
	t.Add(c.T("Severity", "级别"), c.SeverityText(r.Severity))
	t.Add(c.T("Owner", "负责人"), cli.OrDash(r.Owner))
	t.Add(c.T("Issuers asked", "询问的签发方"), cmp.Or(strings.Join(r.Issuers, ", "), c.T("nobody", "无")))
	t.Add(c.T("Status", "状态"), repositoryStatus(c, st.Status))
	if st.Error != "" {
		t.Add(c.T("Because", "原因"), c.Told(st.Error, st.ErrorZh))
	}
	t.Add(c.T("Last look", "最近检查"), cli.When(st.StartedAt))
	t.Add(c.T("Last complete look", "最近完整检查"), cli.When(st.CompleteAt))
	t.Add(c.T("Failures in a row", "连续失败"), strconv.Itoa(st.Failures))
	t.Add(c.T("Looked at", "已检查"), fmt.Sprintf(c.T("%d objects of %d refs, %s", "%d 个对象，%d 个引用，%s"), st.Objects, st.Refs, cli.ByteCount(st.Bytes)))
	t.Add(c.T("Main branch", "主分支"), cli.OrDash(st.Head))
	t.Add(c.T("Found", "发现"), strconv.Itoa(st.Found))
	if !st.RewrittenAt.IsZero() {
		t.Add(c.T("Commits went missing", "发现提交被移除"), cli.When(st.RewrittenAt))
	}
	if st.Unread > 0 {
		t.Add(c.T("Not wholly read", "未能完整读取"), strconv.Itoa(st.Unread))
	}
	for _, p := range st.Problems {
		t.Add("  ", p)
	}
}

// repositoryStatus writes how a repository stands in the user's language.
func repositoryStatus(c *cli.Run, status string) string {
	zh := map[string]string{
		"waiting": "等待首次检查", "complete": "完整", "empty": "没有可检查的内容", "shallow": "浅克隆，历史不全", "unreachable": "无法连接", "denied": "无权读取或不存在",
		"moved": "已迁移", "corrupt": "数据损坏", "too-large": "超出大小限制", "failed": "检查失败",
	}[status]
	return c.T(status, cmp.Or(zh, status))
}

func newRepositoryScanCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "scan NAME", c.T("Have a repository looked at now", "立即检查仓库"), c.T("%s is being looked at; keyward repository show tells what came of it", "%s 正在检查；用 keyward repository show 查看结果"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return nil, server.ScanRepository(ctx, args[0])
		})
}

func newRepositoryRemoveCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "remove NAME", c.T("Stop watching a repository; what was found stays", "停止监视仓库；已发现的内容会保留"), c.T("%s is not watched any more", "已停止监视 %s"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return nil, server.RemoveRepository(ctx, args[0])
		})
}

// newScanMirrorCmd is the process with which a server searches a mirror. It is for no person.
func newScanMirrorCmd(c *cli.Run) *cobra.Command {
	cmd := c.Command(cli.Command{
		Use: "mirror", Short: c.T("Search a mirror for the server", "供服务器检查镜像"), Secrets: true,
		Run: func(ctx context.Context, _ []string) error { return mirror.Serve(ctx, c.In, c.Out) },
	})
	cmd.Hidden = true
	return cmd
}
