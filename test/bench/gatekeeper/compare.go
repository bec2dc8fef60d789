package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/debugsidecar/debugsidecar/policies/facts"
)

// compare asks both for every fixture of Pod Security, of all versions, and fails
// where another set of rules refuses one, or where a rule refuses none.
func compare(ctx context.Context, o *ours, g *gatekeeper) (int, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/pod-security-admission").Output()
	if err != nil {
		return 0, fmt.Errorf("finding the fixtures' module (run this in its own folder): %w", err)
	}
	files, err := filepath.Glob(filepath.Join(string(bytes.TrimSpace(out)), "test", "testdata", "*", "*", "*", "*.yaml"))
	if err != nil || len(files) < 500 {
		return 0, fmt.Errorf("%d fixtures of Pod Security, %v", len(files), err)
	}
	refusals := map[string]int{}
	for _, file := range files {
		request, raw, err := request(file)
		if err != nil {
			return 0, err
		}
		pod := &facts.Pod{}
		if err := json.Unmarshal(raw, pod); err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		want, err := o.review(ctx, pod)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		got, err := g.review(ctx, request)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		if !maps.Equal(got, want) {
			return 0, fmt.Errorf("%s: Gatekeeper refuses it by %v, we by %v", file, names(got), names(want))
		}
		for id := range want {
			refusals[id]++
		}
	}
	for _, r := range rules {
		if refusals[r.id] == 0 {
			return 0, fmt.Errorf("the rule %s refuses no fixture", r.id)
		}
	}
	return len(files), nil
}

func names(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// request is the admission request for the creation of a file's pod, and its raw
// object. A volume without a source becomes an emptyDir, as in an API server.
func request(file string) (*admissionv1.AdmissionRequest, []byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict(text, pod); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	for i := range pod.Spec.Volumes {
		if source := &pod.Spec.Volumes[i].VolumeSource; *source == (corev1.VolumeSource{}) {
			source.EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
	}
	pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	raw, err := json.Marshal(pod)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	return requestOf(raw), raw, nil
}

func requestOf(raw []byte) *admissionv1.AdmissionRequest {
	return &admissionv1.AdmissionRequest{
		UID:       "705ab4f5-6393-11e8-b7cc-42010a800002",
		Kind:      metav1.GroupVersionKind{Version: "v1", Kind: "Pod"},
		Resource:  metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
		Name:      "pod",
		Namespace: namespace,
		Operation: admissionv1.Create,
		Object:    runtime.RawExtension{Raw: raw},
	}
}
