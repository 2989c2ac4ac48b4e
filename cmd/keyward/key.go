package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/material"
)

func newKeyCmd(c *cli) *cobra.Command {
	return c.command(command{use: "key", short: text{"Manage and use keys", "管理和使用密钥"}},
		newKeyCreateCmd(c), newKeyListCmd(c), newKeyShowCmd(c), newKeyVersionsCmd(c), newKeyRotateCmd(c),
		newKeyEnableCmd(c), newKeyDisableCmd(c), newKeyDeleteCmd(c), newKeyRestoreCmd(c), newKeyProtectCmd(c),
		newKeyDescribeCmd(c), newAliasCmd(c), newTagCmd(c), newKeySignCmd(c), newKeyVerifyCmd(c), newKeyPublicKeyCmd(c), newKeyPolicyCmd(c),
		newKeyUsageCmd(c), newKeyResourceCmd(c), newKeyImportCmd(c), newKeyDropMaterialCmd(c), newKeyCSRCmd(c))
}

// The specs and usages of keys, for flags and their completion.
func keySpecs() []string {
	var names []string
	for _, s := range material.Specs() {
		names = append(names, string(s))
	}
	return names
}

func keyUsages() []string { return []string{"ENCRYPT/DECRYPT", "SIGN/VERIFY", "GENERATE/VERIFY_MAC"} }

func newKeyCreateCmd(c *cli) *cobra.Command {
	var in api.CreateKeyRequest
	var alias string
	var tags []string
	var every time.Duration
	var policy keyPolicy
	var hsm bool
	cmd := c.command(command{
		use:     "create",
		short:   text{"Create a key", "创建密钥"},
		example: "  keyward key create --alias alias/reports --rotate-every 30d\n  keyward key create --spec EC_P256 --usage SIGN/VERIFY\n  keyward key create --spec EC_P256 --hsm",
		run: func(ctx context.Context, _ []string) error {
			var err error
			if in.Tags, err = c.tags(tags); err != nil {
				return err
			}
			if every != 0 {
				in.Rotation = &api.RotationRequest{Enabled: true, IntervalSeconds: int64(every / time.Second)}
			}
			if hsm {
				in.ProtectionLevel = "HSM"
			}
			in.Alias = alias
			return c.createKey(ctx, in, policy)
		},
	})
	f := cmd.Flags()
	f.StringVar(&in.Spec, "spec", "Aliyun_AES_256", c.t("type of the key: `SPEC` is one of ", "密钥规格 `SPEC`：")+strings.Join(keySpecs(), ", "))
	f.StringVar(&in.Usage, "usage", "", c.t("`USAGE`: ENCRYPT/DECRYPT, SIGN/VERIFY or GENERATE/VERIFY_MAC; by default what the spec is for", "用途 `USAGE`：ENCRYPT/DECRYPT、SIGN/VERIFY 或 GENERATE/VERIFY_MAC；默认由规格决定"))
	f.StringArrayVar(&in.AdditionalUsages, "also", nil, c.t("another `USAGE` that an asymmetric key may have beside the first; may be repeated", "非对称密钥的附加用途 `USAGE`；可重复"))
	f.StringVar(&in.Origin, "origin", "", c.t("`ORIGIN` of the material: Aliyun_KMS makes it here, EXTERNAL waits for keyward key import; default Aliyun_KMS", "密钥材料来源 `ORIGIN`：Aliyun_KMS 由服务器生成，EXTERNAL 等待 keyward key import；默认 Aliyun_KMS"))
	f.StringVar(&alias, "alias", "", c.t("also give it this `NAME`: alias/...", "同时创建别名 `NAME`：alias/..."))
	f.StringVar(&in.Description, "description", "", c.t("`TEXT` for people", "供人阅读的描述 `TEXT`"))
	f.StringArrayVar(&tags, "tag", nil, c.t("a tag, `KEY=VALUE`; may be repeated", "标签 `KEY=VALUE`；可重复"))
	f.Var(days{&every}, "rotate-every", c.t("make a new version every `PERIOD`, 7d to 365d", "每隔 `PERIOD` 自动轮转，7d 至 365d"))
	policy.flags(c, f, "policy-file")
	f.StringVar(&in.Instance, "instance", "", c.t("in the `INSTANCE` with this id or name, whose class decides where the key lives", "在此 ID 或名称的实例 `INSTANCE` 中创建，实例类型决定密钥存放的位置"))
	f.StringVar(&in.ExternalKeyID, "external-id", "", c.t("in an external instance: the `ID` of the key at the manager", "在外部实例中：密钥在外部密钥管理系统中的 `ID`"))
	f.BoolVar(&hsm, "hsm", false, c.t("in the hardware token, which it never leaves", "存放在硬件令牌中，永不导出"))
	complete(cmd, "spec", keySpecs()...)
	complete(cmd, "usage", keyUsages()...)
	complete(cmd, "also", keyUsages()...)
	complete(cmd, "origin", "Aliyun_KMS", "EXTERNAL")
	return cmd
}

func (c *cli) createKey(ctx context.Context, in api.CreateKeyRequest, policy keyPolicy) error {
	server, err := c.connect()
	if err != nil {
		return err
	}
	if in.Policy, err = policy.document(ctx, c, server); err != nil {
		return err
	}
	key, err := server.CreateKey(ctx, in)
	if err != nil {
		return err
	}
	return c.showKey(key)
}

// showKey writes all that there is to know of a key.
func (c *cli) showKey(k api.Key) error {
	return c.show(k, func(t *table) {
		t.add(c.t("Key", "密钥"), k.ID)
		t.add("ARN", k.ARN)
		t.add(c.t("Spec", "规格"), k.Spec)
		t.add(c.t("Usage", "用途"), strings.Join(append([]string{k.Usage}, k.AdditionalUsages...), ", "))
		t.add(c.t("State", "状态"), c.keyState(k.State))
		if !k.DeleteAt.IsZero() {
			t.add(c.t("Deletion", "删除时间"), when(k.DeleteAt))
		}
		t.add(c.t("Description", "描述"), orDash(k.Description))
		t.add(c.t("Created", "创建时间"), when(k.CreatedAt))
		t.add(c.t("Primary version", "主版本"), k.PrimaryVersion)
		t.add(c.t("Versions", "版本数"), strconv.Itoa(k.Versions))
		t.add(c.t("Rotation", "自动轮转"), c.rotation(k.Rotation))
		protection := c.yesNo(k.Protection.Enabled)
		if k.Protection.Note != "" {
			protection += " (" + k.Protection.Note + ")"
		}
		t.add(c.t("Deletion protection", "删除保护"), protection)
		t.add(c.t("Origin", "来源"), k.Origin+", "+k.ProtectionLevel)
		if k.Instance != "" {
			t.add(c.t("Instance", "实例"), k.Instance)
		}
		if k.ExternalKeyID != "" {
			t.add(c.t("External key", "外部密钥"), k.ExternalKeyID)
		}
		if !k.ExpireAt.IsZero() {
			t.add(c.t("Material expires", "密钥材料到期"), when(k.ExpireAt))
		}
		var tags []string
		for _, key := range slices.Sorted(maps.Keys(k.Tags)) {
			tags = append(tags, key+"="+k.Tags[key])
		}
		t.add(c.t("Tags", "标签"), orDash(strings.Join(tags, ", ")))
	})
}

// keyState writes a key's state in the user's language.
func (c *cli) keyState(state string) string {
	switch state {
	case "Enabled":
		return c.t(state, "已启用")
	case "Disabled":
		return c.t(state, "已禁用")
	case "PendingDeletion":
		return c.t(state, "待删除")
	case "PendingImport":
		return c.t(state, "待导入")
	}
	return state
}

func (c *cli) rotation(r api.Rotation) string {
	every := period(time.Duration(r.IntervalSeconds) * time.Second)
	switch r.Status {
	case "Enabled":
		return fmt.Sprintf(c.t("every %s, next %s", "每 %s，下次 %s"), every, when(r.NextAt))
	case "Suspended":
		return fmt.Sprintf(c.t("every %s, suspended until the key is enabled", "每 %s，密钥启用前暂停"), every)
	}
	return c.t("off", "关闭")
}

func newKeyListCmd(c *cli) *cobra.Command {
	var in api.ListKeysRequest
	cmd := c.command(command{
		use:   "list",
		short: text{"List keys", "列出密钥"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all := api.KeyList{Keys: []api.Key{}}
			if err := pages(func(cursor string) (string, error) {
				in.Cursor = cursor
				page, err := server.ListKeys(ctx, in)
				all.Keys, all.Total = append(all.Keys, page.Keys...), page.Total
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("KEY", "密钥"), c.t("SPEC", "规格"), c.t("USAGE", "用途"), c.t("STATE", "状态"), c.t("CREATED", "创建时间"), c.t("DESCRIPTION", "描述"))
				for _, k := range all.Keys {
					t.add(k.ID, k.Spec, k.Usage, c.keyState(k.State), when(k.CreatedAt), k.Description)
				}
			})
		},
	})
	f := cmd.Flags()
	f.StringSliceVar(&in.States, "state", nil, c.t("only in one of the `STATES`: Enabled, Disabled, PendingDeletion, PendingImport", "只列出处于 `STATES` 状态的：Enabled、Disabled、PendingDeletion、PendingImport"))
	f.StringSliceVar(&in.Specs, "spec", nil, c.t("only of one of the `SPECS`", "只列出规格为 `SPECS` 的"))
	f.StringSliceVar(&in.Usages, "usage", nil, c.t("only with one of the `USAGES`", "只列出用途为 `USAGES` 的"))
	f.StringSliceVar(&in.Aliases, "alias", nil, c.t("only what one of the `ALIASES` points at", "只列出别名 `ALIASES` 指向的"))
	f.StringSliceVar(&in.Instances, "instance", nil, c.t("only of these `INSTANCES`, by id or name", "只列出这些实例 `INSTANCES`（ID 或名称）中的"))
	f.StringSliceVar(&in.TagKeys, "tag-key", nil, c.t("only with one of the tag `KEYS`", "只列出带有标签键 `KEYS` 的"))
	f.StringSliceVar(&in.TagValues, "tag-value", nil, c.t("only with one of the tag `VALUES`", "只列出带有标签值 `VALUES` 的"))
	complete(cmd, "state", "Enabled", "Disabled", "PendingDeletion", "PendingImport")
	complete(cmd, "spec", keySpecs()...)
	complete(cmd, "usage", keyUsages()...)
	return cmd
}

// pages asks for one page after the other; next is asked with the cursor of each and
// answers that of the following one.
func pages(next func(cursor string) (string, error)) error {
	cursor := ""
	for {
		following, err := next(cursor)
		if err != nil || following == "" {
			return err
		}
		if following == cursor {
			return errors.New("reading a list: the server answers the same page again")
		}
		cursor = following
	}
}

func newKeyShowCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "show KEY",
		short: text{"Show a key", "显示密钥"},
		long:  text{"Show a key, which is named by its id, an alias or its ARN, here and in all commands.", "显示密钥。在所有命令中，密钥都可以用 ID、别名或 ARN 表示。"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			key, err := server.DescribeKey(ctx, args[0])
			if err != nil {
				return err
			}
			return c.showKey(key)
		},
	})
}

func newKeyVersionsCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "versions KEY",
		short: text{"List the versions of a key", "列出密钥的版本"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all := api.KeyVersionList{Versions: []api.KeyVersion{}}
			if err := pages(func(cursor string) (string, error) {
				page, err := server.ListKeyVersions(ctx, args[0], api.PageRequest{Cursor: cursor})
				all.Versions, all.Total = append(all.Versions, page.Versions...), page.Total
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("NUMBER", "序号"), c.t("VERSION", "版本"), c.t("CREATED", "创建时间"))
				for _, v := range all.Versions {
					t.add(strconv.Itoa(v.Number), v.ID, when(v.CreatedAt))
				}
			})
		},
	})
}

func newKeyRotateCmd(c *cli) *cobra.Command {
	var every time.Duration
	var off bool
	var cmd *cobra.Command
	cmd = c.command(command{
		use:   "rotate KEY",
		short: text{"Rotate a key now, or set how often it rotates", "立即轮转密钥，或设置自动轮转周期"},
		long: text{
			`Make a new version of a key, which encrypts from now on; what older versions encrypted
stays readable. With --every or --off only the policy of automatic rotation is changed.`,
			`为密钥创建新版本，此后用新版本加密；旧版本加密的内容仍可解密。
给出 --every 或 --off 时，只修改自动轮转策略。`,
		},
		run: func(ctx context.Context, args []string) error {
			if off && every != 0 {
				return c.usage(cmd, "--every and --off exclude each other", "--every 与 --off 不能同时使用")
			}
			server, err := c.connect()
			if err != nil {
				return err
			}
			if !off && every == 0 {
				version, err := server.CreateKeyVersion(ctx, args[0])
				if err != nil {
					return err
				}
				return c.show(version, func(t *table) {
					t.add(c.t("Key", "密钥"), version.Key)
					t.add(c.t("New version", "新版本"), version.ID)
					t.add(c.t("Number", "序号"), strconv.Itoa(version.Number))
				})
			}
			policy := api.RotationRequest{Enabled: !off, IntervalSeconds: int64(every / time.Second)}
			if err := server.SetKeyRotation(ctx, args[0], policy); err != nil {
				return err
			}
			if off {
				c.say("%s does not rotate by itself any more", "%s 的自动轮转已关闭", args[0])
			} else {
				c.say("%s rotates by itself from now on", "%s 的自动轮转已开启", args[0])
			}
			return nil
		},
	})
	cmd.Flags().Var(days{&every}, "every", c.t("rotate by itself every `PERIOD`, 7d to 365d", "每隔 `PERIOD` 自动轮转，7d 至 365d"))
	cmd.Flags().BoolVar(&off, "off", false, c.t("no longer rotate by itself", "关闭自动轮转"))
	return cmd
}

// tags reads KEY=VALUE pairs.
func (c *cli) tags(pairs []string) (map[string]string, error) {
	return c.namedPairs(text{"tag", "标签"}, pairs)
}

// namedPairs reads KEY=VALUE pairs; what they are is for errors.
func (c *cli) namedPairs(what text, pairs []string) (map[string]string, error) {
	var out map[string]string
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, &problem{message: fmt.Sprintf(c.t("the %s %q must be KEY=VALUE", "%s %q 必须是 KEY=VALUE 的形式"), what.in(c.lang), pair)}
		}
		if _, twice := out[key]; twice {
			return nil, &problem{message: fmt.Sprintf(c.t("the %s %q is given twice", "%s %q 重复"), what.in(c.lang), key)}
		}
		if out == nil {
			out = map[string]string{}
		}
		out[key] = value
	}
	return out, nil
}
