package inventorycmd

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

func newCalendarCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:     "calendar",
		Short:   c.T("Write all expiries as a calendar (iCalendar)", "将所有到期时间输出为日历（iCalendar）"),
		Example: "  keyward accesskey calendar > keys.ics\n  keyward accesskey calendar subscribe outlook",
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			calendar, err := server.GetCalendar(ctx, api.CalendarRequest{Language: string(c.Lang)})
			if err != nil {
				return err
			}
			_, err = io.WriteString(c.Out, calendar.Text)
			return err
		}),
	}, newSubscribeCmd(c), newSubscriptionsCmd(c), newUnsubscribeCmd(c))
}

func newSubscribeCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "subscribe NAME",
		Short: c.T("Make a link for a calendar program", "为日历程序创建订阅链接"),
		Long: c.T(
			`Make a link that a calendar program follows, such as Outlook, Google or Apple Calendar, Feishu.
Who has the link reads the calendar with your rights, until the subscription ends or you may not
read the calendar any more. It is shown this once. Its texts are in the language of this command.`,
			`创建供日历程序（Outlook、Google、Apple、飞书等）订阅的链接。
持有链接者以您的权限读取日历，直到取消订阅或您不再有读取权限。
链接只显示这一次；日历文字使用本命令的语言。`,
		),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			made, err := server.SubscribeCalendar(ctx, api.SubscribeCalendarRequest{Name: args[0], Language: string(c.Lang)})
			if err != nil {
				return err
			}
			c.Say("Who has this link can read the calendar. It is not shown again.", "持有此链接即可读取日历。链接不会再次显示。")
			if c.Output == "json" {
				return c.ShowJSON(made)
			}
			_, err = fmt.Fprintln(c.Out, string(made.URL))
			return err
		}),
	})
}

func newSubscriptionsCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "subscriptions",
		Short: c.T("List the links of calendar programs", "列出日历订阅"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all, err := server.ListCalendarSubscriptions(ctx)
			if err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("NAME", "名称"), c.T("USER", "用户"), c.T("LANGUAGE", "语言"), c.T("CREATED", "创建时间"), c.T("LAST FETCHED", "最近读取"))
				for _, s := range all.Subscriptions {
					t.Add(s.Name, s.User, s.Language, cli.When(s.CreatedAt), cli.When(s.FetchedAt))
				}
			})
		}),
	})
}

func newUnsubscribeCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "unsubscribe NAME", c.T("End the link of a calendar program", "取消日历订阅"), c.T("%s is ended", "%s 已取消"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return nil, server.UnsubscribeCalendar(ctx, args[0])
		})
}
