package chart

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	certmanager "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	admission "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/debugsidecar/debugsidecar/test/cluster"
)

// outside makes the API server ask nobody who is there.
const outside = "external: {url: https://localhost:1}\n"

// outsideNamespaces are the objects of a release that are in no namespace.
func outsideNamespaces(release string) []client.Object {
	name := metav1.ObjectMeta{Name: release + "-debugsidecar"}
	labels := metav1.ObjectMeta{Name: release + "-debugsidecar-namespace-labels"}
	return []client.Object{
		&admission.MutatingWebhookConfiguration{ObjectMeta: name},
		&admission.ValidatingWebhookConfiguration{ObjectMeta: name},
		&admission.ValidatingAdmissionPolicy{ObjectMeta: labels},
		&admission.ValidatingAdmissionPolicyBinding{ObjectMeta: labels},
		&rbacv1.ClusterRole{ObjectMeta: name},
		&rbacv1.ClusterRoleBinding{ObjectMeta: name},
	}
}

func TestEveryVariantIsAcceptedByTheAPIServer(t *testing.T) {
	c := realCluster(t)
	certManagerTypes(t, c)
	operatorTypes(t, c)
	makeNamespace(t, c, "variants", nil)
	for name, values := range variants(t) {
		t.Run(name, func(t *testing.T) {
			text, err := template(t, values, "--namespace", "variants")
			if err != nil {
				t.Fatal(err)
			}
			admin := user(t, c, "")
			for _, o := range decode(t, text) {
				if pod, ok := o.(*corev1.Pod); ok {
					pod.Spec.ServiceAccountName = "default" // a dry run makes no other
				}
				if err := admin.Create(t.Context(), o, client.DryRunAll); err != nil {
					t.Errorf("%T: %v", o, err)
				}
			}
		})
	}
}

func TestDeletingTheNamespaceRemovesEverything(t *testing.T) {
	c := realCluster(t)
	install(t, c, "owned", outside)
	admin := user(t, c, "")
	for _, o := range outsideNamespaces("owned") {
		if err := admin.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			t.Fatal(err)
		}
		owners := o.GetOwnerReferences()
		if len(owners) != 1 || owners[0].Kind != "Namespace" || owners[0].Name != "owned" {
			t.Errorf("%T is owned by %v", o, owners)
		}
	}
	if err := admin.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "owned"}}); err != nil {
		t.Fatal(err)
	}
	for _, o := range outsideNamespaces("owned") {
		eventually(t, "garbage collection", func() error { return gone(t, c, o) })
	}
}

func TestUninstallLeavesNothingBehind(t *testing.T) {
	c := realCluster(t)
	install(t, c, "leaving", outside)
	writeCA(t, c, "leaving", "first")
	objects := decode(t, helm(t, c, "", "get", "manifest", "leaving", "--namespace", "leaving"))
	helm(t, c, "", "uninstall", "leaving", "--namespace", "leaving")
	for _, o := range objects {
		eventually(t, "uninstalling", func() error { return gone(t, c, o) })
	}
	// And it can come back.
	helm(t, c, outside, "install", "leaving", chartDir, "--namespace", "leaving", "--values", "-")
}

// writeCA does what the webhook does once its CA is made.
func writeCA(t *testing.T, c *cluster.Cluster, release, content string) {
	t.Helper()
	admin := user(t, c, "")
	name := client.ObjectKey{Name: release + "-debugsidecar"}
	secret := &corev1.Secret{}
	if err := admin.Get(t.Context(), client.ObjectKey{Namespace: release, Name: name.Name + "-ca"}, secret); err != nil {
		t.Fatal(err)
	}
	secret.Data = map[string][]byte{"tls.crt": []byte(content), "tls.key": []byte(content), "ca.crt": []byte(content)}
	if err := admin.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	bundle := certificate(t, content)
	m := &admission.MutatingWebhookConfiguration{}
	if err := admin.Get(t.Context(), name, m); err != nil {
		t.Fatal(err)
	}
	for i := range m.Webhooks {
		m.Webhooks[i].ClientConfig.CABundle = bundle
	}
	if err := admin.Update(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	v := &admission.ValidatingWebhookConfiguration{}
	if err := admin.Get(t.Context(), name, v); err != nil {
		t.Fatal(err)
	}
	for i := range v.Webhooks {
		v.Webhooks[i].ClientConfig.CABundle = bundle
	}
	if err := admin.Update(t.Context(), v); err != nil {
		t.Fatal(err)
	}
}

// checkCA says where another CA than content is. An entry may have none if it
// was not among the entries before: the webhook will write it.
func checkCA(t *testing.T, c *cluster.Cluster, release, content string, before []entry) {
	t.Helper()
	secret := &corev1.Secret{}
	if err := user(t, c, "").Get(t.Context(), client.ObjectKey{Namespace: release, Name: release + "-debugsidecar-ca"}, secret); err != nil {
		t.Fatal(err)
	}
	if len(secret.Data) != 3 || string(secret.Data["tls.key"]) != content {
		t.Errorf("the Secret holds %q", secret.Data)
	}
	bundle := certificate(t, content)
	for _, e := range entries(t, c, release) {
		isNew := !slices.ContainsFunc(before, func(b entry) bool { return b.name == e.name })
		if got := e.clientConfig.CABundle; !bytes.Equal(got, bundle) && !(isNew && len(got) == 0) {
			t.Errorf("%s has the caBundle %q", e.name, got)
		}
	}
}

// entries are those of both configurations in the cluster.
func entries(t *testing.T, c *cluster.Cluster, release string) []entry {
	t.Helper()
	m, v := &admission.MutatingWebhookConfiguration{}, &admission.ValidatingWebhookConfiguration{}
	for _, o := range []client.Object{m, v} {
		if err := user(t, c, "").Get(t.Context(), client.ObjectKey{Name: release + "-debugsidecar"}, o); err != nil {
			t.Fatal(err)
		}
	}
	return append(mutating(m), validating(v)...)
}

func TestCASurvivesUpgradesAndRollbacks(t *testing.T) {
	c := realCluster(t)
	for _, serverSide := range []string{"true", "false"} {
		t.Run("server-side="+serverSide, func(t *testing.T) {
			release := "upgrade-" + serverSide
			how := []string{"--namespace", release, "--server-side=" + serverSide}
			makeNamespace(t, c, release, nil)
			helm(t, c, outside, append([]string{"install", release, chartDir, "--values", "-"}, how...)...)
			uninstallAtEnd(t, c, release)
			for _, values := range []string{
				outside + "policy: {default: baseline}",
				outside + "excludedNamespaces: [storage]",
				"external: {url: https://localhost:2}",
				outside,
			} {
				writeCA(t, c, release, "first")
				before := entries(t, c, release)
				helm(t, c, values, append([]string{"upgrade", release, chartDir, "--values", "-"}, how...)...)
				checkCA(t, c, release, "first", before)
			}
			writeCA(t, c, release, "second")
			before := entries(t, c, release)
			helm(t, c, "", append([]string{"rollback", release, "3"}, how...)...)
			checkCA(t, c, release, "second", before)
		})
	}
}

// cert-manager's Secrets stay when its Certificates go; they must not stand in
// the way of ours, nor ours of theirs.
func TestModeOfCertificatesCanChange(t *testing.T) {
	c := realCluster(t)
	certManagerTypes(t, c)
	install(t, c, "modes", "{}")
	admin := user(t, c, "")
	writeCA(t, c, "modes", "first")
	upgrade := func(values string) {
		helm(t, c, values, "upgrade", "modes", chartDir, "--namespace", "modes", "--values", "-")
	}
	upgrade("certificates: {mode: cert-manager}")
	certificates := &certmanager.CertificateList{}
	if err := admin.List(t.Context(), certificates, client.InNamespace("modes")); err != nil || len(certificates.Items) != 2 {
		t.Fatalf("%d certificates, %v", len(certificates.Items), err)
	}
	for _, issued := range certificates.Items { // as cert-manager does
		err := admin.Create(t.Context(), &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "modes", Name: issued.Spec.SecretName},
			Type:       corev1.SecretTypeTLS,
			Data:       map[string][]byte{"tls.crt": {}, "tls.key": {}},
		})
		if err != nil {
			t.Errorf("%s: %v", issued.Name, err)
		}
	}
	upgrade("certificates: {mode: self-managed}")
	upgrade("certificates: {mode: cert-manager}")
}

func TestTheEntryThatCanRefuseIsNeverNew(t *testing.T) {
	for _, level := range []string{"off", "baseline", "restricted"} {
		first := validating(only[*admission.ValidatingWebhookConfiguration](t, render(t, fmt.Sprintf(withPolicy, level))))[0]
		if first.name != "enforce.pods.debugsidecar.io" || first.failurePolicy != admission.Fail {
			t.Errorf("with the default %s it is %s", level, first.name)
		}
	}
}

func TestHelmSaysThatANewNamespaceOwnsNothing(t *testing.T) {
	c := realCluster(t)
	makeNamespace(t, c, "late", nil) // waits, and removes what Helm will make
	late := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "late"}}
	if err := user(t, c, "").Delete(t.Context(), late.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "deletion", func() error { return gone(t, c, late) })
	out := helm(t, c, outside, "install", "late", chartDir, "--namespace", "late", "--create-namespace", "--values", "-")
	uninstallAtEnd(t, c, "late")
	const note = "Namespace late did not exist yet"
	if !bytes.Contains([]byte(out), []byte(note)) {
		t.Errorf("it does not say %q:\n%s", note, out)
	}
	out = helm(t, c, outside, "upgrade", "late", chartDir, "--namespace", "late", "--values", "-")
	if bytes.Contains([]byte(out), []byte(note)) {
		t.Errorf("it still says %q", note)
	}
	for _, o := range outsideNamespaces("late") {
		if err := user(t, c, "").Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			t.Fatal(err)
		}
		if len(o.GetOwnerReferences()) != 1 {
			t.Errorf("%T has no owner after the upgrade", o)
		}
	}
}
