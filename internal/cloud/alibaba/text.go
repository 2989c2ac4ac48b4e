package alibaba

import (
	"time"
)

// Texts of the cloud are cut to these many bytes.
const (
	maxName   = 256
	maxRemark = 512
)

// moment reads a time of the service, which is always written with its zone. What is no
// time is the zero time: "", "-", "N/A".
func moment(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
