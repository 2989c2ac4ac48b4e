package definition

import (
	"maps"
	"slices"
)

// plans are the operations without which an archetype is no plan, and those that it may
// have beside them. What no plan would ever send is refused: it is a mistake more often
// than not.
var plans = map[string]struct{ needs, may []OperationName }{
	"pair":          {needs: []OperationName{Create, Disable, Enable, Delete}},
	"multi":         {needs: []OperationName{Create, Delete}},
	"fixed-overlap": {needs: []OperationName{Rotate}, may: []OperationName{Delete}},
	"pending":       {needs: []OperationName{Rotate}, may: []OperationName{Delete}},
	"promote":       {needs: []OperationName{Create, Promote, Abandon}},
	"roll":          {needs: []OperationName{Rotate}},
}

// tagLength is how long a rotation's mark may become: "keyward/", the rotation, a number.
const tagLength = 48

// Writes tells whether the definition says how keys are replaced.
func (d *Definition) Writes() bool {
	for name := range d.ops {
		if !name.Reads() {
			return true
		}
	}
	return false
}

// Mints answers the operation that makes a new key or secret, nil if there is none.
func (d *Definition) Mints() *Operation {
	if op := d.ops[Create]; op != nil {
		return op
	}
	return d.ops[Rotate]
}

// ListsNew tells whether the list of keys tells a new key from the old one.
func (d *Definition) ListsNew() bool {
	op := d.Mints()
	return d.Has(List) && op != nil && (op.Name == Create || op.Map.ID != nil && op.Map.ID.Value == "")
}

// capabilities holds what is declared against the operations that there are. A definition
// that only reads needs none of those that change something.
func (p *parser) capabilities() error {
	if !p.def.Has(List) && !p.def.Has(Status) {
		return p.at(in("spec", "operations"), "there must be a list or a status: without one no key is ever seen")
	}
	c, path := p.spec.Capabilities, in("spec", "capabilities")
	switch {
	case c.Overlap.Kind == "fixed" && c.Overlap.For == 0:
		return p.at(in(path, "overlap"), "a fixed overlap needs for, how long the old key lives on")
	case c.Overlap.Kind == "parameter" && (c.Overlap.Max == 0 || c.Overlap.For > c.Overlap.Max):
		return p.at(in(path, "overlap"), "an overlap that is asked for needs max, the longest; for, what is asked for, may be shorter")
	case c.Idempotency.Kind == "header" && c.Idempotency.Name == "":
		return p.at(in(path, "idempotency"), "name the header")
	case c.Tag.Field != "" && p.def.Has(List) && p.def.ops[List].Map.Tag == nil:
		return p.at(in(path, "tag"), "the list must say where the tag stands, in map.tag")
	case p.def.parts.ID == p.def.parts.Secret:
		return p.at(in("spec", "parts"), "id and secret need different names")
	}
	for name, rule := range p.spec.Errors {
		if (rule.Pointer == "") != (len(rule.In) == 0) {
			return p.at(in("spec", "errors", string(name)), "pointer and in belong together")
		}
	}
	if !p.def.Writes() {
		return nil
	}
	for _, step := range []func() error{p.plan, p.marks, p.overlaps} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// plan holds the operations that change something against the archetype.
func (p *parser) plan() error {
	c, path := p.spec.Capabilities, in("spec", "operations")
	plan, ok := plans[c.Archetype]
	if !ok {
		return p.at(path, "keys of archetype %s are not changed through this API: it can have no operation that changes them", c.Archetype)
	}
	for _, name := range plan.needs {
		if !p.def.Has(name) {
			return p.at(path, "the archetype %s needs the operation %s", c.Archetype, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.def.ops)) {
		if !name.Reads() && !slices.Contains(plan.needs, name) && !slices.Contains(plan.may, name) {
			return p.at(in(path, string(name)), "a rotation of archetype %s never sends it", c.Archetype)
		}
	}
	id := p.def.Mints().Map.ID
	switch {
	case c.Reveal == "encrypted":
		return p.at(in("spec", "capabilities", "reveal"), "keyward cannot read a new secret that is answered encrypted: leave out the operations that change keys")
	case c.Archetype == "promote" && (id == nil || id.Value == ""):
		return p.at(in(path, string(Create), "map"), "the archetype promote has two places: id is a value, the name of the second one")
	case p.def.Has(Create) && id == nil:
		return p.at(in(path, string(Create), "map"), "the operation create must say where the id of the new key stands")
	case p.def.Has(Create) && !p.def.Has(List) && c.Archetype != "promote":
		return p.at(path, "a key that is created must be found again after a crash: there must be a list")
	}
	return nil
}

// marks holds what tells one attempt from another against the request that makes a key.
func (p *parser) marks() error {
	c, op := p.spec.Capabilities, p.def.Mints()
	path := in("spec", "operations", string(op.Name), "request")
	switch {
	case c.Tag.Field != "" && c.Tag.Max < tagLength:
		return p.at(in("spec", "capabilities", "tag", "max"), "a rotation's mark has up to %d characters", tagLength)
	case (c.Tag.Field != "") != op.uses("tag"):
		return p.at(path, "{{tag}} and capabilities.tag belong together")
	case c.Idempotency.Kind == "client-id" && !op.uses("attempt"):
		return p.at(path, "with an id of one's own choice it must use {{attempt}}")
	case c.Idempotency.Kind == "pending" && c.Archetype != "pending":
		return p.at(in("spec", "capabilities", "idempotency"), "only keys of archetype pending are pending")
	case (c.Idempotency.Kind == "header" || c.Idempotency.Kind == "client-id") && (op.uses("now") || op.uses("lifetime")):
		return p.at(path, "a request that is repeated must be the same: now and lifetime change; use {{expire}}")
	}
	return nil
}

// overlaps holds how long an old key lives on against the request that starts its end.
func (p *parser) overlaps() error {
	c, op := p.spec.Capabilities, p.def.Mints()
	ends := c.Archetype == "fixed-overlap" || c.Archetype == "pending"
	kind := c.Overlap.Kind
	switch {
	case ends && kind != "fixed" && kind != "parameter":
		return p.at(in("spec", "capabilities", "overlap"), "the archetype %s must say how long the old key lives on: kind fixed or parameter", c.Archetype)
	case (ends && kind == "parameter") != op.uses("overlap"):
		return p.at(in("spec", "operations", string(op.Name), "request"), "{{overlap}} and an overlap of kind parameter belong together")
	}
	return nil
}
