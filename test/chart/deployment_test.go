package chart

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

func TestWebhookRunsUnderTheRestrictedLevel(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	latest := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()}
	for name, values := range variants(t) {
		for _, d := range all[*appsv1.Deployment](render(t, values)) {
			pod := d.Spec.Template
			result := policy.AggregateCheckResults(evaluator.EvaluatePod(latest, &pod.ObjectMeta, &pod.Spec))
			if !result.Allowed {
				t.Errorf("%s: %s", name, result.ForbiddenDetail())
			}
			c := pod.Spec.Containers[0]
			if *pod.Spec.SecurityContext.RunAsUser != 65532 || !*c.SecurityContext.ReadOnlyRootFilesystem {
				t.Errorf("%s: runs as %d, may write to its root filesystem", name, *pod.Spec.SecurityContext.RunAsUser)
			}
			for _, m := range c.VolumeMounts {
				if m.SubPath != "" || m.SubPathExpr != "" || !m.ReadOnly {
					t.Errorf("%s: the mount at %s is not a whole read-only volume, so a change would not arrive", name, m.MountPath)
				}
			}
		}
	}
}

func TestThereIsAlwaysAWebhookToAsk(t *testing.T) {
	objects := render(t, "{}")
	d := only[*appsv1.Deployment](t, objects)
	if *d.Spec.Replicas != 2 || d.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue() != 0 {
		t.Errorf("%d replicas, of which %v may be away during an update", *d.Spec.Replicas, d.Spec.Strategy.RollingUpdate.MaxUnavailable)
	}
	pod := labels.Set(d.Spec.Template.Labels)
	for what, s := range map[string]*metav1.LabelSelector{
		"Deployment":           d.Spec.Selector,
		"PodDisruptionBudget":  only[*policyv1.PodDisruptionBudget](t, objects).Spec.Selector,
		"topology constraints": d.Spec.Template.Spec.TopologySpreadConstraints[0].LabelSelector,
		"Service":              {MatchLabels: only[*corev1.Service](t, objects).Spec.Selector},
	} {
		if !selects(t, s, pod) {
			t.Errorf("%s does not select the pods, labels %v", what, pod)
		}
	}
	port := only[*corev1.Service](t, objects).Spec.Ports[0]
	if port.Port != 443 || port.TargetPort.StrVal != "https" {
		t.Errorf("the Service has port %+v", port)
	}
	if ports := d.Spec.Template.Spec.Containers[0].Ports; ports[0].Name != "https" || ports[0].ContainerPort != 9443 {
		t.Errorf("the container has ports %+v", ports)
	}
}

func TestOneReplicaCanBeDrained(t *testing.T) {
	if b := all[*policyv1.PodDisruptionBudget](render(t, "replicas: 1")); len(b) > 0 {
		t.Error("there is a PodDisruptionBudget, so its node can't be drained")
	}
}

func TestWebhookOutsideTheClusterHasNoPods(t *testing.T) {
	objects := render(t, "external: {url: https://localhost:9443}")
	if len(all[*appsv1.Deployment](objects))+len(all[*corev1.Service](objects))+len(all[*policyv1.PodDisruptionBudget](objects)) > 0 {
		t.Error("there is a Deployment, Service or PodDisruptionBudget")
	}
}

func TestReleaseHoldsNoPrivateKey(t *testing.T) {
	s := only[*corev1.Secret](t, render(t, "{}"))
	if len(s.Data)+len(s.StringData) > 0 || s.Type != corev1.SecretTypeOpaque {
		t.Errorf("Secret of type %s with %d keys; Helm would record them", s.Type, len(s.Data)+len(s.StringData))
	}
}
