package e2e

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func greedy(name string) *corev1.Pod {
	pod := ingest(name, nil)
	pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{
		Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}},
	}
	return pod
}

func TestADenialSaysWhatWhereWhyAndTheWayOut(t *testing.T) {
	ns := namespace(t, map[string]string{enforceLabel: "baseline"})
	_, err := env.client.CoreV1().Pods(ns).Create(t.Context(), greedy("greedy"), metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) {
		t.Fatalf("got %v, want a denial", err)
	}
	mustMention(t, err.Error(), `container "ingest"`, "spec.containers[0].securityContext.capabilities.add", "SYS_ADMIN",
		"rule capabilities", `to pass: remove "SYS_ADMIN"`)
	pod := greedy("modest")
	pod.Spec.Containers[0].SecurityContext.Capabilities.Add = nil // what the message says
	create(t, ns, pod)
}

func TestNothingIsEnforcedWhereNobodyAskedForIt(t *testing.T) {
	for name, labels := range map[string]map[string]string{"no label": nil, "off": {enforceLabel: "off"}} {
		t.Run(name, func(t *testing.T) {
			create(t, namespace(t, labels), greedy("greedy"))
			if w := env.warnings.take(); w != "" {
				t.Errorf("warned: %s", w)
			}
		})
	}
}

func TestWarnOnlyWarns(t *testing.T) {
	ns := namespace(t, map[string]string{"policy.debugsidecar.io/warn": "baseline"})
	create(t, ns, greedy("greedy"))
	mustMention(t, env.warnings.take(), "SYS_ADMIN", "to pass")
}

func TestWorkloadsWhosePodsWouldBeDeniedAreWarnedAbout(t *testing.T) {
	ns := namespace(t, map[string]string{enforceLabel: "baseline"})
	labels := map[string]string{"app": "x"}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: greedy("x").Spec}
	selector := &metav1.LabelSelector{MatchLabels: labels}
	once := template.DeepCopy()
	once.Spec.RestartPolicy = corev1.RestartPolicyNever
	meta := metav1.ObjectMeta{Name: "x"}
	opts := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	apps, batch := env.client.AppsV1(), env.client.BatchV1()
	for kind, make := range map[string]func() (runtime.Object, error){
		"Deployment": func() (runtime.Object, error) {
			return apps.Deployments(ns).Create(t.Context(), &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Selector: selector, Template: template}}, opts)
		},
		"ReplicaSet": func() (runtime.Object, error) {
			return apps.ReplicaSets(ns).Create(t.Context(), &appsv1.ReplicaSet{ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{Selector: selector, Template: template}}, opts)
		},
		"StatefulSet": func() (runtime.Object, error) {
			return apps.StatefulSets(ns).Create(t.Context(), &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: selector, Template: template}}, opts)
		},
		"DaemonSet": func() (runtime.Object, error) {
			return apps.DaemonSets(ns).Create(t.Context(), &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}}, opts)
		},
		"Job": func() (runtime.Object, error) {
			return batch.Jobs(ns).Create(t.Context(), &batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Template: *once}}, opts)
		},
		"CronJob": func() (runtime.Object, error) {
			return batch.CronJobs(ns).Create(t.Context(), &batchv1.CronJob{ObjectMeta: meta, Spec: batchv1.CronJobSpec{
				Schedule: "0 0 * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: *once}}}}, opts)
		},
	} {
		t.Run(kind, func(t *testing.T) {
			env.warnings.take()
			if _, err := make(); err != nil {
				t.Fatalf("it was refused: %v", err)
			}
			path := "spec.template.spec"
			if kind == "CronJob" {
				path = "spec.jobTemplate.spec.template.spec"
			}
			mustMention(t, env.warnings.take(), "would be denied", path+".containers[0].securityContext.capabilities.add")
		})
	}
}

func TestEphemeralContainersAreJudged(t *testing.T) {
	ns := namespace(t, map[string]string{enforceLabel: "baseline"})
	pod := create(t, ns, ingest("target", nil))
	yes := true
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: "root", Image: "registry.example/tools:1", SecurityContext: &corev1.SecurityContext{Privileged: &yes},
	}}}
	_, err := env.client.CoreV1().Pods(ns).UpdateEphemeralContainers(t.Context(), pod.Name, pod, metav1.UpdateOptions{})
	if !apierrors.IsForbidden(err) {
		t.Fatalf("got %v, want a denial", err)
	}
	mustMention(t, err.Error(), "spec.ephemeralContainers[0].securityContext.privileged")
	pod.Spec.EphemeralContainers[0].SecurityContext = nil
	if _, err := env.client.CoreV1().Pods(ns).UpdateEphemeralContainers(t.Context(), pod.Name, pod, metav1.UpdateOptions{}); err != nil {
		t.Fatalf("a modest one is refused: %v", err)
	}
}

func TestAPodThatBrokeTheRulesBeforeTheyCameCanBeUpdatedResizedAndDeleted(t *testing.T) {
	ns := namespaceOnce(t, "rules-came-later", nil)
	pod := greedy("old")
	pod.Finalizers = []string{"example.com/hold"}
	old := create(t, ns, pod)
	namespaceOnce(t, ns, map[string]string{enforceLabel: "restricted"})
	old.Labels = map[string]string{"touched": "yes"}
	old, err := env.client.CoreV1().Pods(ns).Update(t.Context(), old, metav1.UpdateOptions{})
	if err != nil {
		t.Fatalf("a label can't be changed: %v", err)
	}
	old.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("50m")
	old, err = env.client.CoreV1().Pods(ns).UpdateResize(t.Context(), old.Name, old, metav1.UpdateOptions{})
	if err != nil {
		t.Fatalf("it can't be resized: %v", err)
	}
	if err := env.client.CoreV1().Pods(ns).Delete(t.Context(), old.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatalf("it can't be deleted: %v", err)
	}
	eventually(t, "the finalizer goes", func() error {
		current, err := env.client.CoreV1().Pods(ns).Get(t.Context(), old.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		current.Finalizers = nil
		_, err = env.client.CoreV1().Pods(ns).Update(t.Context(), current, metav1.UpdateOptions{})
		return err
	})
}

func TestAContainerUnderOurNameThatWeDidNotRenderIsReplacedOrRefused(t *testing.T) {
	ns := namespace(t, map[string]string{enforceLabel: "baseline"})
	forged := labelled("forged")
	forged.Spec.Containers = append(forged.Spec.Containers, corev1.Container{Name: sidecar, Image: "registry.example/evil:1"})
	pod := create(t, ns, forged)
	mustHaveSidecar(t, pod)
	if pod.Spec.InitContainers[0].Image == "registry.example/evil:1" || len(pod.Spec.Containers) != 1 {
		t.Errorf("the forged container stayed: %+v", pod.Spec)
	}
	for name, labels := range map[string]map[string]string{
		"no-label":        nil,
		"unknown-profile": {injectLabel: "video-probe"},
	} {
		t.Run(name, func(t *testing.T) {
			forged := ingest(name, labels)
			container := sidecar
			if labels != nil {
				container = "debugsidecar-nobody"
			}
			forged.Spec.Containers = append(forged.Spec.Containers, corev1.Container{Name: container, Image: "registry.example/evil:1"})
			_, err := env.client.CoreV1().Pods(ns).Create(t.Context(), forged, metav1.CreateOptions{})
			if !apierrors.IsForbidden(err) {
				t.Fatalf("got %v, want a denial", err)
			}
			mustMention(t, err.Error(), container)
		})
	}
}

func TestOnlyAdministratorsSetOurNamespaceLabels(t *testing.T) {
	ns := namespace(t, map[string]string{enforceLabel: "restricted"})
	_, _, err := env.cluster.Kubectl(t.Context(), "", "create", "clusterrolebinding", "e2e-namespace-owner",
		"--clusterrole=cluster-admin", "--user=owner")
	if err != nil && !strings.Contains(err.Error(), "already exists") {
		t.Fatal(err)
	}
	config := rest.CopyConfig(env.cluster.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "owner"}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the reservation of our labels", func() error {
		object, err := client.CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{})
		if err != nil {
			return err
		}
		object.Labels[enforceLabel] = "off"
		_, err = client.CoreV1().Namespaces().Update(t.Context(), object, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil {
			return errNotDenied
		}
		if !strings.Contains(err.Error(), "policy.debugsidecar.io") {
			return err // a conflict, or a policy that is not compiled yet
		}
		return nil
	})
	object, err := client.CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	object.Labels["team"] = "video"
	if _, err := client.CoreV1().Namespaces().Update(t.Context(), object, metav1.UpdateOptions{}); err != nil {
		t.Errorf("another label can't be set: %v", err)
	}
}
