package alibaba

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/cloud/alibaba/rpc"
)

// breadth is how much a policy grants.
type breadth struct {
	admin bool     // everything
	wide  []string // services wholly, sorted
}

// systemBreadth reads the name of a policy of the cloud itself, whose documents are many
// and whose names tell: AdministratorAccess, AliyunOSSFullAccess.
func systemBreadth(name string) breadth {
	if name == "AdministratorAccess" {
		return breadth{admin: true}
	}
	service, ok1 := strings.CutPrefix(name, "Aliyun")
	service, ok2 := strings.CutSuffix(service, "FullAccess")
	if ok1 && ok2 && service != "" {
		return breadth{wide: []string{strings.ToLower(service)}}
	}
	return breadth{}
}

// documentBreadth reads a policy document: statements that allow all of a service on all
// resources. A condition does not make a statement narrow, because whoever fulfils it has
// everything; a NotAction or NotResource that allows is as wide as everything.
func documentBreadth(document string) (breadth, error) {
	var in struct{ Statement several[policyStatement] }
	if err := json.Unmarshal([]byte(document), &in); err != nil {
		return breadth{}, fmt.Errorf("reading a policy document: %w", err)
	}
	var b breadth
	wide := map[string]bool{}
	for _, s := range in.Statement {
		if s.Effect != "Allow" || len(s.NotResource) == 0 && !slices.ContainsFunc(s.Resource, everything) {
			continue
		}
		b.admin = b.admin || len(s.NotAction) > 0
		for _, action := range s.Action {
			service, ok := strings.CutSuffix(action, ":*")
			switch {
			case action == "*" || service == "*":
				b.admin = true
			case ok && service != "":
				wide[strings.ToLower(rpc.Clean(service, 64))] = true
			}
		}
	}
	b.wide = slices.Sorted(maps.Keys(wide))
	return b, nil
}

func everything(resource string) bool { return strings.Trim(resource, "acs:*") == "" }

type policyStatement struct {
	Effect                                   string
	Action, NotAction, Resource, NotResource several[string]
}

// several is a value or a list of such values, as policies may have them.
type several[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (s *several[T]) UnmarshalJSON(b []byte) error {
	var list []T
	if json.Unmarshal(b, &list) == nil {
		*s = list
		return nil
	}
	var one T
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*s = []T{one}
	return nil
}
