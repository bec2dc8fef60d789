package status

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	clustercommands "github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/cluster"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/offline"
	"github.com/debugsidecar/debugsidecar/test/install"
	"github.com/debugsidecar/debugsidecar/webhook/audit"
)

// reportIn is a namespace's PolicyReport, by the API server's own schema.
func reportIn(t *testing.T, ns string) (*audit.Report, error) {
	t.Helper()
	data, err := env.client.RESTClient().Get().AbsPath("/apis/wgpolicyk8s.io/v1alpha2/namespaces/" + ns + "/policyreports/debugsidecar").Do(t.Context()).Raw()
	if err != nil {
		return nil, err
	}
	r := &audit.Report{}
	return r, json.Unmarshal(data, r)
}

// told is what a report says, as "pod rule result" lines.
func told(r *audit.Report) []string {
	var lines []string
	for i := range r.Results {
		lines = append(lines, strings.Join([]string{r.Results[i].Resources[0].Name, r.Results[i].Rule, r.Results[i].Result}, " "))
	}
	slices.Sort(lines)
	return lines
}

// says waits until a namespace's report does.
func says(t *testing.T, ns string, pass int, want ...string) *audit.Report {
	t.Helper()
	var r *audit.Report
	eventually(t, "the report of "+ns, func() (err error) {
		if r, err = reportIn(t, ns); err != nil {
			return err
		}
		if got := told(r); !slices.Equal(got, want) || r.Summary.Pass != pass {
			return fmt.Errorf("it says %v, and passes %d pods", got, r.Summary.Pass)
		}
		return nil
	})
	return r
}

func label(t *testing.T, ns, pod string, labels map[string]any) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels}})
	if err != nil {
		t.Fatal(err)
	}
	if pod != "" {
		_, err = env.client.CoreV1().Pods(ns).Patch(t.Context(), pod, types.MergePatchType, patch, metav1.PatchOptions{})
	} else {
		_, err = env.client.CoreV1().Namespaces().Patch(t.Context(), ns, types.MergePatchType, patch, metav1.PatchOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func createPod(t *testing.T, ns, name string, change func(*corev1.PodSpec)) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "registry.example/app:1"}}},
	}
	change(&pod.Spec)
	if _, err := env.client.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// leader is the replica that audits, by its metrics.
func leader(t *testing.T) (*install.Replica, float64) {
	t.Helper()
	var found *install.Replica
	var at float64
	eventually(t, "a leader that audits", func() error {
		for _, r := range env.installation.Running() {
			if v, err := r.Metric("debugsidecar_audit_oldest_timestamp_seconds"); err == nil && v > 0 {
				found, at = r, v
				return nil
			}
		}
		return fmt.Errorf("none has an audit")
	})
	return found, at
}

// roundsPass waits until each namespace was audited again.
func roundsPass(t *testing.T) {
	t.Helper()
	begin := float64(time.Now().UnixMilli()) / 1000
	eventually(t, "an audit", func() error {
		if _, at := leader(t); at < begin {
			return fmt.Errorf("the oldest is of %v, before %v", at, begin)
		}
		return nil
	})
}

func TestTheAuditFindsWhatRunsAlready(t *testing.T) {
	const ns = "audited"
	if err := env.installation.Upgrade(t.Context(), "audit: {enabled: true}"); err != nil {
		t.Fatal(err)
	}
	namespace(t, ns, nil)
	sidecar := func(s *corev1.PodSpec) {
		always := corev1.ContainerRestartPolicyAlways
		s.InitContainers = []corev1.Container{{Name: "debugsidecar-video-probe", Image: "registry.example/evil:1", RestartPolicy: &always}}
	}
	createPod(t, ns, "good", func(*corev1.PodSpec) {})
	createPod(t, ns, "host", func(s *corev1.PodSpec) { s.HostPID = true })
	createPod(t, ns, "forged", sidecar)
	createPod(t, ns, "drifted", sidecar)
	label(t, ns, "drifted", map[string]any{"debugsidecar.io/inject": "video-probe"})
	create(t, ns, "injected", "video-probe")
	if _, err := reportIn(t, ns); err == nil {
		t.Error("there is a report without a level")
	}
	label(t, ns, "", map[string]any{"policy.debugsidecar.io/enforce": "baseline"})

	// Of the two with a container under our name, neither is ours; the one that is
	// to have it has drifted, which is a warning.
	want := []string{"drifted reserved-names warn", "forged reserved-names fail", "host host-namespaces fail"}
	r := says(t, ns, 2, want...)
	if len(r.OwnerReferences) != 1 || r.OwnerReferences[0].Name != "debugsidecar-audit" {
		t.Errorf("it is owned by %+v", r.OwnerReferences)
	}
	first, _ := leader(t)
	if v, err := first.Metric(`debugsidecar_audit_findings{audited_namespace="audited",level="baseline",rule="host-namespaces"}`); err != nil || v != 1 {
		t.Errorf("the metric is %v, %v", v, err)
	}

	t.Run("an audit that finds the same writes nothing", func(t *testing.T) {
		roundsPass(t)
		roundsPass(t)
		again := says(t, ns, 2, want...)
		if again.ResourceVersion != r.ResourceVersion {
			t.Error("the report was written again")
		}
	})

	t.Run("the command line finds the same, and shows the report", func(t *testing.T) {
		code, out, errs := plugin(t, "audit", "-n", ns, "-o", "json")
		var list struct {
			Items []struct {
				Pods, Clean int
				Findings    []audit.Finding
			}
			NotKnown []string
		}
		if err := json.Unmarshal([]byte(out), &list); err != nil || code != 1 || len(list.NotKnown) != 0 || len(list.Items) != 1 {
			t.Fatalf("status %d, %v\n%s%s", code, err, out, errs)
		}
		var got []string
		for _, f := range list.Items[0].Findings {
			got = append(got, strings.Join([]string{f.Pod, f.Rule, map[string]string{"deny": "fail", "warn": "warn"}[string(f.Action)]}, " "))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) || list.Items[0].Pods != 5 || list.Items[0].Clean != 2 {
			t.Errorf("it found %v in %+v", got, list.Items[0])
		}
		code, out, _ = plugin(t, "audit", "-A", "--report")
		if code != 0 || !strings.Contains(out, "host-namespaces") || !strings.Contains(out, "namespace audited: 5 pods, 2 without a finding; 2 findings would be denied, 1 are warnings") {
			t.Errorf("status %d\n%s", code, out)
		}
		if code, out, errs = plugin(t, "audit", "-n", "default"); code != 0 || !strings.Contains(errs, "has no level") {
			t.Errorf("status %d\n%s%s", code, out, errs)
		}
		if code, out, _ = plugin(t, "audit", "-A", "--level", "restricted"); code != 1 || !strings.Contains(out, "run-as-non-root") || strings.Contains(out, "namespace kube-system") {
			t.Errorf("status %d\n%s", code, out)
		}
	})

	t.Run("somebody with few rights is told what is not known", func(t *testing.T) {
		config := person(t, ns)
		code, out, errs := pluginAs(t, config, "audit", "-n", ns, "--level", "baseline")
		if code != 1 || !strings.Contains(out, "host-namespaces") {
			t.Errorf("status %d\n%s%s", code, out, errs)
		}
		for _, word := range []string{"defaults are used: not known", "which namespaces are excluded", "labels of namespace audited"} {
			if !strings.Contains(errs, word) {
				t.Errorf("nothing of %q:\n%s", word, errs)
			}
		}
		for _, c := range []struct {
			args  []string
			words string
		}{
			{[]string{"audit", "-n", ns}, "give --level"},
			{[]string{"audit", "-A"}, "with -n"},
			{[]string{"audit", "-n", "default", "--level", "baseline"}, "you may not list them"},
			{[]string{"audit", "-n", ns, "--report"}, "you may not list policyreports"},
			{[]string{"audit", "-n", ns, "--report", "--level", "baseline"}, "leave out --level"},
			{[]string{"audit", "-n", ns, "--level", "strict"}, "neither baseline nor restricted"},
		} {
			if code, out, errs := pluginAs(t, config, c.args...); code != 1 || !strings.Contains(errs, c.words) {
				t.Errorf("%v: status %d\n%s%s", c.args, code, out, errs)
			}
		}
	})

	t.Run("a leader that was killed is followed by one that makes the report right", func(t *testing.T) {
		killed, _ := leader(t)
		killed.Kill()
		patch := []byte(`{"summary":{"fail":0},"results":[]}`)
		if err := env.client.RESTClient().Patch(types.MergePatchType).AbsPath("/apis/wgpolicyk8s.io/v1alpha2/namespaces/" + ns + "/policyreports/debugsidecar").Body(patch).Do(t.Context()).Error(); err != nil {
			t.Fatal(err)
		}
		if err := env.client.CoreV1().Pods(ns).Delete(t.Context(), "forged", metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
			t.Fatal(err)
		}
		// It could not give its lease back; a minute of waiting is saved here.
		free := []byte(`{"spec":{"holderIdentity":""}}`)
		if _, err := env.client.CoordinationV1().Leases(env.installation.Namespace).Patch(t.Context(), "debugsidecar", types.MergePatchType, free, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		says(t, ns, 2, want[0], want[2])
		startTwo(t)
	})

	t.Run("a report goes with its level", func(t *testing.T) {
		label(t, ns, "", map[string]any{"policy.debugsidecar.io/enforce": nil})
		eventually(t, "the report goes", func() error {
			if r, err := reportIn(t, ns); err == nil {
				return fmt.Errorf("it says %v", told(r))
			}
			return nil
		})
		label(t, ns, "", map[string]any{"policy.debugsidecar.io/enforce": "baseline"})
		says(t, ns, 2, want[0], want[2])
	})

	t.Run("all reports go when the audit is switched off", func(t *testing.T) {
		if err := env.installation.Upgrade(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		// Kubernetes' collector looks for new kinds every half minute.
		for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(200 * time.Millisecond) {
			r, err := reportIn(t, ns)
			if err != nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("it is still there: %v", told(r))
			}
		}
	})
}

// person returns the kubeconfig of somebody who may list the pods of a namespace.
func person(t *testing.T, ns string) string {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	meta := metav1.ObjectMeta{Name: "person", Namespace: ns}
	_, err1 := env.client.CoreV1().ServiceAccounts(ns).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{})
	_, err2 := env.client.RbacV1().Roles(ns).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}},
	}}, metav1.CreateOptions{})
	_, err3 := env.client.RbacV1().RoleBindings(ns).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "person"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "person", Namespace: ns}},
	}, metav1.CreateOptions{})
	token, _, err4 := env.cluster.Kubectl(ctx, "", "create", "token", "person", "--namespace", ns)
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(env.dir, "webhook.kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	before, _, found := strings.Cut(string(text), "token: ")
	if !found {
		t.Fatal("the webhook's kubeconfig has no token")
	}
	path := filepath.Join(t.TempDir(), "person.kubeconfig")
	content := before + fmt.Sprintf("token: %q}}]\ncontexts: [{name: webhook, context: {cluster: c, user: webhook}}]\ncurrent-context: webhook\n", strings.TrimSpace(token))
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pluginAs runs the command line as somebody.
func pluginAs(t *testing.T, kubeconfig string, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	streams := genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &stdout, ErrOut: &stderr}
	code = offline.Main(t.Context(), append(args, "--kubeconfig", kubeconfig), streams, clustercommands.Commands(streams)...)
	return code, stdout.String(), stderr.String()
}
