package shape

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
)

// podSecurity is Pod Security's own code.
var podSecurity = sync.OnceValues(func() (policy.Evaluator, error) {
	return policy.NewEvaluator(policy.DefaultChecks(), nil)
})

// judge says what is known of what a namespace permits.
type judge struct {
	pod      *corev1.Pod
	isNew    bool
	security *api.LevelVersion // nil: not known
	modes    policies.Modes
	ours     *policies.Evaluator // nil: not asked
	ns       Namespace
}

func newJudge(ctx context.Context, t *target, ns Namespace) (*judge, error) {
	j := &judge{pod: t.pod, isNew: t.isNew, ns: ns}
	if !ns.Known {
		return j, nil
	}
	if _, set := ns.Labels[api.EnforceLevelLabel]; set {
		// Without the label, the cluster's default holds, which can't be read. A value
		// that is none is taken for restricted, as Pod Security does.
		all, _ := api.PolicyToEvaluate(ns.Labels, api.Policy{Enforce: api.LevelVersion{Level: api.LevelPrivileged, Version: api.LatestVersion()}})
		j.security = &all.Enforce
	}
	j.modes, _ = policies.ModesOf(ns.Labels, policies.Off)
	j.modes.Warn, j.modes.Audit = policies.Off, policies.Off
	if j.modes.Enforce == policies.Off {
		return j, nil
	}
	var err error
	if j.ours, err = policies.New(ctx); err != nil {
		return nil, fmt.Errorf("compiling the policies: %w", err)
	}
	return j, nil
}

// denials says why the container could not be added to the pod.
func (j *judge) denials(ctx context.Context, c *corev1.EphemeralContainer) ([]Denial, error) {
	pod := j.pod.DeepCopy()
	if j.isNew {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container(c.EphemeralContainerCommon))
	} else {
		pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, *c)
	}
	out, err := j.podSecurity(pod)
	if err != nil || j.ours == nil {
		return out, err
	}
	r := policies.Request{Namespace: pod.Namespace, Modes: j.modes, NamespaceAnnotations: j.ns.Annotations}
	if r.Pod, err = read(pod); err != nil {
		return nil, err
	}
	if !j.isNew {
		if r.Old, err = read(j.pod); err != nil {
			return nil, err
		}
	}
	result, err := j.ours.Evaluate(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("asking the policies: %w", err)
	}
	for _, v := range result.Violations {
		// What a pod is trimmed for it is not denied for.
		if v.Action == policies.Deny && len(v.Trim) == 0 {
			out = append(out, Denial{Policy: policies.EnforceLabel + " " + string(j.modes.Enforce), Rule: v.Rule, Message: v.Message, Fix: v.Fix})
		}
	}
	return out, nil
}

// ofThePod says so if it is the pod itself that its namespace does not permit any
// more: then no debug container changes that.
func (j *judge) ofThePod() (note string, err error) {
	denials, err := j.podSecurity(j.pod)
	if err != nil || len(denials) == 0 {
		return "", err
	}
	if j.isNew {
		return fmt.Sprintf("the pod itself does not pass %s, so no copy of it does", denials[0].Policy), nil
	}
	return fmt.Sprintf("the pod itself does not pass %s, it is older than the label; nothing can be added to it until it does", denials[0].Policy), nil
}

// podSecurity asks about the whole pod, as the API server does: what was in it
// before its namespace got the label stands in the way, too.
func (j *judge) podSecurity(pod *corev1.Pod) ([]Denial, error) {
	if j.security == nil {
		return nil, nil
	}
	evaluator, err := podSecurity()
	if err != nil {
		return nil, fmt.Errorf("preparing Pod Security's checks: %w", err)
	}
	var out []Denial
	for _, r := range evaluator.EvaluatePod(*j.security, &pod.ObjectMeta, &pod.Spec) {
		if !r.Allowed {
			out = append(out, Denial{
				Policy: "Pod Security " + j.security.String(), Rule: r.ForbiddenReason, Message: r.ForbiddenDetail,
			})
		}
	}
	return out, nil
}

// read makes of a pod what the policies read.
func read(pod *corev1.Pod) (*facts.Pod, error) {
	data, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("pod %s: %w", pod.Name, err)
	}
	out := &facts.Pod{}
	if err := json.NewDecoder(strings.NewReader(string(data))).Decode(out); err != nil {
		return nil, fmt.Errorf("pod %s: %w", pod.Name, err)
	}
	return out, nil
}
