package finding

import (
	"strings"

	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/notify"
)

// A Rule is one thing that is looked for.
type Rule struct {
	ID       string
	Source   string
	Severity Severity // the usual one; evidence may raise or lower it
	Title    form.Text
	Why      form.Text     // what happens to those who ignore it
	Told     bool          // people are told of its findings although they are not critical
	Limits   []notify.Fact // the thresholds in force, by the names of their settings
	Fixes    []Fix         // the first that fits the platform is advised
	Partly   form.Text     // of a rule that sees only a part: what it does not see
	Needs    form.Text     // of a rule that is not looked for yet: what it needs; else empty
}

// Answered tells whether the rule is looked for.
func (r *Rule) Answered() bool { return r.Needs == (form.Text{}) }

// A Fix is what to do about a finding.
type Fix struct {
	Platform string // accesskey.Source.Kind; "" for every one
	// Command is what to type. {provider} is the finding's provider; another name in braces
	// is the fact of that name in its evidence.
	Command string
	Text    form.Text // what to do, or what to know before the command is typed
}

// Advice answers what to do about a finding. A fix whose command needs a fact that the
// finding does not have is passed over.
func (r *Rule) Advice(f *Finding) Fix {
	for _, fix := range r.Fixes {
		if fix.Platform != "" && fix.Platform != f.Platform {
			continue
		}
		command, ok := fix.fill(f)
		if !ok {
			continue
		}
		fix.Command = command
		return fix
	}
	return Fix{}
}

var blank = lazy.Regexp(`\{[a-z-]+\}`)

// fill puts the finding's facts into the command. They are others' words that a person
// will paste into a shell, so each is quoted.
func (x Fix) fill(f *Finding) (string, bool) {
	facts := map[string]string{"{provider}": f.Subject.Provider}
	for _, fact := range f.Evidence {
		facts["{"+fact.Name+"}"] = fact.Value
	}
	complete := true
	command := blank().ReplaceAllStringFunc(x.Command, func(name string) string {
		value, ok := facts[name]
		complete = complete && ok && value != "" && value[0] != '-' // which would be an option
		return Quote(value)
	})
	return command, complete
}

var plain = lazy.Regexp(`^[A-Za-z0-9][A-Za-z0-9_./@:-]*$`)

// Quote makes a text one word of a POSIX shell.
func Quote(text string) string {
	if plain().MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
