package admit

import (
	"fmt"
	"strings"

	"github.com/debugsidecar/debugsidecar/policies"
)

// A hostile pod can break a rule thousands of times. Its owner needs to see some
// of that, and the API server has to carry it.
const (
	maxViolations = 20
	maxSentence   = 1024 // bytes of one violation
)

// respond turns violations into a denial, warnings and audit annotations. A
// workload is only warned about: its pods are what is denied.
func respond(result policies.Result, problems []string, isPod bool, modes policies.Modes) response {
	var denied, warned, audited sentences
	for _, p := range problems {
		warned.add(p)
	}
	for _, v := range result.Violations {
		switch {
		case v.Action == policies.Deny && isPod:
			denied.add(sentence(v))
		case v.Action == policies.Deny && len(v.Trim) > 0:
			warned.add(fmt.Sprintf("its pods would lose %q: %s", v.Trim, sentence(v)))
		case v.Action == policies.Deny:
			warned.add("its pods would be denied: " + sentence(v))
		case v.Action == policies.Warn:
			warned.add(sentence(v))
		default:
			audited.add(sentence(v))
		}
	}
	resp := allow()
	if denied.count > 0 {
		resp = deny(fmt.Sprintf("debugsidecar: level %s is enforced in this namespace: %s", modes.Enforce, strings.Join(denied.all(), "; ")))
	}
	for _, w := range warned.all() {
		resp.Warnings = append(resp.Warnings, "debugsidecar: "+w)
	}
	if audited.count > 0 {
		resp.audit("violations", audited)
	}
	if result.Exemption != nil {
		resp.exempt(result.Exemption)
	}
	return resp
}

// exempt says which exemption was used, and what it let through.
func (r *response) exempt(e *policies.Exemption) {
	var through sentences
	denied := 0
	for _, v := range e.Violations {
		if v.Action == policies.Deny {
			denied++
		}
		through.add(sentence(v))
	}
	r.setAudit("exemption", e.String())
	r.audit("exempted-violations", through)
	if denied > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("debugsidecar: let through, for the policy's parameter %s; otherwise it would be denied (%d violations): %s", e, denied, through.first[0]))
	}
}

func (r *response) audit(key string, all sentences) { r.setAudit(key, strings.Join(all.all(), "; ")) }

func (r *response) setAudit(key, value string) {
	if r.AuditAnnotations == nil {
		r.AuditAnnotations = map[string]string{}
	}
	r.AuditAnnotations[key] = value
}

// sentence says what is wrong, by which rule, and what to change.
func sentence(v policies.Violation) string { return v.Message + "; to pass: " + v.Fix }

// sentences gathers the first few of many.
type sentences struct {
	first []string
	count int
}

func (s *sentences) add(text string) {
	s.count++
	if len(s.first) == maxViolations {
		return
	}
	if len(text) > maxSentence {
		text = strings.ToValidUTF8(text[:maxSentence], "") + "..."
	}
	s.first = append(s.first, text)
}

func (s *sentences) all() []string {
	if more := s.count - len(s.first); more > 0 {
		return append(s.first, fmt.Sprintf("and %d more", more))
	}
	return s.first
}
