package chart

import (
	"fmt"
	"testing"

	admission "k8s.io/api/admissionregistration/v1"
	authorization "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestServiceAccountMayDoWhatTheWebhookDoesAndNoMore(t *testing.T) {
	c := realCluster(t)
	install(t, c, "rights", "{}")
	const (
		account = "system:serviceaccount:rights:rights-debugsidecar"
		own     = "rights-debugsidecar"
		hooks   = "admissionregistration.k8s.io"
	)
	admin := user(t, c, "")
	may := func(a authorization.ResourceAttributes) (bool, error) {
		review := &authorization.SubjectAccessReview{Spec: authorization.SubjectAccessReviewSpec{User: account, ResourceAttributes: &a}}
		err := admin.Create(t.Context(), review)
		return review.Status.Allowed, err
	}
	eventually(t, "RBAC takes effect", func() error {
		if ok, err := may(authorization.ResourceAttributes{Verb: "list", Resource: "namespaces"}); !ok {
			return fmt.Errorf("not yet: %v", err)
		}
		return nil
	})
	for _, c := range []struct {
		verb, group, resource, namespace, name string
		want                                   bool
	}{
		{"watch", "", "namespaces", "", "", true},
		{"list", "", "limitranges", "", "", true},
		{"watch", "", "resourcequotas", "", "", true},
		{"update", "", "namespaces", "", "video", false},
		{"list", "", "pods", "", "", true},
		{"watch", "", "pods", "", "", true},
		{"get", "", "pods", "default", "app", true},
		// What a policy limits to copies: test/sessions.
		{"delete", "", "pods", "default", "app", true},
		{"deletecollection", "", "pods", "default", "", false},
		{"create", "", "pods", "default", "", false},
		{"update", "", "pods", "default", "app", false},
		{"patch", "", "pods", "default", "app", false},
		{"create", "events.k8s.io", "events", "default", "", true},

		{"update", "coordination.k8s.io", "leases", "rights", own, true},
		{"update", "coordination.k8s.io", "leases", "rights", "somebody-elses", false},
		{"create", "coordination.k8s.io", "leases", "rights", "", true},
		{"create", "coordination.k8s.io", "leases", "default", "", false},
		{"create", "", "configmaps", "rights", "", true},
		{"create", "", "configmaps", "default", "", false},
		{"update", "", "configmaps", "rights", own + "-config", false},
		{"update", "", "configmaps", "rights", own + "-canary", true},
		{"watch", "", "configmaps", "rights", own + "-canary", true},
		{"list", "", "configmaps", "rights", "", false},
		{"create", "", "events", "rights", "", true},
		{"create", "", "events", "default", "", false},
		{"get", "", "configmaps", "rights", "rights-debugsidecar-config", false},

		{"list", hooks, "mutatingwebhookconfigurations", "", "", false},
		{"watch", hooks, "validatingwebhookconfigurations", "", own, true},
		{"update", hooks, "mutatingwebhookconfigurations", "", own, true},
		{"update", hooks, "validatingwebhookconfigurations", "", own, true},
		{"update", hooks, "validatingwebhookconfigurations", "", "somebody-elses", false},
		{"update", hooks, "mutatingwebhookconfigurations", "", "somebody-elses", false},
		{"create", hooks, "mutatingwebhookconfigurations", "", "", false},
		{"delete", hooks, "mutatingwebhookconfigurations", "", own, false},
		{"update", hooks, "validatingadmissionpolicies", "", own + "-namespace-labels", false},

		{"get", "", "secrets", "rights", own + "-ca", true},
		{"update", "", "secrets", "rights", own + "-ca", true},
		{"create", "", "secrets", "rights", "", true},
		{"delete", "", "secrets", "rights", own + "-ca", false},
		{"get", "", "secrets", "rights", "other", false},
		{"list", "", "secrets", "rights", "", false},
		{"get", "", "secrets", "default", own + "-ca", false},

		{"create", "", "pods", "rights", "", false},
	} {
		ok, err := may(authorization.ResourceAttributes{Verb: c.verb, Group: c.group, Resource: c.resource, Namespace: c.namespace, Name: c.name})
		if err != nil || ok != c.want {
			t.Errorf("%s %s/%s %s in %q: %v, want %v (%v)", c.verb, c.group, c.resource, c.name, c.namespace, ok, c.want, err)
		}
	}

	// As the webhook's cache reads them: a list and a watch that name the object.
	webhook := user(t, c, account, "system:serviceaccounts")
	for name, list := range map[string]client.ObjectList{
		own + "-ca": &corev1.SecretList{},
		own:         &admission.ValidatingWebhookConfigurationList{},
	} {
		one := &client.ListOptions{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, name)}
		if _, ok := list.(*corev1.SecretList); ok {
			one.Namespace = "rights"
		}
		if err := webhook.List(t.Context(), list, one); err != nil || meta.LenList(list) != 1 {
			t.Errorf("listing %s: %d items, %v", name, meta.LenList(list), err)
		}
		watch, err := webhook.Watch(t.Context(), list, one)
		if err != nil {
			t.Errorf("watching %s: %v", name, err)
			continue
		}
		watch.Stop()
	}
}

func TestReportsMayBeKeptOnlyWhereTheAuditIsOn(t *testing.T) {
	c := realCluster(t)
	const reports = "wgpolicyk8s.io"
	admin := user(t, c, "")
	for _, test := range []struct {
		release, values string
		want            bool
	}{
		{"off", "{}", false},
		{"no-reports", "audit: {enabled: true, reports: {enabled: false}}", false},
		{"reports-off", "audit: {enabled: false, reports: {enabled: true}}", false},
		{"on", "audit: {enabled: true}", true},
	} {
		install(t, c, test.release, test.values)
		may := func(verb, group, resource, name string) error {
			review := &authorization.SubjectAccessReview{Spec: authorization.SubjectAccessReviewSpec{
				User:               "system:serviceaccount:" + test.release + ":" + test.release + "-debugsidecar",
				ResourceAttributes: &authorization.ResourceAttributes{Verb: verb, Group: group, Resource: resource, Namespace: "default", Name: name},
			}}
			if err := admin.Create(t.Context(), review); err != nil || !review.Status.Allowed {
				return fmt.Errorf("%s may not %s %s: %v", test.release, verb, resource, err)
			}
			return nil
		}
		eventually(t, "RBAC takes effect", func() error { return may("list", "", "namespaces", "") })
		for _, verb := range []string{"get", "list", "create", "update", "delete"} {
			if test.want {
				eventually(t, "the reports' role takes effect", func() error { return may(verb, reports, "policyreports", "") })
			} else if may(verb, reports, "policyreports", "") == nil {
				t.Errorf("%s may %s policyreports", test.release, verb)
			}
		}
		if may("watch", reports, "policyreports", "") == nil || may("list", "rbac.authorization.k8s.io", "clusterroles", "") == nil {
			t.Errorf("%s may do more than it needs", test.release)
		}
	}
}
