package sessions

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// Session is what -o json has of a session. What is empty is not known, or not
// said.
type Session struct {
	Namespace string        `json:"namespace"`
	Pod       string        `json:"pod"`
	Container string        `json:"container"`
	CopiedOf  string        `json:"copiedFrom,omitempty"` // the pod of which this one is a copy
	State     session.State `json:"state"`
	Why       string        `json:"why,omitempty"`
	// Recorded says whether the webhook saw who asked.
	Recorded bool       `json:"recorded"`
	User     string     `json:"user,omitempty"`
	Groups   []string   `json:"groups,omitempty"`
	Request  string     `json:"request,omitempty"`
	Since    *time.Time `json:"since,omitempty"`
	Until    *time.Time `json:"until,omitempty"`
	Started  *time.Time `json:"started,omitempty"`
	Ended    *time.Time `json:"ended,omitempty"`
	Target   string     `json:"target,omitempty"`
	Reason   string     `json:"reason,omitempty"`
	Ticket   string     `json:"ticket,omitempty"`
	Image    string     `json:"image"`
}

func of(pod *corev1.Pod, s *session.Session) Session {
	out := Session{
		Namespace: pod.Namespace, Pod: pod.Name, Container: s.Container, State: s.State, Why: s.Why,
		Recorded: s.Recorded(), User: s.User, Groups: s.Groups, Request: s.Request,
		Since: known(s.Since), Until: known(s.Until), Started: known(s.Started), Ended: known(s.Ended),
		Target: s.Target, Reason: s.Reason, Ticket: s.Ticket, Image: s.Image,
	}
	if s.IsCopy {
		out.CopiedOf = session.Text(pod.Annotations[session.CopiedFromAnnotation])
	}
	return out
}

func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}

func (o *options) print(found []Session, namespace string) error {
	slices.SortStableFunc(found, func(a, b Session) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Pod, b.Pod))
	})
	if o.output == "json" {
		e := json.NewEncoder(o.streams.Out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "    ")
		return e.Encode(struct {
			APIVersion string    `json:"apiVersion"`
			Kind       string    `json:"kind"`
			Items      []Session `json:"items"`
		}{"debugsidecar.io/v1alpha1", "DebugSessions", found})
	}
	if len(found) == 0 {
		where := "in namespace " + namespace
		if o.everywhere {
			where = "in any namespace"
		}
		what := "nobody debugs anything "
		if o.over {
			what = "there is no debug session "
		}
		fmt.Fprintln(o.streams.ErrOut, what+where)
		return nil
	}
	w := tabwriter.NewWriter(o.streams.Out, 0, 0, 3, ' ', 0)
	header := []string{"NAMESPACE", "POD", "TARGET", "USER", "STATE", "SINCE", "UNTIL", "REASON", "TICKET"}
	if o.output == "wide" {
		header = append(header, "CONTAINER", "IMAGE", "GROUPS", "REQUEST", "WHY")
	}
	o.line(w, header)
	for i := range found {
		o.line(w, o.cells(&found[i]))
	}
	return w.Flush()
}

func (o *options) line(w *tabwriter.Writer, cells []string) {
	if !o.everywhere {
		cells = cells[1:]
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

func (o *options) cells(s *Session) []string {
	user := s.User
	if !s.Recorded {
		user = "not recorded"
	}
	since := s.Since
	if since == nil {
		since = s.Started
	}
	target := s.Target
	if s.CopiedOf != "" {
		target = "copy of " + s.CopiedOf
	}
	cells := []string{s.Namespace, s.Pod, or(target), user, string(s.State), o.away(since), o.away(s.Until), or(s.Reason), or(s.Ticket)}
	if o.output == "wide" {
		cells = append(cells, s.Container, s.Image, or(strings.Join(s.Groups, ",")), or(s.Request), or(s.Why))
	}
	return cells
}

func or(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// away is how far a time is from now.
func (o *options) away(t *time.Time) string {
	if t == nil {
		return "-"
	}
	d := t.Sub(o.now())
	if d > 0 {
		return "in " + duration.HumanDuration(d)
	}
	return duration.HumanDuration(-d) + " ago"
}
