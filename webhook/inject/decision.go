package inject

import (
	"slices"
	"strings"

	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

// Codes of decisions: the decision in a word.
const (
	codeInjected    = "injected"
	codeUnchanged   = "unchanged"
	codeRefused     = "refused"
	codeNotWanted   = "not-wanted"
	codeDisabled    = "disabled"
	codeExcluded    = "excluded"
	codeUnknown     = "unknown-profile"
	codeParameters  = "bad-parameters"
	codeRequirement = "requirement"
	codeLimits      = "limits"
	codeNames       = "names"
	codeUnreadable  = "unreadable"
	codeUntrusted   = "untrusted"
)

// Step is one thing that was looked at on the way to a decision.
type Step struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// Decision says what happens to a pod, and why.
type Decision struct {
	// Inject says whether the pod has the sidecar when all is done.
	Inject  bool   `json:"inject"`
	Profile string `json:"profile"`
	Tier    string `json:"tier"`
	// Reason is the whole decision in a sentence.
	Reason string `json:"reason"`
	Steps  []Step `json:"steps"`
	// Level is the SELinux level that the pod is given; empty where it is given
	// none.
	Level string `json:"seLinuxLevel,omitempty"`

	// Refused is why the pod can't be admitted at all: it uses names that are
	// reserved for what the webhook renders.
	Refused string `json:"-"`
	// Warnings are for the user who sent the request.
	Warnings []string `json:"-"`
	// Code is the decision in a word, for a metric's label: injected,
	// unchanged, refused or what stood in the way.
	Code string `json:"-"`
	// Images are those that the sidecar may have: as it is rendered, and as the pod
	// has it already.
	Images []string `json:"-"`
	// Trimmed is how many containers lose capabilities that they may not add.
	Trimmed int `json:"-"`

	// What becomes of the pod itself stands apart from the sidecar: what is ours
	// is told by the sidecar alone. It comes first, since its paths have indexes
	// that count before the sidecar is placed.
	podPatch []Operation
	patch    []Operation
	// seLinuxType is the type that the sidecar's profile names; of the kernel tier
	// only.
	seLinuxType string
}

// Patch returns the JSON Patch operations (RFC 6902) that carry the decision
// out; none if the pod is as it should be.
func (d *Decision) Patch() []Operation {
	if len(d.podPatch) == 0 {
		return d.patch
	}
	return slices.Concat(d.podPatch, d.patch)
}

func (d *Decision) ok(check, detail string) {
	d.Steps = append(d.Steps, Step{check, true, detail})
}

// gaveUp records something that was wanted and is not had.
func (d *Decision) gaveUp(check, detail string) {
	d.Steps = append(d.Steps, Step{check, false, detail})
	d.warn(detail)
}

// maxReason is how many bytes of a reason are kept: it goes into an annotation,
// and a part of it may be what the pod's owner wrote.
const maxReason = 1024

// skip ends the decision without a sidecar.
func (d *Decision) skip(code, check, why string) {
	why = cut(why, maxReason)
	d.Code, d.Reason = code, why
	d.Steps = append(d.Steps, Step{check, false, why})
}

// maxWarning is how many bytes of a warning are passed on for sure: the API
// server cuts longer ones where there are many (k8s.io/apiserver/pkg/warning).
const maxWarning = 256

func (d *Decision) warn(text string) {
	d.Warnings = append(d.Warnings, cut("debugsidecar: "+text, maxWarning))
}

// cut shortens a text to at most n bytes, at a character's end.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n-3], "") + "..."
}

// plan is what the pod gets.
type plan struct {
	profile *profile.Profile
	sidecar *profile.Sidecar
	input   profile.Input
}
