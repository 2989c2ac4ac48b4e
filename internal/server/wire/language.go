package wire

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/keyward/keyward/internal/fault"
)

// Tell answers what a caller may read about err, in the language that the header of the
// request asks for: Chinese if Accept-Language prefers it to English, otherwise English.
func Tell(h http.Header, err error) string {
	if prefersChinese(h.Get("Accept-Language")) {
		return fault.TextOf(err).Chinese()
	}
	return fault.Message(err)
}

// prefersChinese reads an Accept-Language as RFC 9110 has it; what makes no sense in it
// says nothing.
func prefersChinese(accept string) bool {
	best, chinese := 0.0, false
	for element := range strings.SplitSeq(accept, ",") {
		tag, weight, weighted := strings.Cut(element, ";")
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		q := 1.0
		if weighted {
			var err error
			if q, err = strconv.ParseFloat(strings.TrimPrefix(strings.ReplaceAll(weight, " ", ""), "q="), 64); err != nil {
				q = 0
			}
		}
		if (primary == "zh" || primary == "en") && q > best {
			best, chinese = q, primary == "zh"
		}
	}
	return chinese
}
