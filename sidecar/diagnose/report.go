package diagnose

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/debugsidecar/debugsidecar/bpf"
)

// Report is what doctor found.
type Report struct {
	// Tier is the one that the probe would get here: kernel, user, or none if it
	// can't work.
	Tier     string    `json:"tier"`
	Findings []Finding `json:"findings"`
}

// State is how a thing that was looked at is.
type State string

const (
	// OK is as good as it gets.
	OK State = "ok"
	// Limited costs figures; the rest works.
	Limited State = "limited"
	// Broken keeps the probe from working.
	Broken State = "broken"
	// Info is neither good nor bad.
	Info State = "info"
)

// Finding is one thing that was looked at.
type Finding struct {
	// Group is process, kernel, probes, readings or place.
	Group string `json:"group"`
	Name  string `json:"name"`
	State State  `json:"state"`
	// Found is what is there.
	Found string `json:"found"`
	// Costs is what can't be had because of it; Takes is what would change that.
	Costs string `json:"costs,omitempty"`
	Takes string `json:"takes,omitempty"`
}

// works says whether the probe works at some tier.
func (r *Report) works() bool {
	for _, f := range r.Findings {
		if f.State == Broken {
			return false
		}
	}
	return r.Tier != bpf.TierNone.String()
}

func (r *Report) write(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	var b strings.Builder
	group := ""
	for _, f := range r.Findings {
		if f.Group != group {
			if group != "" {
				b.WriteByte('\n')
			}
			group = f.Group
			fmt.Fprintf(&b, "%s\n", group)
		}
		fmt.Fprintf(&b, "  %-7s  %-18s %s\n", mark(f.State), f.Name, f.Found)
		if f.Costs != "" {
			fmt.Fprintf(&b, "  %-7s  %-18s costs: %s\n", "", "", f.Costs)
		}
		if f.Takes != "" {
			fmt.Fprintf(&b, "  %-7s  %-18s takes: %s\n", "", "", f.Takes)
		}
	}
	b.WriteByte('\n')
	switch r.Tier {
	case bpf.TierKernel.String():
		b.WriteString("The probe would get the kernel tier.\n")
	case bpf.TierUser.String():
		b.WriteString("The probe would get the user tier: what it costs is said above.\n")
	default:
		b.WriteString("The probe can't work here.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func mark(s State) string {
	if s == Info {
		return ""
	}
	return string(s)
}
