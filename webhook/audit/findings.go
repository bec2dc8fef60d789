package audit

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/admit"
)

const (
	// maxText bounds a finding's message, and its fix, in bytes.
	maxText = 512
	// maxContainers is how many containers a finding names.
	maxContainers = 5
)

// Finding is what one rule says of one pod.
type Finding struct {
	Pod        string          `json:"pod"`
	UID        string          `json:"uid,omitempty"`
	Rule       string          `json:"rule"`
	Level      policies.Level  `json:"level"`  // the lowest that refuses it
	Action     policies.Action `json:"action"` // what would become of such a pod now
	Containers []string        `json:"containers,omitempty"`
	Message    string          `json:"message"` // of the first violation
	Fix        string          `json:"fix"`
	More       int             `json:"more,omitempty"` // violations of the same rule in the pod
}

// Kind is what findings are counted by.
type Kind struct {
	Rule   string
	Level  policies.Level
	Action policies.Action
}

// Findings are what was found in one namespace. All are counted; of each action,
// the first few are kept.
type Findings struct {
	Namespace string
	Pods      int // that were judged
	Clean     int // of them, without any finding
	Undecided int // that could not be judged
	Why       string
	Counts    map[Kind]int

	keep int
	kept map[policies.Action][]Finding
}

func newFindings(namespace string, keep int) *Findings {
	return &Findings{Namespace: namespace, Counts: map[Kind]int{}, keep: keep, kept: map[policies.Action][]Finding{}}
}

// Total counts the findings of an action, or of all if it is empty.
func (f *Findings) Total(a policies.Action) int {
	n := 0
	for kind, count := range f.Counts {
		if a == "" || kind.Action == a {
			n += count
		}
	}
	return n
}

// Kept returns the findings that are told one by one, what is denied first; and
// how many are counted only.
func (f *Findings) Kept() (kept []Finding, cut int) {
	for _, action := range []policies.Action{policies.Deny, policies.Warn, policies.Audit} {
		few := f.kept[action]
		slices.SortFunc(few, func(a, b Finding) int { return cmp.Or(cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.Rule, b.Rule)) })
		kept = append(kept, few[:min(len(few), f.keep-len(kept))]...)
	}
	return kept, f.Total("") - len(kept)
}

// add takes in what the rules say of a pod, whose object is pod.
func (f *Findings) add(r admit.Running, pod json.RawMessage) {
	f.Pods++
	if len(r.Violations) == 0 {
		f.Clean++
		return
	}
	uid := ""
	for i := range r.Violations {
		v := &r.Violations[i]
		if slices.ContainsFunc(r.Violations[:i], func(o policies.Violation) bool { return o.Rule == v.Rule && o.Action == v.Action }) {
			continue // it is in the finding of the first
		}
		found := finding(r.Name, r.Violations[i:])
		f.Counts[Kind{found.Rule, found.Level, found.Action}]++
		if len(f.kept[found.Action]) >= f.keep {
			continue
		}
		if uid == "" {
			uid = uidOf(pod)
		}
		found.UID = uid
		f.kept[found.Action] = append(f.kept[found.Action], found)
	}
}

// finding is of the first violation, and all others of its rule and action.
func finding(pod string, violations []policies.Violation) Finding {
	first := &violations[0]
	out := Finding{Pod: pod, Rule: first.Rule, Level: first.Level, Action: first.Action, Message: short(first.Message), Fix: short(first.Fix), More: -1}
	for i := range violations {
		v := &violations[i]
		if v.Rule != first.Rule || v.Action != first.Action {
			continue
		}
		out.More++
		if v.Level == policies.Baseline {
			out.Level = policies.Baseline
		}
		if v.Container != "" && len(out.Containers) < maxContainers && !slices.Contains(out.Containers, v.Container) {
			out.Containers = append(out.Containers, v.Container)
		}
	}
	return out
}

func short(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText-3], "") + "..."
}

func uidOf(pod json.RawMessage) string {
	var object struct {
		Metadata struct {
			UID string `json:"uid"`
		} `json:"metadata"`
	}
	_ = json.Unmarshal(pod, &object) // it was read before
	return object.Metadata.UID
}
