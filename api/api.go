// Package api has the wire types of keyward's native REST API and of its operator API.
// openapi.json beside them describes the REST API for programs, docs/api.md for people;
// package client calls both.
//
// A request type has the members of the request's JSON object or, for a GET and a
// DELETE, the query parameters, where a list is written with commas. What stands in the
// path of a request (a key, a user, an alias) is not part of the type. Optional members
// are left out when they are empty; a pointer tells "leave it as it is" from "empty it".
// The server refuses members that it does not know, so that a misspelt one is not
// silently without effect.
//
// Bytes are base64 in JSON, times RFC 3339 in UTC. The types [SecretBytes] and
// [SecretText] mark what must not be logged or kept: they format themselves as
// "[redacted]", and a conversion to []byte or string, which is easy to find in review,
// makes them readable. They encode to JSON as they are, because that is their purpose.
package api

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// OpenAPI is the description of the REST API in OpenAPI 3.1. It is generated from the
// server's table of routes.
//
//go:embed openapi.json
var OpenAPI []byte

// ProblemType is the media type of a [Problem].
const ProblemType = "application/problem+json"

// A Problem is the body of every answer that is not a success, as RFC 9457 words it.
type Problem struct {
	Type      string `json:"type"`      // always "about:blank": Code tells problems apart
	Title     string `json:"title"`     // of the status, for people
	Status    int    `json:"status"`    // the HTTP status
	Code      string `json:"code"`      // what went wrong, for programs: "KeyNotFound"
	Detail    string `json:"detail"`    // what went wrong and what to do next, for people
	RequestID string `json:"requestId"` // names the request in the audit log and the server's log
}

const redacted = "[redacted]"

// SecretBytes are bytes that must not be logged.
type SecretBytes []byte

// Format writes "[redacted]" for every verb.
func (SecretBytes) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue answers "[redacted]".
func (SecretBytes) LogValue() slog.Value { return slog.StringValue(redacted) }

// SecretText is a text that must not be logged.
type SecretText string

// Format writes "[redacted]" for every verb.
func (SecretText) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue answers "[redacted]".
func (SecretText) LogValue() slog.Value { return slog.StringValue(redacted) }

// A PageRequest asks for one page of a list.
type PageRequest struct {
	Limit  int    `json:"limit,omitempty"`  // items at most, 1 to 100; 0 means 100
	Cursor string `json:"cursor,omitempty"` // Next of the page before, asked for with the same limit
}

// An Identity is who made a request, as the server sees it.
type Identity struct {
	Account   string    `json:"account"` // 16 decimal digits
	ARN       string    `json:"arn"`
	Kind      string    `json:"kind"`               // "root", "user", "assumed-role" or "federated-user"
	User      string    `json:"user,omitempty"`     // name of the user
	Role      string    `json:"role,omitempty"`     // name of the role
	Session   string    `json:"session,omitempty"`  // name of the session, of temporary credentials
	ExpiresAt time.Time `json:"expiresAt,omitzero"` // of temporary credentials
	AccessKey string    `json:"accessKey"`          // id of the access key that signed
	Region    string    `json:"region"`             // of the server's resources
}

// errDuration says how a duration is written.
var errDuration = errors.New("a duration must look like 30d, 12h, 90m or 45s")

// ParseDuration reads a duration as it stands in requests and answers: whole days, such
// as "30d", or what [time.ParseDuration] reads. "" and "0" are zero; a negative one is an
// error.
func ParseDuration(s string) (time.Duration, error) {
	const day, mostDays = 24 * time.Hour, 100_000
	if s == "" {
		return 0, nil
	}
	if n, ok := strings.CutSuffix(s, "d"); ok {
		count, err := strconv.ParseUint(n, 10, 32)
		if err != nil || count > mostDays {
			return 0, errDuration
		}
		return time.Duration(count) * day, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, errDuration
	}
	return d, nil
}

// FormatDuration writes a duration as [ParseDuration] reads it, "" for zero.
func FormatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return ""
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}
