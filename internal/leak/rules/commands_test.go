package rules_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/rules"
)

// TestCommands has PW stand for a password; what a case finds is nothing or that.
func TestCommands(t *testing.T) {
	s, err := leak.New(rules.All())
	if err != nil {
		t.Fatal(err)
	}
	const password = "Zx9k" + "Lm2pQ7vB"
	for command, want := range map[string]bool{
		"curl -u admin:PW https://a":                          true,
		"curl -sSLku admin:PW https://a":                      true,
		"curl -uadmin:PW https://a":                           true,
		"curl --user=admin:PW https://a":                      true,
		"curl -X POST \\\n  --user 'admin:PW' \\\n https://a": true,
		`"curl -u \"admin:PW\" https://a"`:                    true,
		"curl -u :PW https://a":                               true,
		"/usr/bin/curl https://a --proxy-user a:PW":           true,
		"curl https://a; other -u a:PW":                       false,
		"libcurl -u a:PW":                                     false,
		"curl -u PW https://a":                                false,
		"curl https://a.example.com -u a:PW":                  false,
		"mysql -pPW shop":                                     true,
		"mysql -uroot -p'PW' shop":                            true,
		"mysql -p PW":                                         false, // the name of a database
		`["mysqladmin", "-uroot", "-pPW"]`:                    true,
		`"[\"mysqladmin\", \"-pPW\"]"`:                        true,
		"sshpass -p PW ssh a":                                 true,
		"sshpass -pPW ssh a":                                  true,
		"redis-cli -h a -a PW ping":                           true,
		"docker login -u ci -p PW registry":                   true,
		"ldapsearch -x -w PW -b dc=a":                         true,
		"sqlcmd -S a -U sa -P PW":                             true,
		"mkdir -p PW":                                         false,
		"curl":                                                false,
		"mysql -p":                                            false,
		"curl -u ":                                            false,
		"curl -u\n":                                           false,
	} {
		text := strings.ReplaceAll(command, "PW", password)
		var got []string
		for _, m := range s.Worker().Scan(leak.Part{Text: []byte(text), To: len(text), Path: "a.sh"}) {
			got = append(got, m.Rule.ID+" "+text[m.Start:m.End])
		}
		var expected []string
		if want {
			expected = []string{"generic-password " + password}
		}
		if diff := cmp.Diff(expected, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", command, diff)
		}
	}
}

// TestPasswordsWithoutNames has PW stand for a password, in files in which it has no name.
func TestPasswordsWithoutNames(t *testing.T) {
	s, err := leak.New(rules.All())
	if err != nil {
		t.Fatal(err)
	}
	const password = "Zx9k" + "Lm2pQ7vB"
	for _, c := range []struct {
		path, text string
		want       bool
	}{
		{"home/.netrc", "machine git.corp.test\nlogin ann\npassword PW\n", true},
		{"notes.txt", "its\npassword PW\n", false},
		{"home/.pgpass", "# host\ndb.corp.test:5432:shop:app:PW\n", true},
		{"home/.pgpass", "*:*:*:app:PW\r\n", true},
		{"home/.pgpass", "db:5432:shop\n", false},
		{"ports.txt", "db.corp.test:5432:shop:app:PW\n", false},
		{"redis.conf", "bind 0.0.0.0\nrequirepass PW\n", true},
		{"redis.conf", "masterauth \"PW\"\n", true},
		{"redis.conf", "# requirepass foobared\nrequirepass\n", false},
		{"users.sql", "CREATE USER app IDENTIFIED BY 'PW';", true},
		{"users.sql", "alter user app identified by \"PW\";", true},
		{"users.sql", "CREATE USER app WITH PASSWORD 'PW';", true},
		{"users.sql", "CREATE USER app IDENTIFIED BY :password;", false},
		{"guide.md", "Records are identified by their id.", false},
		{"decode.go", "// The field is identified by remoteId2.\n", false},
	} {
		text := strings.ReplaceAll(c.text, "PW", password)
		var got []string
		for _, m := range s.Worker().Scan(leak.Part{Text: []byte(text), To: len(text), Path: c.path}) {
			got = append(got, m.Rule.ID+" "+text[m.Start:m.End])
		}
		var want []string
		if c.want {
			want = []string{"generic-password " + password}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", c.path, c.text, diff)
		}
	}
}
