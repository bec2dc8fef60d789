package cluster

import (
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	admissionv1 "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	appsv1 "k8s.io/client-go/kubernetes/typed/apps/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/ask"
)

// client has the API groups that are read, and no others: the clientset of all
// is megabytes.
type client struct {
	config    *rest.Config
	core      corev1.CoreV1Interface
	apps      appsv1.AppsV1Interface
	admission admissionv1.AdmissionregistrationV1Interface
	sidecars  *ask.Client
}

func newClient(config *rest.Config) (*client, error) {
	core, err1 := corev1.NewForConfig(config)
	apps, err2 := appsv1.NewForConfig(config)
	admission, err3 := admissionv1.NewForConfig(config)
	sidecars, err4 := ask.New(config)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, fmt.Errorf("connecting to the API server: %w", err)
	}
	return &client{config, core, apps, admission, sidecars}, nil
}

// notKnown says what could not be read, and why.
func notKnown(verb, what string, err error) string {
	if apierrors.IsForbidden(err) {
		return "not known: you may not " + verb + " " + what
	}
	return fmt.Sprintf("not known: %s can't be read: %v", what, err)
}
