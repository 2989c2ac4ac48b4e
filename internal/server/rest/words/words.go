// Package words words what the services know as the native REST API does, and reads what
// the API says for them. It holds no rule of the product: what it cannot read is refused with
// [fault.InvalidParameter], and what makes no sense is for the services to say.
//
// Who may call: packages rest and login. Nothing is stored and nothing is trusted.
package words

import (
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
)

// Each converts every item of a list; the answer is never nil, so that it encodes as [].
func Each[From, To any](list []From, convert func(From) To) []To {
	out := make([]To, 0, len(list))
	for _, item := range list {
		out = append(out, convert(item))
	}
	return out
}

// Text answers a text in every language.
func Text(t form.Text) api.Text { return api.Text(t) }

func field(f form.Field) api.Field {
	return api.Field{Name: f.Name, Required: f.Required, Help: Text(f.Help), Example: f.Example}
}

// Settings answers settings by their names.
func Settings(pairs []form.Pair) map[string]string {
	m := make(map[string]string, len(pairs))
	for _, p := range pairs {
		m[p.Name] = p.Value
	}
	return m
}

// Duration reads a duration that may be left out.
func Duration(text *string) (*time.Duration, error) {
	if text == nil {
		return nil, nil //nolint:nilnil // what is left out stays as it is
	}
	d, err := api.ParseDuration(*text)
	if err != nil {
		return nil, fault.InvalidParameter.New("a duration must look like 30d, 12h, 90m or 45s")
	}
	return &d, nil
}

// Durations reads two durations.
func Durations(first, second string) (a, b time.Duration, err error) {
	p, err := Duration(&first)
	if err != nil {
		return 0, 0, err
	}
	q, err := Duration(&second)
	if err != nil {
		return 0, 0, err
	}
	return *p, *q, nil
}

// Seconds answers a duration. More than a duration can hold become one that no rule takes, for the
// service to refuse.
func Seconds[N int | int64](n N) time.Duration {
	d := time.Duration(n) * time.Second
	if N(d/time.Second) != n {
		return -1
	}
	return d
}

// Took writes how long something took.
func Took(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.Round(time.Millisecond).String()
}
