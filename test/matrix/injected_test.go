package matrix

import (
	"context"
	"fmt"
	"strings"

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
func injectedPod(ctx context.Context, api client.Client, change func(*corev1.Pod)) (*corev1.Pod, error) {
	p := wanting("injected")
	if change != nil {
		change(p)
	}
	if err := api.Create(ctx, p, client.DryRunAll); err != nil {
		return nil, err
	}
	if status := p.Annotations["debugsidecar.io/status"]; !strings.Contains(status, `"tier":"kernel"`) {
		return nil, fmt.Errorf("the pod has no sidecar of the kernel tier: its status is %q", status)
	}
	return p, nil
}
