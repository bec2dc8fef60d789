package probes

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func pod(t *testing.T, text string) *corev1.Pod {
	t.Helper()
	var p corev1.Pod
	if err := yaml.UnmarshalStrict([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	return &p
}

const (
	annotated = `
metadata: {namespace: cameras, name: ingest, uid: u1, annotations: {debugsidecar.io/status: '{"profile":"mine","port":9403}'}}
spec:
  initContainers: [{name: debugsidecar-mine, ports: [{name: x, containerPort: 9403}]}]
  containers: [{name: app}]
status:
  phase: Running
  initContainerStatuses: [{name: debugsidecar-mine, containerID: "containerd://1", state: {running: {}}}]`
	offline = `
metadata: {namespace: cameras, name: ingest}
spec: {containers: [{name: app}, {name: debugsidecar-full, ports: [{name: dbgsc-metrics, containerPort: 9400}]}]}
status:
  phase: Pending
  containerStatuses: [{name: debugsidecar-full, state: {waiting: {reason: "ImagePull\u001b[2JBackOff"}}}]`
)

func TestTheProbeOfAPod(t *testing.T) {
	p, ok := Of(pod(t, annotated))
	if want := (Probe{Namespace: "cameras", Pod: "ingest", UID: "u1", Container: "debugsidecar-mine", ID: "containerd://1", Port: 9403}); !ok || p != want {
		t.Errorf("a profile of one's own: %+v, %v", p, ok)
	}
	p, ok = Of(pod(t, offline))
	if !ok || p.Container != "debugsidecar-full" || p.Port != 9400 || !strings.HasPrefix(p.Waits, "ImagePull") || strings.Contains(p.Waits, "\x1b") {
		t.Errorf("injected offline: %+v, %v", p, ok)
	}
	p, _ = Of(pod(t, strings.Replace(annotated, "{running: {}}", "{terminated: {reason: Error, exitCode: 3}}", 1)))
	if p.ID != "" || p.Waits != "it ended: Error, exit status 3" {
		t.Errorf("ended: %+v", p)
	}
	for name, text := range map[string]string{
		"none":                      "spec: {containers: [{name: app}]}",
		"skipped":                   strings.Replace(annotated, `"port":9403`, `"skipped":"no"`, 1),
		"an annotation without one": strings.Replace(annotated, "debugsidecar-mine, ports", "other, ports", 1),
		"a port that it has not":    strings.Replace(annotated, "containerPort: 9403", "containerPort: 22", 1),
		"a profile without metrics": strings.Replace(annotated, `"port":9403`, `"port":0`, 1),
		"the pod has ended":         strings.Replace(annotated, "phase: Running", "phase: Succeeded", 1),
	} {
		if p, ok := Of(pod(t, text)); ok {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if p, ok := Of(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "empty"}}); ok {
		t.Errorf("empty: %+v", p)
	}
}
