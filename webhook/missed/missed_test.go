package missed

import (
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

const label = "debugsidecar.io/inject"

// installation has the chart's two entries, from eleven o'clock on.
func installation(t *testing.T) *Installation {
	t.Helper()
	excluded := metav1.LabelSelectorRequirement{Key: "kubernetes.io/metadata.name", Operator: "NotIn", Values: []string{"kube-system", "excluded"}}
	exists := metav1.LabelSelectorRequirement{Key: label, Operator: "Exists"}
	enabled := metav1.LabelSelectorRequirement{Key: label, Operator: "NotIn", Values: []string{"disabled"}}
	absent := metav1.LabelSelectorRequirement{Key: label, Operator: "DoesNotExist"}
	is := func(r ...metav1.LabelSelectorRequirement) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchExpressions: r}
	}
	i, err := Of(&admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(noon.Add(-time.Hour))},
		Webhooks: []admissionv1.MutatingWebhook{
			// For all pods, but not for a sidecar.
			{Name: "ephemeral.session.debugsidecar.io", NamespaceSelector: is(excluded)},
			{Name: "namespace.inject.debugsidecar.io", NamespaceSelector: is(excluded, exists, enabled), ObjectSelector: is(absent)},
			{Name: "pod.inject.debugsidecar.io", NamespaceSelector: is(excluded), ObjectSelector: is(exists, enabled)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// object was created at noon; its label was written by a manager at some time.
func object(name, profile string, created, written time.Time) *metav1.ObjectMeta {
	m := &metav1.ObjectMeta{
		Name: name, CreationTimestamp: metav1.NewTime(created),
		Labels: map[string]string{"kubernetes.io/metadata.name": name},
	}
	if profile != "" {
		at := metav1.NewTime(written)
		m.Labels[label] = profile
		m.ManagedFields = []metav1.ManagedFieldsEntry{
			{Manager: "other", Time: &metav1.Time{Time: noon.Add(time.Hour)}, FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{"f:app":{}}}}`)},
			{Manager: "kubectl", Time: &at, FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{".":{},"f:` + label + `":{}}}}`)},
		}
	}
	return m
}

func TestWhyAPodWentWithout(t *testing.T) {
	early, late := noon.Add(-30*time.Minute), noon.Add(time.Minute)
	annotated := func(status string) *metav1.ObjectMeta {
		p := object("p", "video-probe", noon, noon)
		p.Annotations = map[string]string{"debugsidecar.io/status": status}
		return p
	}
	mirror := object("p", "video-probe", noon, noon)
	mirror.Annotations = map[string]string{"kubernetes.io/config.mirror": "x"}
	plain := object("apps", "", early, early)
	tests := []struct {
		name           string
		pod, namespace *metav1.ObjectMeta
		reason         Reason // empty: it did not go without
		detail         string
	}{
		{"its label was there", object("p", "video-probe", noon, noon), plain, NotReached, "did not answer"},
		{"its namespace's label was there", object("p", "", noon, noon), object("apps", "video-probe", early, early), NotReached, "did not answer"},
		{"its label came later", object("p", "video-probe", noon, late), plain, LabelLater, "the pod's label was written at 2026-11-26T12:01:00Z"},
		{"its namespace's label came later", object("p", "", noon, noon), object("apps", "video-probe", early, late), LabelLater, "labels of namespace apps"},
		{"it is older than the webhook", object("p", "video-probe", noon.Add(-2*time.Hour), late), plain, BeforeInstall, "older"},
		{"the profile was not there", annotated(`{"profile":"x","skipped":"there is no profile \"x\"; there are debug"}`), plain, ProfileUnknown, "there is no profile"},
		{"it was skipped", annotated(`{"profile":"debug","skipped":"quota tight"}`), plain, Skipped, "quota tight"},
		{"it was injected", annotated(`{"profile":"debug","revision":"012345678901"}`), plain, "", ""},
		{"an annotation that is none", annotated(`what`), plain, NotReached, "did not answer"},
		{"nothing asks for one", object("p", "", noon, noon), plain, "", ""},
		{"it wants none", object("p", "disabled", noon, noon), object("apps", "video-probe", early, early), "", ""},
		{"its namespace wants none", object("p", "", noon, noon), object("apps", "disabled", early, early), "", ""},
		{"an excluded namespace", object("p", "video-probe", noon, noon), object("excluded", "", early, early), "", ""},
		{"a mirror pod", mirror, plain, "", ""},
	}
	i := installation(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, missed := i.Why(test.pod, test.namespace)
			if missed != (test.reason != "") || got.Reason != test.reason || !strings.Contains(got.Detail, test.detail) {
				t.Errorf("got %+v, %v", got, missed)
			}
		})
	}
}
