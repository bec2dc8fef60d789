package debug

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// workload is a kind of object that has pods.
type workload struct {
	kind  string // as people write it
	names []string
	path  string // of its API group and version
	many  string // in URLs
}

const cronJob = "cronjob"

var workloads = []workload{
	{"deployment", []string{"deployments", "deploy"}, "/apis/apps/v1", "deployments"},
	{"statefulset", []string{"statefulsets", "sts"}, "/apis/apps/v1", "statefulsets"},
	{"daemonset", []string{"daemonsets", "ds"}, "/apis/apps/v1", "daemonsets"},
	{"replicaset", []string{"replicasets", "rs"}, "/apis/apps/v1", "replicasets"},
	{"replicationcontroller", []string{"replicationcontrollers", "rc"}, "/api/v1", "replicationcontrollers"},
	{"job", []string{"jobs"}, "/apis/batch/v1", "jobs"},
	{cronJob, []string{"cronjobs", "cj"}, "/apis/batch/v1", "cronjobs"},
	{"service", []string{"services", "svc"}, "/api/v1", "services"},
}

// maxPods is how many pods of a workload are looked at.
const maxPods = 500

// named is what the user named: a pod, or what has pods.
type named struct {
	pod      string
	workload *workload
	name     string
}

func parseNamed(text string) (named, error) {
	kind, name, slash := strings.Cut(text, "/")
	if !slash {
		return named{pod: text}, nil
	}
	if name == "" || strings.Contains(name, "/") {
		return named{}, fmt.Errorf("%q is neither a pod nor TYPE/NAME", text)
	}
	// deployments.apps, too: as kubectl prints it.
	kind, _, _ = strings.Cut(strings.ToLower(kind), ".")
	if slices.Contains([]string{"pod", "pods", "po"}, kind) {
		return named{pod: name}, nil
	}
	var kinds []string
	for i := range workloads {
		if w := &workloads[i]; kind == w.kind || slices.Contains(w.names, kind) {
			return named{workload: w, name: name}, nil
		}
		kinds = append(kinds, workloads[i].kind)
	}
	return named{}, fmt.Errorf("%q has no pods to debug; there are pod, %s", kind, strings.Join(kinds, ", "))
}

// get reads a pod, with an error for people.
func (c *client) get(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	pod, err := c.core.Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("there is no pod %s in namespace %s", name, namespace)
	case apierrors.IsForbidden(err):
		return nil, fmt.Errorf("you may not get pods in namespace %s: %s", namespace, allowed)
	case err != nil:
		return nil, fmt.Errorf("reading pod %s/%s: %w", namespace, name, err)
	}
	return pod, nil
}

// allowed is the way out for who lacks a right.
const allowed = "ask for the role of debugging (see docs/debug.md, \"What it takes\")"

// podsOf lists the pods of a workload that are there to stay, the ones that run
// first.
func (c *client) podsOf(ctx context.Context, namespace string, r named) ([]corev1.Pod, error) {
	what := r.workload.kind + "/" + r.name
	data, err := c.core.RESTClient().Get().AbsPath(r.workload.path, "namespaces", namespace, r.workload.many, r.name).
		SetHeader("Accept", "application/json").Do(ctx).Raw()
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("there is no %s in namespace %s", what, namespace)
	case apierrors.IsForbidden(err):
		return nil, fmt.Errorf("you may not get %s in namespace %s: name the pod itself", r.workload.many, namespace)
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	selector := ""
	if r.workload.kind == cronJob {
		selector, err = c.podsOfJobs(ctx, namespace, data)
	} else {
		selector, err = selectorOf(data)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	list, err := c.core.Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector, Limit: maxPods})
	if apierrors.IsForbidden(err) {
		return nil, fmt.Errorf("you may not list pods in namespace %s: name the pod itself", namespace)
	}
	if err != nil {
		return nil, fmt.Errorf("listing the pods of %s: %w", what, err)
	}
	pods := slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
	if len(pods) == 0 {
		return nil, fmt.Errorf("%s has no pods", what)
	}
	slices.SortStableFunc(pods, func(a, b corev1.Pod) int { return rank(&a) - rank(&b) })
	return pods, nil
}

func rank(pod *corev1.Pod) int {
	switch pod.Status.Phase {
	case corev1.PodRunning:
		return 0
	case corev1.PodPending:
		return 1
	}
	return 2
}

// selectorOf reads the selector of a workload, in either of the forms that kinds
// have.
func selectorOf(object []byte) (string, error) {
	var w struct {
		Spec struct {
			Selector json.RawMessage `json:"selector"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(object, &w); err != nil {
		return "", fmt.Errorf("reading it: %w", err)
	}
	var plain map[string]string
	if json.Unmarshal(w.Spec.Selector, &plain) == nil {
		if len(plain) == 0 {
			return "", errors.New("it selects no pods")
		}
		return labels.SelectorFromSet(plain).String(), nil
	}
	var selector metav1.LabelSelector
	if err := json.Unmarshal(w.Spec.Selector, &selector); err != nil {
		return "", fmt.Errorf("reading its selector: %w", err)
	}
	s, err := metav1.LabelSelectorAsSelector(&selector)
	if err != nil {
		return "", fmt.Errorf("reading its selector: %w", err)
	}
	if s.Empty() {
		return "", errors.New("it selects no pods")
	}
	return s.String(), nil
}

// describe is a pod's line in a choice.
func describe(pod *corev1.Pod, now time.Time) string {
	age := now.Sub(pod.CreationTimestamp.Time).Round(time.Second)
	text := fmt.Sprintf("%s  %s, for %s", pod.Name, stateOf(pod), age)
	if pod.Spec.NodeName != "" {
		text += ", on " + pod.Spec.NodeName
	}
	return text
}

// stateOf is a pod's state in a word, as kubectl's table has it.
func stateOf(pod *corev1.Pod) string {
	for i := range pod.Status.ContainerStatuses {
		if w := pod.Status.ContainerStatuses[i].State.Waiting; w != nil && w.Reason != "" {
			return w.Reason
		}
	}
	if pod.Status.Phase == "" {
		return "Pending"
	}
	return string(pod.Status.Phase)
}
