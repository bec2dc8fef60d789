package debug

import (
	"fmt"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug/shape"
	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// isDenied says whether an API server's policy refused a request, rather than the
// user's rights or the request's form.
func isDenied(err error) bool {
	if apierrors.IsForbidden(err) {
		return !lacksRight(err)
	}
	// Other webhooks choose their own codes.
	return apierrors.ReasonForError(err) != "" && strings.Contains(err.Error(), "admission webhook ") ||
		apierrors.IsInvalid(err) && strings.Contains(err.Error(), "securityContext")
}

// lacksRight says whether it was RBAC, or another authorizer.
func lacksRight(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), " cannot ") && strings.Contains(err.Error(), " resource ")
}

// denied is a request that policies refuse. Nothing was added.
type denied struct {
	// what was not done.
	what string
	// asked is empty if the profile was chosen automatically.
	asked   shape.Profile
	denials []denial
	// passes is a profile that would pass, if there is one, and what it leaves out.
	passes    shape.Profile
	leavesOut []string
	// notAsked says that the API server was not asked what would pass.
	notAsked bool
}

// denial is why one profile is refused.
type denial struct {
	profile shape.Profile
	lines   []string
}

func (d *denied) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", d.what)
	switch {
	case d.asked != "":
		fmt.Fprintf(&b, "profile %s is denied", d.asked)
	default:
		b.WriteString("each profile is denied")
	}
	for _, one := range d.denials {
		for _, line := range one.lines {
			b.WriteString("\n  ")
			if d.asked == "" {
				fmt.Fprintf(&b, "%s: ", one.profile)
			}
			b.WriteString(line)
		}
	}
	if d.passes != "" {
		fmt.Fprintf(&b, "\nprofile %s would pass: --profile=%s", d.passes, d.passes)
		for _, l := range d.leavesOut {
			fmt.Fprintf(&b, "\n  without: %s", l)
		}
	} else if d.asked != "" && !d.notAsked {
		b.WriteString("\nno lower profile would pass, either")
	}
	return b.String()
}

// maxDenial is how much of a denial is shown: webhooks write them.
const maxDenial = 4096

// denialLines is what the API server said, a line for each thing.
func denialLines(err error) []string {
	text := err.Error()
	if len(text) > maxDenial {
		text = text[:maxDenial]
	}
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, printable(line))
		}
	}
	return lines
}

// predicted is what is known without asking.
func predicted(denials []shape.Denial) []string {
	var lines []string
	for _, d := range denials {
		line := fmt.Sprintf("%s: %s: %s", d.Policy, d.Rule, d.Message)
		if d.Fix != "" {
			line += "; to pass: " + d.Fix
		}
		lines = append(lines, printable(line))
	}
	return lines
}

var unprintable = regexp.MustCompile(`[^\P{C}]+`)

// printable keeps a text from writing to the terminal what it likes. It may be
// longer than session.Text leaves it.
func printable(text string) string {
	return unprintable.ReplaceAllString(strings.ToValidUTF8(text, "?"), " ")
}

// short is for what has a place in a line.
func short(text string) string { return session.Text(text) }
