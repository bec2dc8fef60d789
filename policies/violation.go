package policies

// Action is what a violation leads to.
type Action string

const (
	Deny  Action = "deny"
	Warn  Action = "warn"
	Audit Action = "audit"
)

// Violation is one thing that a rule found.
type Violation struct {
	Rule      string `json:"rule"`
	Container string `json:"container"` // empty where it is about the pod itself
	Field     string `json:"field"`     // full path, such as spec.containers[0].securityContext.privileged
	Message   string `json:"message"`   // what the field has, and what the rule allows
	Fix       string `json:"fix"`       // the smallest change that passes
	Level     Level  `json:"-"`         // the lowest level that refuses it
	Action    Action `json:"-"`
	// Trim names the capabilities that go if the pod is to be trimmed rather than
	// denied; none where that can't be, or the parameters don't say so.
	Trim []string `json:"-"`
}

// Result is what Evaluate found, in the order of rule, container, field.
type Result struct {
	Violations []Violation
	Undecided  []Undecided // what rules of one's own came to no answer; each is a violation as well
	// Exemption is what would be here too, but for an exemption; nil if nothing.
	Exemption *Exemption
}

// Denied says whether a violation refuses the request.
func (r Result) Denied() bool {
	for i := range r.Violations {
		if r.Violations[i].Action == Deny {
			return true
		}
	}
	return false
}

// add adds what another rule found.
func (r *Result) add(other Result) {
	r.Violations = append(r.Violations, other.Violations...)
	switch {
	case other.Exemption == nil:
	case r.Exemption == nil:
		r.Exemption = other.Exemption
	default:
		r.Exemption.Violations = append(r.Exemption.Violations, other.Exemption.Violations...)
	}
}
