package leaktest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// A Context is a notation in which people leave credentials.
type Context struct {
	Name, File string // the file's name, whose end some rules look at
	// Write answers the text with the kind in it.
	Write func(k Kind) string
	// Lines says that a value may have several lines; Bare that it stands without quotes, so
	// that signs of the notation cannot be in it.
	Lines, Bare bool
	// Password says that a password stands here: nothing that is known by its name or its
	// identifier, since neither is written.
	Password bool
}

// pair writes id and secret with a format that has a name and a value.
func pair(format string) func(Kind) string {
	return func(k Kind) string {
		var b strings.Builder
		if k.ID != "" {
			fmt.Fprintf(&b, format, k.IDName, k.ID)
		}
		fmt.Fprintf(&b, format, k.Name, k.Carry())
		return b.String()
	}
}

// camel answers a name as programs write it.
func camel(name string) string {
	parts := strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune("_.-/:", r) })
	for i, p := range parts {
		if strings.ToUpper(p) == p {
			p = strings.ToLower(p)
		}
		if i > 0 {
			p = strings.ToUpper(p[:1]) + p[1:]
		}
		parts[i] = p
	}
	return strings.Join(parts, "")
}

// program writes as pair does, with names as programs write them and values as literals.
func program(head, format, tail string) func(Kind) string {
	return func(k Kind) string {
		literal := func(s string) string {
			q, err := json.Marshal(s)
			if err != nil {
				panic(err)
			}
			return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(q))
		}
		var b strings.Builder
		b.WriteString(head)
		if k.ID != "" {
			fmt.Fprintf(&b, format, camel(k.IDName), literal(k.ID))
		}
		fmt.Fprintf(&b, format, camel(k.Name), literal(k.Carry()))
		return b.String() + tail
	}
}

// Contexts answers all notations.
func Contexts() []Context { return slices.Concat(notations(), sources(), commands()) }

// notations are those of settings and documents.
func notations() []Context {
	return []Context{
		{Name: "dotenv", File: ".env", Write: pair("%s=%s\n"), Lines: true, Bare: true},
		{Name: "export", File: "deploy.sh", Write: pair("export %s=\"%s\"\n"), Lines: true},
		{Name: "properties", File: "application.properties", Write: pair("%s=%s\n"), Bare: true},
		{Name: "ini", File: "app.ini", Write: pair("[prod]\n%s = %s\n"), Bare: true},
		{Name: "yaml", File: "config.yml", Write: pair("  %s: %s\n"), Bare: true},
		{Name: "yaml quoted", File: "config.yaml", Write: pair("  %s: \"%s\" # prod\n")},
		{Name: "kubernetes env", File: "deployment.yaml", Write: pair("        - name: %s\n          value: \"%s\"\n")},
		{Name: "spring default", File: "application.yml", Write: func(k Kind) string {
			return pair("  value: ${%s:%s}\n")(k)
		}, Bare: true},
		{Name: "spring default under a key", File: "application.yaml", Write: pair("  %s: ${APP_SETTING_7:%s}\n"), Bare: true},
		{Name: "compose default under a key", File: "compose.yaml", Write: pair("      %s: \"${SETTING_7:-%s}\"\n"), Bare: true},
		{Name: "toml", File: "config.toml", Write: pair("%s = '%s'\n")},
		{Name: "json", File: "config.json", Write: program("{\n", "  %q: %s,\n", "  \"debug\": false\n}\n"), Lines: true},
		{Name: "json escaped", File: "event.json", Write: func(k Kind) string {
			inner, err := json.Marshal(program("{", "%q: %s, ", "\"debug\":false}")(k))
			if err != nil {
				panic(err)
			}
			return `{"message":` + string(inner) + "}\n"
		}},
		{Name: "xml string", File: "strings.xml", Write: pair("    <string name=\"%s\">%s</string>\n"), Bare: true},
		{Name: "xml element", File: "config.xml", Write: func(k Kind) string {
			var b strings.Builder
			if k.ID != "" {
				fmt.Fprintf(&b, "<%[1]s>%[2]s</%[1]s>\n", camel(k.IDName), k.ID)
			}
			fmt.Fprintf(&b, "<%[1]s>%[2]s</%[1]s>\n", camel(k.Name), k.Carry())
			return b.String()
		}, Bare: true},
		{Name: "xml attribute", File: "web.config", Write: pair("    <add key=\"%s\" value=\"%s\" />\n")},
		{Name: "plist", File: "Info.plist", Write: pair("\t<key>%s</key>\n\t<string>%s</string>\n"), Bare: true},
		{Name: "markdown table", File: "README.md", Write: pair("| %s | %s |\n|---|---|\n"), Bare: true},
		{Name: "markdown code", File: "guide.md", Write: pair("- `%s`: `%s`\n")},
		{Name: "chinese", File: "接口文档.md", Write: pair("%s：%s\n"), Bare: true},
		{Name: "dockerfile", File: "Dockerfile", Write: pair("FROM alpine\nENV %s=%s\n"), Bare: true},
		{Name: "dockerfile space", File: "Dockerfile", Write: pair("ENV %s %s\n"), Bare: true},
		{Name: "log", File: "app.log", Write: func(k Kind) string {
			return "2026-03-01T10:00:00.123+0800 INFO [main] c.e.App - loaded " + pair("%s=%s, ")(k) + "region=ap-shanghai\n"
		}, Bare: true},
		{Name: "url query", File: "access.log", Write: func(k Kind) string { return "GET /v1/sign?" + pair("%s=%s&")(k) + "t=1 HTTP/1.1\n" }, Bare: true},
		{Name: "csv", File: "keys.csv", Write: pair("%s,%s\n"), Bare: true},
		{Name: "command line", File: "run.sh", Write: pair("./app --%s %s\n"), Bare: true},
		{Name: "kubernetes secret", File: "secret.yaml", Write: func(k Kind) string {
			return "apiVersion: v1\nkind: Secret\nmetadata:\n  name: shop\ntype: Opaque\ndata:\n" + pair("  %s: %s\n")(k.encoded())
		}, Lines: true},
		{Name: "kubernetes secret in json", File: "secret.json", Write: func(k Kind) string {
			return "{\"apiVersion\": \"v1\", \"data\": {" + pair("\"%s\": \"%s\", ")(k.encoded()) + "\"mode\": \"cHJvZHVjdGlvbg==\"}, \"kind\": \"Secret\"}\n"
		}, Lines: true},
	}
}

// sources are programs.
func sources() []Context {
	return []Context{
		{Name: "java", File: "Config.java", Write: program("public class Config {\n", "    private static final String %s = %s;\n", "}\n")},
		{Name: "java setter", File: "Main.java", Write: program("", "    client.set_%s(%s);\n", "")},
		{Name: "go", File: "main.go", Write: program("package main\n\n", "const %s = %s\n", "")},
		{Name: "go struct", File: "cfg.go", Write: program("var c = Config{\n", "\t%s: %s,\n", "}\n")},
		{Name: "javascript", File: "app.js", Write: program("const config = {", " %s: %s,", " };\n")},
		{Name: "minified", File: "vendor.min.js", Write: program("!function(e){var t=e(1),n={", "%s:%s,", "debug:!1};t.init(n)}(r);")},
		{Name: "typescript", File: "env.ts", Write: program("", "export const %s: string = %s;\n", "")},
		{Name: "python", File: "settings.py", Write: program("import os\n", "%s = %s\n", "")},
		{Name: "python default", File: "conf.py", Write: program("", "x = os.environ.get('%s', %s)\n", "")},
		{Name: "php", File: "config.php", Write: program("<?php\nreturn [\n", "    '%s' => %s,\n", "];\n")},
		{Name: "gradle", File: "build.gradle", Write: pair("        buildConfigField \"String\", \"%s\", \"\\\"%s\\\"\"\n")},
		{Name: "kotlin", File: "Keys.kt", Write: program("object Keys {\n", "    const val %s: String = %s\n", "}\n")},
		{Name: "swift", File: "Keys.swift", Write: program("", "let %s = %s\n", "")},
		{Name: "objective-c", File: "AppDelegate.m", Write: program("", "static NSString *const %s = @%s;\n", "")},
		{Name: "hcl", File: "main.tf", Write: program("", "  %s = %s\n", "")},
		{Name: "hcl variable", File: "variables.tf", Write: program("", "variable \"%s\" {\n  type    = string\n  default = %s\n}\n", "")},
	}
}

// commands are arguments of programs.
func commands() []Context {
	return []Context{
		{Name: "curl", File: "check.sh", Write: func(k Kind) string {
			return "#!/bin/sh\ncurl -fsS -u admin:" + k.Carry() + " https://api.keyward.test/health\n"
		}, Bare: true, Password: true},
		{Name: "curl in yaml", File: "ci.yml", Write: func(k Kind) string {
			return "  script: \"curl --user 'deploy:" + k.Carry() + "' -T app.tgz https://repo.keyward.test/\"\n"
		}, Password: true},
		{Name: "mysql", File: "backup.sh", Write: func(k Kind) string { return "mysql -h 10.3.0.7 -uroot -p" + k.Carry() + " shop < schema.sql\n" }, Bare: true, Password: true},
		{Name: "command as a list", File: "compose.yml", Write: func(k Kind) string {
			return "    test: [\"CMD\", \"mysqladmin\", \"ping\", \"-uroot\", \"-p" + k.Carry() + "\"]\n"
		}, Password: true},
		{Name: "docker login", File: "Jenkinsfile", Write: func(k Kind) string {
			return "  sh 'docker login -u ci -p " + k.Carry() + " registry.keyward.test'\n"
		}, Bare: true, Password: true},
	}
}

// Fits tells whether a context can hold a kind.
func (c Context) Fits(k Kind) bool {
	carried := k.Carry()
	switch {
	case c.Password:
		return k.ID == "" && !strings.ContainsAny(carried, " \n:;,&'") && (k.Form && !strings.Contains(c.Write(k), "-p"+carried) || strings.Contains(strings.ToLower(k.Name), "password"))
	case strings.HasPrefix(c.Name, "kubernetes secret") && strings.ContainsAny(k.Name, "/:"):
		return false
	case !c.Lines && strings.Contains(carried, "\n") && !strings.Contains(c.Write(Kind{Name: "a", Secret: "\n", Rule: "-"}), `\n`):
		return false
	case strings.Contains(k.Name, "//"):
		return c.Name == "dotenv"
	case c.Name == "url query" && strings.ContainsAny(carried, "&=#?/+%!@"), c.Name == "log" && strings.ContainsAny(carried, ",;!"), c.Name == "csv" && strings.Contains(carried, ","):
		return false
	case strings.ContainsAny(k.Name, ".") && (c.Name == "dockerfile" || c.Name == "dockerfile space" || c.Name == "export"):
		return false
	case c.Name == "markdown table" && strings.Contains(carried, "|"):
		return false
	}
	return true
}
