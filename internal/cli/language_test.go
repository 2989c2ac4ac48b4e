package cli

import (
	"testing"
)

func TestLanguage(t *testing.T) {
	for _, test := range []struct {
		flag string
		env  map[string]string
		want Language
	}{
		{"", nil, English},
		{"", map[string]string{"LANG": "zh_CN.UTF-8"}, Chinese},
		{"", map[string]string{"LANG": "zh_TW.UTF-8"}, Chinese},
		{"", map[string]string{"LANG": "de_DE.UTF-8"}, English},
		{"", map[string]string{"LANG": "zh_CN", "LC_ALL": "C"}, English},
		{"", map[string]string{"LANG": "en_US", "LC_MESSAGES": "zh_CN"}, Chinese},
		{"", map[string]string{"LANG": "zh_CN", "KEYWARD_LANG": "en"}, English},
		{"zh", map[string]string{"KEYWARD_LANG": "en"}, Chinese},
		{"en", map[string]string{"LANG": "zh_CN"}, English},
	} {
		if got := languageOf(test.flag, func(name string) string { return test.env[name] }); got != test.want {
			t.Errorf("%q, %v: %s", test.flag, test.env, got)
		}
	}
}
