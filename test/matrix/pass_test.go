package matrix

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// needGranted makes the namespace that has a grant, once.
func needGranted(t *testing.T) {
	t.Helper()
	if _, err := env.client.CoreV1().Namespaces().Get(t.Context(), granted, metav1.GetOptions{}); err == nil {
		return
	}
	makeNamespace(t, granted, map[string]string{
		"policy.debugsidecar.io/enforce": "baseline", "policy.debugsidecar.io/warn": "restricted",
	})
	eventually(t, "the webhook injects and judges in "+granted, func() error {
		_, err := injectedPod(t.Context(), newAPI(t), nil)
		return err
	})
}

// checkPoison adds a container for debugging to each pod that has a bad one: it
// is admitted, with a word about what is there already. A second bad one is not.
func checkPoison(t *testing.T, api client.Client, all []*row) {
	var tried atomic.Int32
	parallel(len(all), func(i int) {
		r := all[i]
		if r.place != inEphemeral || r.bad == nil {
			return
		}
		tried.Add(1)
		good := secure("good")
		if r.bad.Spec.OS != nil {
			good.SecurityContext = nil
		}
		next := r.bad.DeepCopy()
		next.Spec.EphemeralContainers = append(next.Spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon(good)})
		ctx, said := listen(t.Context())
		if err := api.SubResource("ephemeralcontainers").Update(ctx, next, opts()); err != nil {
			t.Errorf("%s: the pod can't be debugged any more: %v", r.clause, err)
		} else if !r.evidence().MatchString(said()) {
			t.Errorf("%s: nobody is told what is there already: %q", r.clause, said())
		}
		next = r.bad.DeepCopy()
		again := secure("again")
		if r.bad.Spec.OS != nil {
			again.SecurityContext = nil
		}
		r.container(&again)
		next.Spec.EphemeralContainers = append(next.Spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon(again)})
		if err := api.SubResource("ephemeralcontainers").Update(t.Context(), next, opts()); err == nil || !strings.Contains(err.Error(), again.Name) {
			t.Errorf("%s: a second one passes: %v", r.clause, err)
		}
	})
	if tried.Load() < 10 {
		t.Errorf("only %d pods had a bad ephemeral container: this shows little", tried.Load())
	}
}

// checkPasses updates, deletes and ends each pod that broke a rule before it came.
func checkPasses(t *testing.T, api client.Client, all []*row) {
	var tried atomic.Int32
	parallel(len(all), func(i int) {
		r := all[i]
		if r.bad == nil {
			return
		}
		tried.Add(1)
		ctx, said := listen(t.Context())
		touched := r.bad.DeepCopy()
		touched.Labels = map[string]string{"touched": "yes"}
		if r.granted {
			touched.Labels["debugsidecar.io/inject"] = injectedProfile
		}
		touched.Spec.Tolerations = append(touched.Spec.Tolerations, corev1.Toleration{Key: "example.com/a", Operator: corev1.TolerationOpExists})
		if err := api.Update(ctx, touched, client.DryRunAll); err != nil || strings.Contains(said(), "debugsidecar:") {
			t.Errorf("%s, in %s: a label and a toleration: %v, warned of %q", r.clause, r.place, err, said())
		}
		if err := endPod(ctx, api, r); err != nil {
			t.Errorf("%s, in %s: its end: %v", r.clause, r.place, err)
		}
		if strings.Contains(said(), "debugsidecar:") {
			t.Errorf("%s, in %s: warned of %q", r.clause, r.place, said())
		}
	})
	if tried.Load() < 30 {
		t.Errorf("only %d pods were tried: this shows little", tried.Load())
	}
}

// endPod deletes the bad pod, which waits for its finalizer; that goes together
// with a change that the rules would refuse in a living pod.
func endPod(ctx context.Context, api client.Client, r *row) error {
	pod := r.bad.DeepCopy()
	if err := api.Delete(ctx, pod, client.GracePeriodSeconds(0)); err != nil {
		return err
	}
	if err := api.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
		return err
	}
	if r.place != inEphemeral {
		r.at(pod).Image = "registry.example/app:3"
	}
	pod.Finalizers = nil
	if err := api.Update(ctx, pod); err != nil {
		return err
	}
	if err := api.Get(ctx, client.ObjectKeyFromObject(pod), pod); !apierrors.IsNotFound(err) {
		return err
	}
	return nil
}
