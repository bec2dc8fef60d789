package copy

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug/internal/genpod"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug/shape"
)

// fields are those of a pod's spec, and whether a copy may have them. A new one
// has to be thought about.
var fields = map[string]bool{
	"Volumes": true, "InitContainers": true, "Containers": true, "RestartPolicy": true, "ActiveDeadlineSeconds": true, "DNSPolicy": true,
	"NodeSelector": true, "ServiceAccountName": true, "AutomountServiceAccountToken": true, "HostNetwork": true, "ShareProcessNamespace": true,
	"SecurityContext": true, "ImagePullSecrets": true, "Affinity": true, "SchedulerName": true, "Tolerations": true, "HostAliases": true,
	"DNSConfig": true, "ReadinessGates": true, "RuntimeClassName": true, "EnableServiceLinks": true, "OS": true, "HostUsers": true, "Resources": true,

	"EphemeralContainers": false, "TerminationGracePeriodSeconds": false, "DeprecatedServiceAccount": false, "NodeName": false, "HostPID": false,
	"HostIPC": false, "Hostname": false, "Subdomain": false, "PriorityClassName": false, "Priority": false, "PreemptionPolicy": false,
	"Overhead": false, "TopologySpreadConstraints": false, "SetHostnameAsFQDN": false, "SchedulingGates": false, "ResourceClaims": false,
	"HostnameOverride": false, "SchedulingGroup": false, "EvictionResponders": false,
}

func TestEachFieldOfAPodHasBeenThoughtAbout(t *testing.T) {
	spec := reflect.TypeFor[corev1.PodSpec]()
	for i := range spec.NumField() {
		if _, known := fields[spec.Field(i).Name]; !known {
			t.Errorf("whether a copy has PodSpec.%s is not decided", spec.Field(i).Name)
		}
	}
}

var genSelector = rapid.Custom(func(t *rapid.T) map[string]string {
	return rapid.SampledFrom([]map[string]string{
		{}, {"app": "web"}, {"team": "video"}, {"app": "web", "team": "video"}, {"app": "web", "pod-template-hash": "6f5d"}, {"tier": "front"}, {"app": "db"},
	}).Draw(t, "selector")
})

var genNeighbours = rapid.Custom(func(t *rapid.T) Neighbours {
	var n Neighbours
	for range rapid.IntRange(0, 3).Draw(t, "services") {
		n.Services = append(n.Services, service("web", rapid.Bool().Draw(t, "publishNotReadyAddresses"), pairs(genSelector.Draw(t, "service"))...))
	}
	for range rapid.IntRange(0, 3).Draw(t, "policies") {
		p := networkPolicy(pairs(genSelector.Draw(t, "policy"))...)
		if rapid.Bool().Draw(t, "peer") {
			p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: genSelector.Draw(t, "from")}}}}}
		}
		n.NetworkPolicies = append(n.NetworkPolicies, p)
	}
	for range rapid.IntRange(0, 3).Draw(t, "controllers") {
		c := Controller{Kind: rapid.SampledFrom([]string{"ReplicaSet", "DaemonSet", "StatefulSet", "PodDisruptionBudget"}).Draw(t, "kind"), Name: "x", Selector: &metav1.LabelSelector{MatchLabels: genSelector.Draw(t, "controller")}}
		if len(c.Selector.MatchLabels) == 0 {
			c.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpExists}}
		}
		n.Controllers = append(n.Controllers, c)
	}
	for _, claim := range []string{"data", "camera-0-ephemeral"} {
		if rapid.Bool().Draw(t, claim) {
			n.Claims = append(n.Claims, corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: claim}, Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{rapid.SampledFrom([]corev1.PersistentVolumeAccessMode{"ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod", "ReadOnlyMany"}).Draw(t, "mode")},
			}})
		}
	}
	unknown := func(name string) bool { return rapid.IntRange(0, 5).Draw(t, name) == 5 }
	n.Unknown = Unknown{unknown("no services"), unknown("no policies"), unknown("no controllers"), unknown("no claims")}
	if n.Unknown.Services {
		n.Services = nil
	}
	if n.Unknown.NetworkPolicies {
		n.NetworkPolicies = nil
	}
	if n.Unknown.Controllers {
		n.Controllers = nil
	}
	if n.Unknown.Claims {
		n.Claims = nil
	}
	return n
})

func pairs(of map[string]string) []string {
	var out []string
	for k, v := range of {
		out = append(out, k, v)
	}
	return out
}

func TestEveryCopy(t *testing.T) { rapid.Check(t, everyCopy) }

func FuzzEveryCopy(f *testing.F) { f.Fuzz(rapid.MakeFuzz(everyCopy)) }

func everyCopy(t *rapid.T) {
	pod, n, o := genpod.Pod.Draw(t, "pod"), genNeighbours.Draw(t, "neighbours"), options()
	ns := shape.Namespace{Known: rapid.Bool().Draw(t, "known"), Labels: map[string]string{"pod-security.kubernetes.io/enforce": rapid.SampledFrom([]string{"baseline", "restricted", "privileged"}).Draw(t, "level")}}
	o.Target = genpod.Target(t, pod)
	o.RunInit = rapid.Bool().Draw(t, "init")
	if rapid.Bool().Draw(t, "sleep") {
		o.HoldImage = ""
	}
	before := pod.DeepCopy()
	p, err := Of(t.Context(), pod, n, ns, o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, pod); diff != "" {
		t.Fatalf("the pod changed: %s", diff)
	}
	again, err := Of(t.Context(), pod.DeepCopy(), n, ns, o)
	if diff := cmp.Diff(p, again); err != nil || diff != "" {
		t.Fatalf("the same gave another plan: %v %s", err, diff)
	}
	for _, text := range slices.Concat(p.Notes, []string{p.PullNote}) {
		checkText(t, text)
	}
	all := slices.Clone(p.Candidates)
	for _, r := range p.Refused {
		all = append(all, r.Candidate)
	}
	if len(all) == 0 {
		t.Fatal("no copy was made")
	}
	for i := range all {
		checkCopy(t, pod, &n, &o, &all[i])
	}
	checkLevel(t, pod, n, o)
}

// checkLevel fails unless a copy passes what its original passes.
func checkLevel(t *rapid.T, pod *corev1.Pod, n Neighbours, o Options) {
	o.Profile = shape.Restricted
	p, err := Of(t.Context(), pod, n, shape.Namespace{}, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, level := range []api.Level{api.LevelBaseline, api.LevelRestricted} {
		if why := problem(t, p.Candidates[0].Pod, level); why != "" && problem(t, pod, level) == "" {
			t.Fatalf("the original passes %s, the copy does not: %s", level, why)
		}
	}
}

func problem(t *rapid.T, pod *corev1.Pod, level api.Level) string {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r := policy.AggregateCheckResults(evaluator.EvaluatePod(api.LevelVersion{Level: level, Version: api.LatestVersion()}, &pod.ObjectMeta, &pod.Spec))
	if r.Allowed {
		return ""
	}
	return r.ForbiddenDetail()
}

func checkText(t *rapid.T, text string) {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Fatalf("a terminal could take this for a command: %q", text)
	}
}

func checkCopy(t *rapid.T, original *corev1.Pod, n *Neighbours, o *Options, c *Candidate) {
	spec := reflect.ValueOf(c.Pod.Spec)
	for i := range spec.NumField() {
		if name := spec.Type().Field(i).Name; !fields[name] && !spec.Field(i).IsZero() {
			t.Fatalf("the copy has %s", name)
		}
	}
	for _, text := range c.LeavesOut {
		checkText(t, text)
	}
	if errs := validation.IsDNS1123Subdomain(c.Pod.Name); len(errs) > 0 || len(c.Pod.Name) > 63 || c.Pod.Name == original.Name {
		t.Fatalf("name %q: %v", c.Pod.Name, errs)
	}
	if len(c.Pod.OwnerReferences) != 1 || c.Pod.OwnerReferences[0].Controller != nil || c.Pod.OwnerReferences[0].BlockOwnerDeletion != nil {
		t.Fatalf("owners %+v", c.Pod.OwnerReferences)
	}
	if g := c.Pod.Spec.ReadinessGates; len(g) != 1 || g[0].ConditionType != NeverReady {
		t.Fatalf("readiness gates %+v", g)
	}
	if len(c.Pod.Spec.Containers) != 1 || c.Pod.Spec.Containers[0].Name != o.Name || *c.Pod.Spec.ActiveDeadlineSeconds != 3600 {
		t.Fatalf("containers %+v, deadline %d", c.Pod.Spec.Containers, *c.Pod.Spec.ActiveDeadlineSeconds)
	}
	volumes := map[string]bool{}
	for _, v := range c.Pod.Spec.Volumes {
		if v.Ephemeral != nil || isOurs(v.Name) {
			t.Fatalf("volume %+v", v)
		}
		volumes[v.Name] = true
	}
	for _, x := range slices.Concat(c.Pod.Spec.InitContainers, c.Pod.Spec.Containers) {
		if x.LivenessProbe != nil || x.ReadinessProbe != nil || x.StartupProbe != nil || x.Lifecycle != nil || x.Ports != nil || isOurs(x.Name) && x.Name != o.Target {
			t.Fatalf("container %+v", x)
		}
		if !o.RunInit && !slices.Contains([]string{o.Target, holdName, o.Name}, x.Name) {
			t.Fatalf("%s runs", x.Name)
		}
		for _, mount := range x.VolumeMounts {
			if !volumes[mount.Name] {
				t.Fatalf("%s mounts %s, which is not there", x.Name, mount.Name)
			}
		}
		for _, e := range x.Env {
			if x.Name != o.Name && strings.HasPrefix(e.Name, "DEBUGSIDECAR_") {
				t.Fatalf("%s has %s", x.Name, e.Name)
			}
		}
	}
	checkLabels(t, n, c)
}

// checkLabels fails if anything takes the copy for one of its own and that does
// harm.
func checkLabels(t *rapid.T, n *Neighbours, c *Candidate) {
	set := labels.Set(c.Pod.Labels)
	if set["debugsidecar.io/inject"] != "disabled" {
		t.Fatal("the copy gets a sidecar")
	}
	for _, s := range n.Services {
		if s.Spec.PublishNotReadyAddresses && len(s.Spec.Selector) > 0 && labels.SelectorFromSet(s.Spec.Selector).Matches(set) {
			t.Fatalf("Service %v selects %v", s.Spec.Selector, set)
		}
	}
	for _, x := range n.Controllers {
		selector, err := metav1.LabelSelectorAsSelector(x.Selector)
		if err != nil {
			t.Fatal(err)
		}
		if (x.Kind == "ReplicaSet" || x.Kind == "DaemonSet") && selector.Matches(set) {
			t.Fatalf("%s %v selects %v", x.Kind, x.Selector, set)
		}
	}
}
