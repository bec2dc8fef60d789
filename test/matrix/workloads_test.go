package matrix

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var workloadKinds = []string{"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob"}

// workload makes a workload of the kind whose pods are like the given one.
func workload(kind, name string, pod *corev1.Pod) client.Object {
	l := map[string]string{"app": "x"}
	for k, v := range pod.Labels {
		l[k] = v
	}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: l, Annotations: pod.Annotations}, Spec: *pod.Spec.DeepCopy()}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}
	meta := metav1.ObjectMeta{Namespace: pod.Namespace, Name: name}
	switch kind {
	case "Deployment":
		return &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Selector: selector, Template: template}}
	case "ReplicaSet":
		return &appsv1.ReplicaSet{ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{Selector: selector, Template: template}}
	case "StatefulSet":
		return &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: selector, Template: template}}
	case "DaemonSet":
		return &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}}
	}
	template.Spec.RestartPolicy = corev1.RestartPolicyNever
	job := batchv1.JobSpec{Template: template}
	if kind == "Job" {
		return &batchv1.Job{ObjectMeta: meta, Spec: job}
	}
	return &batchv1.CronJob{ObjectMeta: meta, Spec: batchv1.CronJobSpec{Schedule: "0 0 1 1 *", JobTemplate: batchv1.JobTemplateSpec{Spec: job}}}
}

// makeWorkloads makes one of each kind, which breaks nothing, in each namespace.
// Nobody turns them into pods.
func makeWorkloads(t *testing.T, api client.Client) {
	t.Helper()
	for _, namespace := range []string{"matrix-baseline", "matrix-restricted", granted} {
		for _, kind := range workloadKinds {
			pod := clean()
			pod.Namespace = namespace
			if err := api.Create(t.Context(), workload(kind, strings.ToLower(kind), pod)); err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
		}
	}
}

// updatedWorkload is the one that is there, with another pod.
func updatedWorkload(t *testing.T, api client.Client, kind string, pod *corev1.Pod) (client.Object, error) {
	t.Helper()
	next := workload(kind, strings.ToLower(kind), pod)
	now := next.DeepCopyObject().(client.Object)
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(next), now); err != nil {
		return nil, err
	}
	if job, ok := next.(*batchv1.Job); ok { // what the API server wrote there
		template := now.(*batchv1.Job).Spec.Template
		for k, v := range template.Labels {
			job.Spec.Template.Labels[k] = v
		}
		job.Spec.Selector = now.(*batchv1.Job).Spec.Selector
	}
	next.SetResourceVersion(now.GetResourceVersion())
	return next, nil
}
