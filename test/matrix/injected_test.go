package matrix

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// wanting is a pod, in the namespace with a grant, that asks for the sidecar.
func wanting(name string) *corev1.Pod {
	p := clean()
	p.Namespace, p.Name = granted, name
	p.Labels = map[string]string{"debugsidecar.io/inject": injectedProfile}
	return p
}

// injectedPod is what comes back when such a pod is made: with its sidecar, in
// the kernel tier, and what the API server's own plug-ins changed.
//
// A webhook that is late gets another try: its entry's failurePolicy is Ignore.
func injectedPod(ctx context.Context, api client.Client, change func(*corev1.Pod)) (*corev1.Pod, error) {
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		p := wanting("injected")
		if change != nil {
			change(p)
		}
		if err := api.Create(ctx, p, client.DryRunAll); err != nil {
			return nil, err
		}
		status := p.Annotations["debugsidecar.io/status"]
		if strings.Contains(status, `"tier":"kernel"`) && sidecarOf(p) != nil {
			return p, nil
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("the pod has no sidecar of the kernel tier: its status is %q", status)
		}
	}
}
