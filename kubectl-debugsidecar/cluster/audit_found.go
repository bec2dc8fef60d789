package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	apiversion "k8s.io/apimachinery/pkg/version"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/audit"
)

// maxFindings is how many findings are told one by one; all are counted.
const maxFindings = 10_000

// foundTable is what -o json prints.
type foundTable struct {
	APIVersion string           `json:"apiVersion"`
	Kind       string           `json:"kind"`
	Items      []foundNamespace `json:"items"`
	// NotKnown are sentences about what could not be read.
	NotKnown []string `json:"notKnown"`

	bad bool // a pod would be denied, or something could not be judged
}

type foundNamespace struct {
	Namespace string         `json:"namespace"`
	Enforce   policies.Level `json:"enforce"`
	Warn      policies.Level `json:"warn"`
	Audit     policies.Level `json:"audit"`
	Pods      int            `json:"pods"`      // that were judged
	Clean     int            `json:"clean"`     // without a finding
	Undecided int            `json:"undecided"` // that could not be judged
	Denied    int            `json:"denied"`    // findings
	Warned    int            `json:"warned"`    // findings, those of audit too
	// Findings are the first ones, Cut is how many there are besides.
	Findings []audit.Finding `json:"findings"`
	Cut      int             `json:"cut"`
}

func (a *auditor) audit(ctx context.Context) (*foundTable, error) {
	t := &foundTable{APIVersion: "debugsidecar.io/v1alpha1", Kind: "PodAudit", Items: []foundNamespace{}}
	left := maxFindings
	for i := range a.namespaces {
		name := a.namespaces[i].Name
		modes, problems := policies.ModesOf(a.known[name].Labels, a.deps.Config().File.Policy.Default)
		for _, p := range problems {
			a.notKnown = append(a.notKnown, "namespace "+name+": "+p)
		}
		if why := a.leftOut(name, modes); why != "" {
			if !a.all {
				a.notKnown = append(a.notKnown, why)
			}
			continue
		}
		f, err := audit.Scan(ctx, a.slow, a.deps.JudgeRunning, name, left)
		if err != nil {
			switch {
			case errors.Is(ctx.Err(), context.DeadlineExceeded):
				return nil, fmt.Errorf("it took longer than --timeout: %w", err)
			case apierrors.IsForbidden(err):
				err = errors.New("you may not list them")
			}
			t.bad = true
			a.notKnown = append(a.notKnown, fmt.Sprintf("the pods of namespace %s: %v", name, err))
			continue
		}
		one := foundNamespace{
			Namespace: name, Enforce: modes.Enforce, Warn: modes.Warn, Audit: modes.Audit,
			Pods: f.Pods, Clean: f.Clean, Undecided: f.Undecided,
			Denied: f.Total(policies.Deny), Warned: f.Total(policies.Warn) + f.Total(policies.Audit),
		}
		one.Findings, one.Cut = f.Kept()
		if one.Findings == nil {
			one.Findings = []audit.Finding{}
		}
		left -= len(one.Findings)
		if f.Undecided > 0 {
			a.notKnown = append(a.notKnown, fmt.Sprintf("%d pods of namespace %s: they could not be judged: %s", f.Undecided, name, f.Why))
		}
		t.bad = t.bad || one.Denied > 0 || one.Undecided > 0
		t.Items = append(t.Items, one)
	}
	t.NotKnown = a.notKnown
	return t, nil
}

// leftOut says why the pods of a namespace are not judged; empty if they are.
func (a *auditor) leftOut(name string, modes policies.Modes) string {
	switch {
	case modes == policies.Modes{Enforce: policies.Off, Warn: policies.Off, Audit: policies.Off}:
		return "namespace " + name + " has no level, so there is nothing to judge its pods by: give --level, or label it " + policies.WarnLabel + "=restricted"
	case a.level != "" && !a.all:
		return "" // somebody wants to know
	case a.judged != nil && !a.judged.Has(a.known[name].Labels), a.judged == nil && name == metav1.NamespaceSystem:
		return "namespace " + name + " is excluded from the policies; with --level its pods are judged all the same"
	}
	return ""
}

// nativeSidecarsSince is the first version with native sidecars on by default
// (KEP-753).
var nativeSidecarsSince = utilversion.MustParseGeneric("1.29.0")

func (c *client) nativeSidecars(ctx context.Context) (bool, error) {
	data, err := c.core.RESTClient().Get().AbsPath("/version").Do(ctx).Raw()
	if err != nil {
		return false, fmt.Errorf("asking the API server for its version: %w", err)
	}
	var info apiversion.Info
	if err := json.Unmarshal(data, &info); err != nil {
		return false, fmt.Errorf("the API server's version: %w", err)
	}
	v, err := utilversion.ParseGeneric(info.GitVersion)
	if err != nil {
		return false, fmt.Errorf("the API server's version: %w", err)
	}
	return v.AtLeast(nativeSidecarsSince), nil
}
