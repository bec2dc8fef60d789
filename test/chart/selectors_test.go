package chart

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	admission "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/debugsidecar/debugsidecar/policies"
)

const (
	injectLabel = "debugsidecar.io/inject"
	nameLabel   = "kubernetes.io/metadata.name"
	missing     = "<missing>"
	excluded    = "storage" // by the value excludedNamespaces
	withPolicy  = "{excludedNamespaces: [" + excluded + "], policy: {default: %q}}"
)

// entry is what both kinds of webhook entries have in common.
type entry struct {
	name            string
	namespaces      *metav1.LabelSelector
	objects         *metav1.LabelSelector
	rules           []admission.RuleWithOperations
	failurePolicy   admission.FailurePolicyType
	sideEffects     admission.SideEffectClass
	matchPolicy     admission.MatchPolicyType
	timeoutSeconds  int32
	reviewVersions  []string
	clientConfig    admission.WebhookClientConfig
	matchConditions []admission.MatchCondition
}

func mutating(c *admission.MutatingWebhookConfiguration) []entry {
	var entries []entry
	for _, w := range c.Webhooks {
		entries = append(entries, entry{w.Name, w.NamespaceSelector, w.ObjectSelector, w.Rules, *w.FailurePolicy, *w.SideEffects,
			*w.MatchPolicy, *w.TimeoutSeconds, w.AdmissionReviewVersions, w.ClientConfig, w.MatchConditions})
	}
	return entries
}

func validating(c *admission.ValidatingWebhookConfiguration) []entry {
	var entries []entry
	for _, w := range c.Webhooks {
		entries = append(entries, entry{w.Name, w.NamespaceSelector, w.ObjectSelector, w.Rules, *w.FailurePolicy, *w.SideEffects,
			*w.MatchPolicy, *w.TimeoutSeconds, w.AdmissionReviewVersions, w.ClientConfig, w.MatchConditions})
	}
	return entries
}

// takes says whether the API server would send a request here, match conditions aside.
func (e entry) takes(t *testing.T, operation admission.OperationType, group, resource string, namespace, object map[string]string) bool {
	t.Helper()
	return e.hasRule(operation, group, resource) && selects(t, e.namespaces, namespace) && selects(t, e.objects, object)
}

func (e entry) hasRule(operation admission.OperationType, group, resource string) bool {
	return slices.ContainsFunc(e.rules, func(r admission.RuleWithOperations) bool {
		return slices.Contains(r.Operations, operation) && slices.Contains(r.APIGroups, group) && slices.Contains(r.Resources, resource)
	})
}

func selects(t *testing.T, s *metav1.LabelSelector, l map[string]string) bool {
	t.Helper()
	if s == nil {
		return true // the API server's default is an empty selector
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return selector.Matches(labels.Set(l))
}

// combinations returns every set of labels in which each key has one of the values.
func combinations(values []string, keys ...string) []map[string]string {
	sets := []map[string]string{{}}
	for _, key := range keys {
		var next []map[string]string
		for _, set := range sets {
			for _, v := range values {
				with := maps.Clone(set)
				if v != missing {
					with[key] = v
				}
				next = append(next, with)
			}
		}
		sets = next
	}
	return sets
}

const (
	// selfProbe is the entry that is about nobody's objects.
	selfProbe = "self-probe.debugsidecar.io"
	// kernelTier is the entry that says who gets into a container with a grant.
	kernelTier = "kernel-tier.debugsidecar.io"
	// imageTrust is the entry that may have to wait for a registry.
	imageTrust = "image-trust.debugsidecar.io"
)

// everyEntry calls f for each entry of each variant of the chart that is about
// what users make.
func everyEntry(t *testing.T, f func(t *testing.T, kind string, e entry)) {
	for name, values := range variants(t) {
		t.Run(name, func(t *testing.T) {
			objects := render(t, values)
			for _, e := range mutating(only[*admission.MutatingWebhookConfiguration](t, objects)) {
				f(t, "mutating", e)
			}
			for _, e := range validating(only[*admission.ValidatingWebhookConfiguration](t, objects)) {
				switch e.name {
				case selfProbe:
				case kernelTier:
					f(t, "entering", e)
				case imageTrust:
					f(t, "trusting", e)
				default:
					f(t, "validating", e)
				}
			}
		})
	}
}

func TestEveryEntryExcludesKubeSystemAndItsOwnNamespace(t *testing.T) {
	everyEntry(t, func(t *testing.T, _ string, e entry) {
		for _, r := range e.namespaces.MatchExpressions {
			if r.Key == nameLabel && r.Operator == metav1.LabelSelectorOpNotIn &&
				slices.Contains(r.Values, "kube-system") && slices.Contains(r.Values, namespace) {
				return
			}
		}
		t.Errorf("%s has no such requirement", e.name)
	})
}

func TestEveryEntryIsCheapToAskAndHasNoSideEffects(t *testing.T) {
	everyEntry(t, func(t *testing.T, kind string, e entry) {
		seconds := int32(2)
		if kind == "trusting" {
			seconds = 5
		}
		if e.sideEffects != admission.SideEffectClassNone || e.matchPolicy != admission.Equivalent || e.timeoutSeconds != seconds ||
			!slices.Equal(e.reviewVersions, []string{"v1"}) {
			t.Errorf("%s: %v %v %ds %v", e.name, e.sideEffects, e.matchPolicy, e.timeoutSeconds, e.reviewVersions)
		}
		for _, r := range e.rules {
			if r.Scope == nil || *r.Scope != admission.NamespacedScope {
				t.Errorf("%s has a rule without scope Namespaced", e.name)
			}
		}
		path := map[string]string{"mutating": "/mutate", "validating": "/validate", "entering": "/connect", "trusting": "/trust"}[kind]
		switch c := e.clientConfig; {
		case c.Service != nil && c.URL == nil && *c.Service.Path == path && *c.Service.Port == 443:
		case c.Service == nil && c.URL != nil && *c.URL == "https://localhost:9443"+path:
		default:
			t.Errorf("%s goes to %+v", e.name, c)
		}
	})
}

func TestOnlyEnforcementOfPodsCanRefuseWhenTheWebhookIsDown(t *testing.T) {
	everyEntry(t, func(t *testing.T, kind string, e entry) {
		if kind == "entering" || kind == "trusting" {
			return // what it can refuse is tested beside its match condition
		}
		if fails := e.failurePolicy == admission.Fail; fails != (e.name == "enforce.pods.debugsidecar.io") {
			t.Errorf("%s has failurePolicy %s", e.name, e.failurePolicy)
		}
		if e.failurePolicy == admission.Fail && e.hasRule(admission.Create, "apps", "deployments") {
			t.Errorf("%s can refuse workloads", e.name)
		}
	})
}

func TestValidatingEntriesReadNothingThatAPodsOwnerWrites(t *testing.T) {
	everyEntry(t, func(t *testing.T, kind string, e entry) {
		if kind == "validating" && e.objects != nil {
			t.Errorf("%s has an objectSelector", e.name)
		}
		if kind == "validating" && e.failurePolicy == admission.Fail {
			for _, c := range e.matchConditions {
				if strings.Contains(strings.ReplaceAll(c.Expression, "oldObject", ""), "object") {
					t.Errorf("%s: condition %s reads the object: %s", e.name, c.Name, c.Expression)
				}
			}
		}
	})
}

func TestEntriesAskForNoMoreThanTheyJudge(t *testing.T) {
	judged := []string{
		"CREATE /pods", "UPDATE /pods", "UPDATE /pods/ephemeralcontainers", "UPDATE /pods/resize",
	}
	for _, w := range []string{"apps/daemonsets", "apps/deployments", "apps/replicasets", "apps/statefulsets", "batch/cronjobs", "batch/jobs"} {
		judged = append(judged, "CREATE "+w, "UPDATE "+w)
	}
	want := map[string][]string{"mutating": {"CREATE /pods"}, "validating": judged,
		"entering": {"CONNECT /pods/exec", "CONNECT /pods/attach", "UPDATE /pods/ephemeralcontainers"}}
	want["trusting"] = []string{"CREATE /pods", "UPDATE /pods", "UPDATE /pods/ephemeralcontainers"}
	want["trimming"] = append(slices.Clone(want["mutating"]), "UPDATE /pods/ephemeralcontainers")
	everyEntry(t, func(t *testing.T, kind string, e entry) {
		if strings.HasSuffix(e.name, ".trim.debugsidecar.io") || e.name == "ephemeral.session.debugsidecar.io" {
			kind = "trimming"
		}
		for _, r := range e.rules {
			for _, o := range r.Operations {
				for _, g := range r.APIGroups {
					for _, res := range r.Resources {
						if ask := fmt.Sprintf("%s %s/%s", o, g, res); !slices.Contains(want[kind], ask) {
							t.Errorf("%s asks for %s", e.name, ask)
						}
					}
				}
			}
			if !slices.Equal(r.APIVersions, []string{"v1"}) {
				t.Errorf("%s asks for versions %v", e.name, r.APIVersions)
			}
		}
	})
}

// The design: a namespace's label is the default for its pods; a pod's own wins.
func TestPodIsSentForInjectionOnceAndExactlyWhenALabelAsksForIt(t *testing.T) {
	values := []string{missing, "", "disabled", "video-probe"}
	asks := func(l map[string]string) bool {
		v, ok := l[injectLabel]
		return ok && v != "disabled"
	}
	entries := mutating(only[*admission.MutatingWebhookConfiguration](t, render(t, fmt.Sprintf(withPolicy, "off"))))
	for _, name := range []string{"video", excluded, namespace, "kube-system"} {
		for _, ns := range combinations(values, injectLabel) {
			for _, pod := range combinations(values, injectLabel) {
				_, own := pod[injectLabel]
				want := name == "video" && (asks(pod) || !own && asks(ns))
				ns[nameLabel] = name
				var by []string
				for _, e := range entries {
					if e.takes(t, admission.Create, "", "pods", ns, pod) {
						by = append(by, e.name)
					}
				}
				if len(by) > 1 || (len(by) == 1) != want {
					t.Errorf("namespace %v, pod %v: sent to %v, want it sent: %v", ns, pod, by, want)
				}
			}
		}
	}
}

// The webhook's own reading of the labels says where a mode is on.
func TestRequestIsJudgedOnceAndExactlyWhereAModeIsOn(t *testing.T) {
	values := []string{missing, "", "off", "baseline", "restricted", "misspelt"}
	resources := []struct {
		operation       admission.OperationType
		group, resource string
	}{
		{admission.Create, "", "pods"},
		{admission.Update, "", "pods"},
		{admission.Update, "", "pods/ephemeralcontainers"},
		{admission.Update, "", "pods/resize"},
		{admission.Create, "apps", "deployments"},
		{admission.Update, "batch", "cronjobs"},
	}
	for _, level := range []string{"off", "baseline", "restricted"} {
		entries := validating(only[*admission.ValidatingWebhookConfiguration](t, render(t, fmt.Sprintf(withPolicy, level))))
		for _, name := range []string{"video", excluded, namespace, "kube-system"} {
			for _, ns := range combinations(values, policyLabel+"enforce", policyLabel+"warn", policyLabel+"audit") {
				modes, problems := policies.ModesOf(ns, policies.Level(level))
				enforced := modes.Enforce != policies.Off
				// Where a label is misspelt, the webhook is asked so that it can say so.
				want := name == "video" && (modes != policies.Modes{Enforce: policies.Off, Warn: policies.Off, Audit: policies.Off} || len(problems) > 0)
				ns[nameLabel] = name
				for _, r := range resources {
					var by []string
					policy := admission.Ignore
					for _, e := range entries {
						if e.takes(t, r.operation, r.group, r.resource, ns, nil) {
							by = append(by, e.name)
							policy = e.failurePolicy
						}
					}
					if len(by) > 1 || (len(by) == 1) != want {
						t.Errorf("default %s, namespace %v, %v: sent to %v, want it sent: %v", level, ns, r, by, want)
					}
					if refuses := policy == admission.Fail; refuses != (want && enforced && r.group == "") {
						t.Errorf("default %s, namespace %v, %v: sent to %v with failurePolicy %s", level, ns, r, by, policy)
					}
				}
			}
		}
	}
}

func TestSelfProbeIsAboutItsOwnDryRunsAlone(t *testing.T) {
	for name, values := range variants(t) {
		objects := render(t, values)
		all := validating(only[*admission.ValidatingWebhookConfiguration](t, objects))
		e := all[len(all)-1]
		if e.name != selfProbe || e.failurePolicy != admission.Fail || e.sideEffects != admission.SideEffectClassNone || e.timeoutSeconds != 2 {
			t.Fatalf("%s: the last entry is %+v", name, e)
		}
		const label = "debugsidecar.io/self-probe"
		if own := map[string]string{nameLabel: namespace}; !e.takes(t, admission.Create, "", "configmaps", own, map[string]string{label: "x"}) ||
			e.takes(t, admission.Create, "", "configmaps", own, nil) ||
			e.takes(t, admission.Create, "", "configmaps", map[string]string{nameLabel: "other"}, map[string]string{label: "x"}) ||
			e.takes(t, admission.Create, "", "pods", own, map[string]string{label: "x"}) || len(e.rules) != 1 {
			t.Errorf("%s: it takes something else: %+v", name, e)
		}
	}
}
