package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/fault"
)

// maxMembers bounds the members of a JSON object, and the items of an array, that a
// request may have. Depth needs no bound of its own: what is deeper than the request
// type is refused where it begins.
const maxMembers = 512

// DecodeBody reads the JSON object that is a request's body into a struct of package
// api. Where [encoding/json] is generous it is strict: members must be known, spelt
// exactly, and given once; those without omitempty must be there; null stands for
// nothing, numbers are integers, text is valid Unicode, and nothing follows the object.
// Its errors are InvalidParameter and MissingParameter faults.
func DecodeBody(h http.Header, body []byte, into any) error {
	if err := checkContentType(h); err != nil {
		return err
	}
	if !utf8.Valid(body) {
		return fault.InvalidParameter.New("the body is not valid UTF-8")
	}
	s := scanner{json.NewDecoder(bytes.NewReader(body))}
	s.d.UseNumber()
	if err := s.value(place{}, reflect.TypeOf(into).Elem()); err != nil {
		return err
	}
	if _, err := s.d.Token(); !errors.Is(err, io.EOF) {
		return fault.InvalidParameter.New("the body goes on after its JSON object")
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fault.InvalidParameter.Wrap(errors.New("unmarshalling what was scanned"), "the body is not what this operation takes; docs/api.md describes it")
	}
	return nil
}

// CheckNoBody refuses a body where none is read.
func CheckNoBody(body []byte) error {
	if len(body) > 0 {
		return fault.InvalidParameter.New("this operation takes no body")
	}
	return nil
}

func checkContentType(h http.Header) error {
	if types := h.Values("Content-Type"); len(types) == 1 {
		mediaType, params, err := mime.ParseMediaType(types[0])
		charset, given := params["charset"]
		if err == nil && mediaType == "application/json" &&
			(len(params) == 0 || len(params) == 1 && given && strings.EqualFold(charset, "utf-8")) {
			return nil
		}
	}
	return fault.InvalidParameter.New("the body must be one JSON object, sent with Content-Type: application/json")
}

// A scanner walks through a document beside the type that it is to become.
type scanner struct{ d *json.Decoder }

var timeType = reflect.TypeFor[time.Time]()

// value scans one value; name is what to call it in errors.
func (s scanner) value(name place, t reflect.Type) error {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	token, err := s.d.Token()
	if err != nil {
		return fault.InvalidParameter.New("the body is not valid JSON")
	}
	switch token := token.(type) {
	case string:
		return checkText(name, token, t)
	case json.Number:
		return checkInteger(name, token.String(), t)
	case bool:
		if t.Kind() == reflect.Bool {
			return nil
		}
	case json.Delim:
		switch {
		case token == '{' && t.Kind() == reflect.Struct && t != timeType:
			return s.object(name, t)
		case token == '{' && t.Kind() == reflect.Map:
			return s.pairs(name, t)
		case token == '[' && t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
			return s.items(name, t)
		}
	}
	return wrongType(name, t)
}

// object scans the members of a struct.
func (s scanner) object(name place, t reflect.Type) error {
	members := Members(t)
	seen := make([]bool, len(members))
	for s.d.More() {
		given, err := s.name()
		if err != nil {
			return err
		}
		i := indexOf(members, given)
		if i < 0 {
			return fault.InvalidParameter.New("the member %.64q is unknown in %s", given, name.text())
		}
		if seen[i] {
			return fault.InvalidParameter.New("the member %q is given twice", given)
		}
		seen[i] = true
		if err := s.value(place{kind: member, name: given}, members[i].Type); err != nil {
			return err
		}
	}
	for i, m := range members {
		if m.Required && !seen[i] {
			return fault.MissingParameter.New("the member %q is missing in %s", m.Name, name.text())
		}
	}
	return s.end()
}

// pairs scans a map of strings.
func (s scanner) pairs(name place, t reflect.Type) error {
	seen := map[string]bool{}
	for s.d.More() {
		given, err := s.name()
		if err != nil {
			return err
		}
		if seen[given] || len(seen) == maxMembers {
			return fault.InvalidParameter.New("%s names something twice, or more than %d things", name.text(), maxMembers)
		}
		seen[given] = true
		if err := s.value(place{kind: entry, in: &name}, t.Elem()); err != nil {
			return err
		}
	}
	return s.end()
}

// items scans a list.
func (s scanner) items(name place, t reflect.Type) error {
	for n := 0; s.d.More(); n++ {
		if n == maxMembers {
			return fault.InvalidParameter.New("%s has more than %d items", name.text(), maxMembers)
		}
		if err := s.value(place{kind: item, in: &name}, t.Elem()); err != nil {
			return err
		}
	}
	return s.end()
}

// name scans the name of a member.
func (s scanner) name() (string, error) {
	token, err := s.d.Token()
	given, ok := token.(string)
	if err != nil || !ok {
		return "", fault.InvalidParameter.New("the body is not valid JSON")
	}
	return given, checkUnicode(place{kind: memberName}, given)
}

func (s scanner) end() error {
	if _, err := s.d.Token(); err != nil {
		return fault.InvalidParameter.New("the body is not valid JSON")
	}
	return nil
}

// DecodeQuery reads the parameters of a query, each of which occurs once, into a struct
// of package api as strictly as [DecodeBody].
func DecodeQuery(params iter.Seq2[string, string], into any) error {
	v := reflect.ValueOf(into).Elem()
	members := Members(v.Type())
	seen := make([]bool, len(members))
	for name, text := range params {
		i := indexOf(members, name)
		if i < 0 {
			return fault.InvalidParameter.New("the parameter %.64q is unknown", name)
		}
		seen[i] = true
		if err := setText(place{kind: parameter, name: name}, text, v.Field(i)); err != nil {
			return err
		}
	}
	for i, m := range members {
		if m.Required && !seen[i] {
			return fault.MissingParameter.New("the parameter %q is missing", m.Name)
		}
	}
	return nil
}

// CheckNoQuery refuses parameters where none are read.
func CheckNoQuery(params iter.Seq2[string, string]) error {
	return DecodeQuery(params, new(struct{}))
}

// setText sets a field to what a parameter says.
func setText(name place, text string, v reflect.Value) error {
	var err error
	switch {
	case v.Type() == timeType:
		err = v.Addr().Interface().(*time.Time).UnmarshalText([]byte(text))
	case v.Kind() == reflect.Slice:
		if text != "" {
			v.Set(reflect.ValueOf(strings.Split(text, ",")))
		}
		return checkUnicode(name, text)
	case v.CanInt():
		if err = checkInteger(name, text, v.Type()); err == nil {
			n, _ := strconv.ParseInt(text, 10, 64) // it was checked
			v.SetInt(n)
		}
	case v.Kind() == reflect.Bool:
		v.SetBool(text == "true")
		if text != "true" && text != "false" {
			err = errors.New("neither true nor false")
		}
	default:
		v.SetString(text)
		return checkUnicode(name, text)
	}
	if err != nil {
		return wrongType(name, v.Type())
	}
	return nil
}

func checkText(name place, text string, t reflect.Type) error {
	var err error
	switch {
	case t == timeType:
		err = new(time.Time).UnmarshalText([]byte(text))
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		if _, err = base64.StdEncoding.Strict().DecodeString(text); err == nil && strings.ContainsAny(text, "\r\n") {
			err = errors.New("package base64 passes line breaks over")
		}
	case t.Kind() != reflect.String:
		return wrongType(name, t)
	default:
		return checkUnicode(name, text)
	}
	if err != nil {
		return wrongType(name, t)
	}
	return nil
}

// checkUnicode refuses the replacement character: package json puts it where an escape
// made no sense, and different texts would become equal.
func checkUnicode(name place, text string) error {
	if strings.ContainsRune(text, utf8.RuneError) || strings.ContainsRune(text, 0) {
		return fault.InvalidParameter.New("%s is not valid Unicode text", name.text())
	}
	return nil
}

func checkInteger(name place, text string, t reflect.Type) error {
	if kind := t.Kind(); kind == reflect.Int || kind == reflect.Int64 {
		if n, err := strconv.ParseInt(text, 10, t.Bits()); err == nil && strconv.FormatInt(n, 10) == text {
			return nil
		}
	}
	return wrongType(name, t)
}

func wrongType(name place, t reflect.Type) error {
	want := fault.Say("a JSON object")
	switch {
	case t == timeType:
		want = fault.Say("a time, such as 2026-01-02T15:04:05Z")
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		want = fault.Say("base64")
	case t.Kind() == reflect.Slice:
		want = fault.Say("a list")
	case t.Kind() == reflect.String:
		want = fault.Say("a text")
	case t.Kind() == reflect.Bool:
		want = fault.Say("true or false")
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
		want = fault.Say("an integer")
	}
	return fault.InvalidParameter.New("%s must be %s", name.text(), want)
}

// A Member is one member of a request or an answer: a field of its struct.
type Member struct {
	Name     string
	Type     reflect.Type
	Required bool // neither omitempty nor omitzero
}

// Members answers the members of a struct of package api, in the order of its fields.
func Members(t reflect.Type) []Member {
	members := make([]Member, t.NumField())
	for i := range members {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		members[i] = Member{name, f.Type, options == ""}
	}
	return members
}

func indexOf(members []Member, name string) int {
	for i := range members {
		if members[i].Name == name {
			return i
		}
	}
	return -1
}
