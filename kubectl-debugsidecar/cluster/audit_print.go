package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/audit"
)

func (o *auditOptions) print(t *foundTable) error {
	if o.output == "json" {
		return o.json(t)
	}
	for _, n := range t.NotKnown {
		fmt.Fprintln(o.streams.ErrOut, clean(n))
	}
	var lines [][]string
	var sums []string
	for i := range t.Items {
		ns := &t.Items[i]
		for j := range ns.Findings {
			f := &ns.Findings[j]
			lines = append(lines, []string{ns.Namespace, f.Pod, f.Rule, string(f.Level), becomes(f.Action), f.Message + "; to pass: " + f.Fix})
		}
		sum := fmt.Sprintf("namespace %s: %d pods, %d without a finding; %d findings would be denied, %d are warnings", ns.Namespace, ns.Pods, ns.Clean, ns.Denied, ns.Warned)
		if ns.Cut > 0 {
			sum += fmt.Sprintf(" (%d more than are shown)", ns.Cut)
		}
		sums = append(sums, sum)
	}
	o.lines(lines)
	for _, s := range sums {
		fmt.Fprintln(o.streams.Out, s)
	}
	return nil
}

// becomes says what an action would mean for a new pod.
func becomes(a policies.Action) string {
	return map[policies.Action]string{policies.Deny: "denied", policies.Warn: "warned", policies.Audit: "audited"}[a]
}

// lines prints a table of findings.
func (o *auditOptions) lines(lines [][]string) {
	if len(lines) == 0 {
		return
	}
	w := tabwriter.NewWriter(o.streams.Out, 0, 0, 3, ' ', 0)
	for _, cells := range slices.Concat([][]string{{"NAMESPACE", "POD", "RULE", "LEVEL", "WOULD BE", "WHAT"}}, lines) {
		if !o.all {
			cells = cells[1:]
		}
		for i := range cells {
			cells[i] = clean(cells[i])
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	fmt.Fprintln(w)
	w.Flush() //nolint:errcheck // as with Fprintln
}

// reportTable is what --report -o json prints.
type reportTable struct {
	APIVersion string        `json:"apiVersion"`
	Kind       string        `json:"kind"`
	Items      []reportFound `json:"items"`
}

// reportFound is what a report says.
type reportFound struct {
	Namespace string         `json:"namespace"`
	Name      string         `json:"name"`
	Changed   time.Time      `json:"changed"` // when it was last written
	Pods      int            `json:"pods"`
	Findings  int            `json:"findings"`
	Cut       int            `json:"cut"` // findings that are not among the results
	Summary   audit.Summary  `json:"summary"`
	Results   []audit.Result `json:"results"`
}

// showReports prints what the webhook's audit found last.
func (o *auditOptions) showReports(ctx context.Context, slow *audit.Client, namespace string) error {
	there, err := audit.Available(ctx, slow)
	if err != nil {
		return err
	}
	if !there {
		return errors.New("the cluster does not know PolicyReports (wgpolicyk8s.io/v1alpha2): install their CRD and set audit.enabled=true in the chart's values; or leave out --report to judge the pods now")
	}
	t := &reportTable{APIVersion: "debugsidecar.io/v1alpha1", Kind: "PodAuditReports", Items: []reportFound{}}
	err = audit.ReadReports(ctx, slow, namespace, func(r *audit.Report) {
		told, _ := r.Told()
		one := reportFound{r.Namespace, r.Name, told.Changed, told.Pods, told.Findings, told.Cut, r.Summary, r.Results}
		if one.Results == nil {
			one.Results = []audit.Result{}
		}
		t.Items = append(t.Items, one)
	})
	if apierrors.IsForbidden(err) {
		return errors.New("you may not list policyreports.wgpolicyk8s.io there; leave out --report to judge the pods now")
	}
	if err != nil {
		return fmt.Errorf("reading the reports: %w", err)
	}
	if o.output == "json" {
		return o.json(t)
	}
	if len(t.Items) == 0 {
		fmt.Fprintln(o.streams.ErrOut, "there is no report: the audit is off, or no namespace here has a level")
	}
	var lines [][]string
	for i := range t.Items {
		for j := range t.Items[i].Results {
			r := &t.Items[i].Results[j]
			pod := ""
			if len(r.Resources) > 0 {
				pod = r.Resources[0].Name
			}
			lines = append(lines, []string{t.Items[i].Namespace, pod, r.Rule, r.Policy, becomes(policies.Action(r.Properties["action"])), r.Message})
		}
	}
	o.lines(lines)
	for i := range t.Items {
		r := &t.Items[i]
		line := fmt.Sprintf("namespace %s: %d pods, %d without a finding; %d findings would be denied, %d are warnings; so since %s", r.Namespace, r.Pods, r.Summary.Pass, r.Summary.Fail, r.Summary.Warn, r.Changed.UTC().Format(time.RFC3339))
		if r.Cut > 0 {
			line += fmt.Sprintf(" (%d more than are shown)", r.Cut)
		}
		fmt.Fprintln(o.streams.Out, line)
	}
	return nil
}
