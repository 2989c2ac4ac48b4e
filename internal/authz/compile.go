package authz

import (
	"strconv"
	"strings"

	"github.com/keyward/keyward/internal/fault"
)

// MaxDocument is the largest policy document in bytes.
const MaxDocument = 32768

// maxText is the longest pattern or condition value in bytes. It bounds what one
// comparison can cost, whoever wrote the policy.
const maxText = 1024

// A Policy is a compiled identity policy. It is immutable, so that goroutines may share it.
type Policy struct {
	name       string
	statements []statement
}

// A statement is one rule of a policy.
type statement struct {
	id         string // the Sid, else the number counted from 1
	deny       bool
	principals []principal // of the policy of a resource; nil means those whom the policy is attached to
	except     bool        // NotAction: every action but these
	actions    []glob      // of lower-case patterns
	resources  []resource
	conditions []condition
}

// Compile reads an identity policy in the RAM language, version 1. It accepts
// nothing that it does not understand: whatever is unknown, twice there, empty or
// malformed is answered with fault.InvalidParameter naming the statement.
func Compile(name string, document []byte) (*Policy, error) {
	statements, err := compileDocument(document, compileIdentity)
	if err != nil {
		return nil, fault.InvalidParameter.New("policy %q: %v", name, err)
	}
	return &Policy{name: name, statements: statements}, nil
}

// compileDocument reads the statements of a policy, each with compile.
func compileDocument(document []byte, compile func(object) (statement, error)) ([]statement, error) {
	if len(document) > MaxDocument {
		return nil, fault.Say("the document has %d bytes; at most %d are allowed", len(document), MaxDocument)
	}
	v, err := parseDocument(document)
	if err != nil {
		return nil, err
	}
	root, ok := v.(object)
	if !ok {
		return nil, fault.Say("the document must be a JSON object")
	}
	if err := checkElements(root, "Version", "Statement"); err != nil {
		return nil, err
	}
	if version, _ := root.get("Version"); version != "1" {
		return nil, fault.Say(`the element Version must be "1"`)
	}
	var list []any
	switch v, _ := root.get("Statement"); v := v.(type) {
	case []any:
		list = v
	case object:
		list = []any{v}
	}
	if len(list) == 0 {
		return nil, fault.Say("the element Statement must be a statement or a list of at least one")
	}
	statements := make([]statement, len(list))
	for i, v := range list {
		o, ok := v.(object)
		if !ok {
			return nil, fault.Say("statement %d: it must be a JSON object", i+1)
		}
		if statements[i], err = compile(o); err != nil {
			return nil, fault.Say("statement %d: %v", i+1, err)
		}
		if statements[i].id == "" {
			statements[i].id = strconv.Itoa(i + 1)
		}
	}
	return statements, nil
}

// compileIdentity reads a statement of an identity policy.
func compileIdentity(o object) (statement, error) {
	if _, ok := o.get("Principal"); ok {
		return statement{}, fault.Say("the element Principal belongs to resource policies; an identity policy speaks of those it is attached to")
	}
	if err := checkElements(o, "Sid", "Effect", "Action", "NotAction", "Resource", "Condition"); err != nil {
		return statement{}, err
	}
	s, err := compileStatement(o)
	if err != nil {
		return statement{}, err
	}
	s.resources, err = compileResources(o)
	return s, err
}

// compileStatement reads what statements of every policy have.
func compileStatement(o object) (s statement, err error) {
	if s.id, err = compileSid(o); err != nil {
		return statement{}, err
	}
	switch effect, _ := o.get("Effect"); effect {
	case "Allow":
	case "Deny":
		s.deny = true
	default:
		return statement{}, fault.Say("the element Effect must be Allow or Deny")
	}
	if s.actions, s.except, err = compileActions(o); err != nil {
		return statement{}, err
	}
	if v, ok := o.get("Condition"); ok {
		if s.conditions, err = compileConditions(v); err != nil {
			return statement{}, fault.Say("in Condition: %v", err)
		}
	}
	return s, nil
}

func checkElements(o object, known ...string) error {
next:
	for _, m := range o {
		for _, k := range known {
			if m.name == k {
				continue next
			}
		}
		return fault.Say("the element %q is unknown; known are %s", m.name, strings.Join(known, ", "))
	}
	return nil
}

func compileSid(o object) (string, error) {
	v, ok := o.get("Sid")
	if !ok {
		return "", nil
	}
	sid, _ := v.(string)
	if sid == "" || len(sid) > 128 || !consists(sid, alphanumeric+" _/+=.@-") {
		return "", fault.Say("the element Sid must be 1 to 128 letters, digits, spaces or _/+=.@-")
	}
	return sid, nil
}

func compileActions(o object) (actions []glob, except bool, err error) {
	v, ok := o.get("Action")
	not, except := o.get("NotAction")
	if ok == except {
		return nil, false, fault.Say("exactly one of Action and NotAction must be there")
	}
	element := "Action"
	if except {
		element, v = "NotAction", not
	}
	patterns, err := stringList(v)
	if err != nil {
		return nil, false, fault.Say("in %s: %v", element, err)
	}
	for i, p := range patterns {
		service, name, ok := strings.Cut(p, ":")
		wellFormed := ok && service != "" && name != "" &&
			consists(service, alphanumeric+"-_*?") && consists(name, alphanumeric+"-_*?")
		if p != "*" && !wellFormed {
			return nil, false, fault.Say("in %s: %q must be * or service:Name, where * and ? are wildcards", element, p)
		}
		patterns[i] = strings.ToLower(p)
	}
	return compileGlobs(patterns), except, nil
}

func compileResources(o object) ([]resource, error) {
	v, ok := o.get("Resource")
	if !ok {
		return nil, fault.Say("the element Resource must be there")
	}
	patterns, err := stringList(v)
	if err != nil {
		return nil, fault.Say("in Resource: %v", err)
	}
	resources := make([]resource, len(patterns))
	for i, p := range patterns {
		if resources[i], ok = compileResource(p); !ok {
			return nil, fault.Say("in Resource: %q must be * or acs:service:region:account:name, where * and ? are wildcards", p)
		}
	}
	return resources, nil
}

// stringList reads a string or a list of at least one string.
func stringList(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	if len(list) == 0 {
		return nil, fault.Say("the list is empty")
	}
	texts := make([]string, len(list))
	for i, v := range list {
		if texts[i], ok = v.(string); !ok {
			return nil, fault.Say("it must be a string or a list of strings")
		}
		if len(texts[i]) > maxText {
			return nil, fault.Say("a value has %d bytes; at most %d are allowed", len(texts[i]), maxText)
		}
	}
	return texts, nil
}

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// consists tells whether s has no character outside the set.
func consists(s, set string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(set, r) })
}
