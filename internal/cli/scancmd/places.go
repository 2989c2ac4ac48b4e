package scancmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/leak/host"
	"github.com/keyward/keyward/internal/leak/image"
	"github.com/keyward/keyward/internal/leak/search"
)

func newScanImageCmd(c *cli.Run) *cobra.Command {
	s := &scan{Run: c}
	cmd := c.Command(cli.Command{
		Use:   "image FILE",
		Short: c.T("Find keys and passwords in a container image", "在容器镜像中查找密钥和密码"),
		Long: c.T(
			`Look for credentials in all layers of an image, in files that a later layer deletes or
replaces (marked "hidden": whoever has the image has them), and in its variables, labels,
command and history. FILE is what docker save, podman save or skopeo copy wrote, or the
directory of an OCI layout; it may hold several images.`,
			`在镜像的所有层中查找密钥和密码，包括被后续层删除或替换的文件（标记为 hidden：拿到镜像的人都能取出），以及镜像的环境变量、
标签、命令和构建历史。FILE 是 docker save、podman save 或 skopeo copy 写出的文件，或 OCI 布局目录，可包含多个镜像。`,
		),
		Example: "  docker save shop:1.2 -o shop.tar && keyward scan image shop.tar\n  skopeo copy docker://registry.example.com/shop:1.2 oci:shop && keyward scan image shop",
		Run: func(ctx context.Context, args []string) error {
			return s.search(ctx, ".", func(ctx context.Context, run *search.Search) error { return image.Look(ctx, args[0], run) })
		},
	})
	s.flags(cmd)
	return cmd
}

func newScanHostCmd(c *cli.Run) *cobra.Command {
	s := &scan{Run: c}
	cmd := c.Command(cli.Command{
		Use:   "host",
		Short: c.T("Find keys and passwords that lie about on this machine", "查找本机上散落的密钥和密码"),
		Long: c.T(
			`Look for credentials in the environments and command lines of running processes, in shell
histories, in what the command lines of clouds, registries, package managers and clusters
remember, and in the configuration of services. Run it as root to see all users; what
belongs to others is counted otherwise.`,
			`在正在运行的进程的环境变量和命令行、shell 历史、各云厂商命令行工具、镜像仓库、包管理器和集群保存的凭证，以及服务配置中查找
密钥和密码。以 root 身份运行可查看所有用户；否则属于他人的内容只计数。`,
		),
		Example: "  sudo keyward scan host --format json > host.json",
		Run: func(ctx context.Context, _ []string) error {
			return s.search(ctx, ".", func(ctx context.Context, run *search.Search) error {
				return host.Look(ctx, "/", c.Getenv("HOME"), run)
			})
		},
	})
	s.flags(cmd)
	return cmd
}
