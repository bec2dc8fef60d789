package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/webhook/config"
)

// where says where the installation is; empty parts are looked for.
type where struct{ namespace, name string }

// ourEntry is in each of our mutating webhook configurations, whatever its name.
const ourEntry = "pod.inject.debugsidecar.io"

// helmNamespace is an annotation that Helm sets on all objects of a release.
const helmNamespace = "meta.helm.sh/release-namespace"

var errNotInstalled = errors.New("there is no webhook configuration with the entry " + ourEntry + ": debugsidecar is not installed in this cluster")

// mutating finds our configuration. Of several, the name has to be given.
func (c *client) mutating(ctx context.Context, w where) (*admissionv1.MutatingWebhookConfiguration, error) {
	if w.name != "" {
		return c.admission.MutatingWebhookConfigurations().Get(ctx, w.name, metav1.GetOptions{})
	}
	list, err := c.admission.MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var found []*admissionv1.MutatingWebhookConfiguration
	for i := range list.Items {
		if slices.ContainsFunc(list.Items[i].Webhooks, func(w admissionv1.MutatingWebhook) bool { return w.Name == ourEntry }) {
			found = append(found, &list.Items[i])
		}
	}
	switch len(found) {
	case 0:
		return nil, errNotInstalled
	case 1:
		return found[0], nil
	}
	var names []string
	for _, f := range found {
		names = append(names, f.Name)
	}
	return nil, fmt.Errorf("there are several installations, choose one with --webhook-name: %s", strings.Join(names, ", "))
}

// namespaceOf is where the release of a configuration is.
func namespaceOf(m *admissionv1.MutatingWebhookConfiguration) string {
	if ns := m.Annotations[helmNamespace]; ns != "" {
		return ns
	}
	for _, w := range m.Webhooks {
		if s := w.ClientConfig.Service; s != nil {
			return s.Namespace
		}
	}
	return ""
}

// settings loads the configuration that the webhook has, from the chart's
// ConfigMaps, with the webhook's own code.
func (c *client) settings(ctx context.Context, w where) (*config.Snapshot, error) {
	if w.namespace == "" || w.name == "" {
		return nil, errors.New("where the webhook is is not known: give --webhook-namespace and --webhook-name")
	}
	dir, err := os.MkdirTemp("", "debugsidecar-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for _, part := range []string{"config", "profiles"} {
		cm, err := c.core.ConfigMaps(w.namespace).Get(ctx, w.name+"-"+part, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		for name, text := range cm.Data {
			file := filepath.Join(dir, part, filepath.Base(name))
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				return nil, err
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				return nil, err
			}
		}
	}
	s, err := config.Load(config.Paths{
		Config:           filepath.Join(dir, "config", "config.yaml"),
		PolicyParameters: filepath.Join(dir, "config", "policy.yaml"),
		Profiles:         filepath.Join(dir, "profiles"),
	})
	if err != nil {
		// The files are the ConfigMaps' keys.
		text := strings.ReplaceAll(err.Error(), filepath.Join(dir, "config")+"/", "ConfigMap "+w.name+"-config, ")
		return nil, errors.New(strings.ReplaceAll(text, filepath.Join(dir, "profiles")+"/", "ConfigMap "+w.name+"-profiles, "))
	}
	return s, nil
}
