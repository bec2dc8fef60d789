package policies

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/debugsidecar/debugsidecar/policies/facts"
	"github.com/debugsidecar/debugsidecar/policies/selinux"
)

// parameter is one list that can be set. The rules read it as
// input.parameters.<section>.<name>.
type parameter struct {
	section, name string
	check         func(member string) error // nil for ports
	form          form
}

// form is what a parameter looks like.
type form uint8

const (
	list       form = iota
	listsByKey      // a list for each key, which is an image
	yesOrNo
	levelRange // of SELinux levels; may be empty
)

// Parameters that Go reads, besides the rules or instead of them.
const (
	imagesPath = "capabilities.images"
	trimPath   = "capabilities.trim"
)

func (p parameter) path() string { return p.section + "." + p.name }

// parameterTable is all that can be set for the rules; parameters.yaml says what
// it means and holds the defaults.
var parameterTable = []parameter{
	{section: "capabilities", name: "allowedAdd", check: capabilityName},
	{section: "capabilities", name: "allowedAddRestricted", check: capabilityName},
	{section: "capabilities", name: "images", check: capabilityName, form: listsByKey},
	{section: "capabilities", name: "trim", form: yesOrNo},
	{section: "selinux", name: "allowedTypes", check: confinedType},
	{section: "selinux", name: "allowedUsers", check: selinux.CheckName},
	{section: "selinux", name: "allowedRoles", check: selinux.CheckName},
	{section: "selinux", name: "allowSpc", form: yesOrNo},
	{section: "selinux", name: "range", form: levelRange},
	{section: "selinux", name: "rangeFromOpenShift", form: yesOrNo},
	{section: "selinux", name: "fill", form: yesOrNo},
	{section: "hostPorts", name: "allowed"},
	{section: "sysctls", name: "allowed", check: matching(`^[a-zA-Z0-9_-]+([./][a-zA-Z0-9_-]+)+$`, "a sysctl such as net.core.somaxconn")},
	{section: "seccomp", name: "allowedTypes", check: oneOf("RuntimeDefault", "Localhost", "Unconfined")},
	{section: "volumes", name: "allowedTypes", check: oneOf(facts.VolumeTypeNames()...)},
}

var capabilityPattern = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)

func capabilityName(name string) error {
	if bare, has := strings.CutPrefix(name, "CAP_"); has {
		return fmt.Errorf("want %s, without CAP_", bare)
	}
	if !capabilityPattern.MatchString(name) {
		return fmt.Errorf("want a capability such as NET_RAW")
	}
	return nil
}

var typeName = matching(`^[a-z0-9_]+$`, "an SELinux type such as container_t")

// confinedType refuses the one type that takes more than to be in a list.
func confinedType(name string) error {
	if name == spcType {
		return fmt.Errorf("SELinux does not confine this type: it is allowed by selinux.allowSpc: true alone")
	}
	return typeName(name)
}

func matching(pattern, what string) func(string) error {
	compiled := regexp.MustCompile(pattern)
	return func(s string) error {
		if !compiled.MatchString(s) {
			return fmt.Errorf("want %s", what)
		}
		return nil
	}
}

func oneOf(names ...string) func(string) error {
	return func(s string) error {
		if !slices.Contains(names, s) {
			return fmt.Errorf("want one of %s", strings.Join(names, ", "))
		}
		return nil
	}
}

// names makes the setting of a list of names.
func names(members []string) setting {
	terms := make([]*ast.Term, len(members))
	for i, m := range members {
		terms[i] = ast.StringTerm(m)
	}
	return setting{term: ast.SetTerm(terms...), text: join(members)}
}

// portRanges makes the setting of a list of ports and ranges of ports: pairs of
// the first and the last port.
func portRanges(members []string) (setting, error) {
	pairs := make([]*ast.Term, len(members))
	for i, m := range members {
		first, last, isRange := strings.Cut(m, "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.ParseUint(first, 10, 16)
		to, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil || from == 0 || to < from {
			return setting{}, &memberError{i, fmt.Errorf("want a port from 1 to 65535, or a range such as 30000-30100")}
		}
		pairs[i] = ast.ArrayTerm(ast.InternedTerm(int(from)), ast.InternedTerm(int(to)))
	}
	return setting{term: ast.ArrayTerm(pairs...), text: join(members)}, nil
}

// memberError says which member of a list is wrong.
type memberError struct {
	index int
	err   error
}

func (e *memberError) Error() string { return e.err.Error() }

// setting makes the parameter's value from its members.
func (p parameter) setting(members []string) (setting, error) {
	if p.check == nil {
		return portRanges(members)
	}
	for i, m := range members {
		if err := p.check(m); err != nil {
			return setting{}, &memberError{i, err}
		}
	}
	return names(members), nil
}
