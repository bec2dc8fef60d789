package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/policies"
)

// What a PolicyReport of ours is known by.
const (
	reportVersion = "wgpolicyk8s.io/v1alpha2"
	reportKind    = "PolicyReport"
	crd           = "policyreports.wgpolicyk8s.io"
	// source is the results' own, by which reports of several tools are told apart.
	source = "debugsidecar"
	// Annotation says what the kind has no field for; see Told.
	Annotation = "debugsidecar.io/audit"
	// label is on all reports of an installation, with its name.
	label = "debugsidecar.io/audit"
)

const (
	// MaxResults is how many results a report has at most.
	MaxResults = 100
	// maxReport is how long a report's results are at most, as JSON. With
	// MaxResults, a thousand namespaces fill at most an eighth of a gigabyte.
	maxReport = 128 << 10
)

// Report is a PolicyReport (wgpolicyk8s.io/v1alpha2) of one namespace, as far as
// we fill it in. Its kind belongs to the Kubernetes policy working group.
type Report struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Scope             *Object  `json:"scope,omitempty"`
	Summary           Summary  `json:"summary"`
	Results           []Result `json:"results,omitempty"`
}

// Summary counts all, also what was cut: pods without a finding as pass, what
// would be denied as fail, what is warned of or audited as warn, and pods that
// could not be judged as error.
type Summary struct {
	Pass  int `json:"pass"`
	Fail  int `json:"fail"`
	Warn  int `json:"warn"`
	Error int `json:"error"`
	Skip  int `json:"skip"`
}

// Result is one finding.
type Result struct {
	Source     string            `json:"source"`
	Policy     string            `json:"policy"` // the level
	Rule       string            `json:"rule"`
	Category   string            `json:"category"`
	Severity   string            `json:"severity"`
	Result     string            `json:"result"`
	Scored     bool              `json:"scored"`
	Message    string            `json:"message"`
	Timestamp  Stamp             `json:"timestamp"` // since when a report has it
	Resources  []Object          `json:"resources"`
	Properties map[string]string `json:"properties,omitempty"`
}

// Object refers to one.
type Object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	UID        string `json:"uid,omitempty"`
}

// Stamp is a time, in the kind's own form.
type Stamp struct {
	Seconds int64 `json:"seconds"`
	Nanos   int32 `json:"nanos"`
}

// Told is the content of the report's annotation.
type Told struct {
	Pods     int `json:"pods"`     // that were judged
	Findings int `json:"findings"` // in all
	Cut      int `json:"cut"`      // of them, not among the results
	// Changed is when the report was last written: a report that would say the same
	// again is not.
	Changed time.Time `json:"changed"`
}

// Told reads the annotation; false if there is none that can be read.
func (r *Report) Told() (Told, bool) {
	var t Told
	text, ok := r.Annotations[Annotation]
	return t, ok && json.Unmarshal([]byte(text), &t) == nil
}

// reportOf puts findings into a report.
func reportOf(f *Findings, now time.Time) *Report {
	r := &Report{
		Scope: &Object{APIVersion: "v1", Kind: "Namespace", Name: f.Namespace},
		Summary: Summary{
			Pass: f.Clean, Fail: f.Total(policies.Deny),
			Warn: f.Total(policies.Warn) + f.Total(policies.Audit), Error: f.Undecided,
		},
	}
	told := Told{Pods: f.Pods, Findings: f.Total(""), Changed: now.UTC().Truncate(time.Second)}
	kept, cut := f.Kept()
	size := 0
	for i := range kept {
		result := resultOf(&kept[i], f.Namespace, now)
		text, _ := json.Marshal(result) // strings and numbers can't fail
		if size += len(text) + 1; size > maxReport {
			cut += len(kept) - i
			break
		}
		r.Results = append(r.Results, result)
	}
	told.Cut = cut
	text, _ := json.Marshal(told)
	r.Annotations = map[string]string{Annotation: string(text)}
	return r
}

func resultOf(f *Finding, namespace string, now time.Time) Result {
	r := Result{
		Source: source, Policy: string(f.Level), Rule: f.Rule, Category: "Pod Security",
		Severity: "medium", Result: "warn", Message: f.Message + "; to pass: " + f.Fix,
		Timestamp:  Stamp{Seconds: now.Unix()},
		Resources:  []Object{{APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: f.Pod, UID: f.UID}},
		Properties: map[string]string{"action": string(f.Action)},
	}
	if f.Level == policies.Baseline {
		r.Severity = "high"
	}
	if f.Action == policies.Deny {
		r.Result, r.Scored = "fail", true
	}
	if len(f.Containers) > 0 {
		r.Properties["containers"] = strings.Join(f.Containers, ",")
	}
	if f.More > 0 {
		r.Message += fmt.Sprintf("; and %d more of this rule in the pod", f.More)
	}
	return r
}

// keepTimes gives a result the time that it has in the report of before, and the
// report its time of change if it says the same.
func (r *Report) keepTimes(before *Report) (same bool) {
	since := map[string]Stamp{}
	for i := range before.Results {
		since[before.Results[i].identity()] = before.Results[i].Timestamp
	}
	for i := range r.Results {
		if t, ok := since[r.Results[i].identity()]; ok {
			r.Results[i].Timestamp = t
		}
	}
	now, _ := r.Told()
	if then, ok := before.Told(); ok {
		now.Changed = then.Changed
	}
	text, _ := json.Marshal(now)
	return r.says(string(text)) == before.says(before.Annotations[Annotation])
}

func (r *Result) identity() string {
	same := *r
	same.Timestamp = Stamp{}
	text, _ := json.Marshal(same)
	return string(text)
}

// says is all of a report that is ours, in a form that can be compared.
func (r *Report) says(told string) string {
	text, _ := json.Marshal(struct {
		Told, Label string
		Owners      []metav1.OwnerReference
		Scope       *Object
		Summary     Summary
		Results     []Result
	}{told, r.Labels[label], r.OwnerReferences, r.Scope, r.Summary, r.Results})
	return string(text)
}
