package debug

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug/shape"
	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// settings are what the installation says of debug sessions.
type settings struct {
	image  string
	ttl    time.Duration
	maxTTL time.Duration // 0: no bound
	// highest is the highest profile that is taken without being named.
	highest shape.Profile
	// from says where they come from, for who asks.
	from string
}

// defaultImage is the one of this build's version.
var defaultImage = "debugsidecar/debug" + config.DefaultImage[strings.LastIndex(config.DefaultImage, ":"):]

// defaults are this build's.
func defaults(why string) settings {
	return settings{image: defaultImage, ttl: session.DefaultTTL, from: "this plugin's own defaults: " + why}
}

// Names of our configuration. Only who administers the cluster can make one, so
// what it says of where the webhook is can be trusted; a namespace's name alone
// could not, for a tenant may have made it.
const (
	defaultName   = "debugsidecar"
	ourEntry      = "pod.inject.debugsidecar.io"
	helmNamespace = "meta.helm.sh/release-namespace"
)

// settings reads them, or says why it could not.
func (c *client) settings(ctx context.Context, namespace, name string) (settings, error) {
	if namespace == "" {
		m, err := c.configuration(ctx, name)
		if err != nil {
			return defaults(err.Error()), nil
		}
		if namespace, name = namespaceOf(m), m.Name; namespace == "" {
			return defaults("the webhook's configuration does not say in which namespace it is"), nil
		}
	}
	if name == "" {
		name = defaultName
	}
	cm, err := c.core.ConfigMaps(namespace).Get(ctx, name+"-debug", metav1.GetOptions{})
	where := fmt.Sprintf("ConfigMap %s/%s-debug", namespace, name)
	if err != nil {
		return defaults(fmt.Sprintf("%s can't be read: %v", where, err)), nil
	}
	return parseSettings(where, cm.Data)
}

func parseSettings(where string, data map[string]string) (settings, error) {
	s := defaults("")
	s.from = where
	if image := data["image"]; image != "" {
		s.image = image
	}
	for _, d := range []struct {
		key string
		to  *time.Duration
	}{{"ttl", &s.ttl}, {"maxTTL", &s.maxTTL}} {
		text := data[d.key]
		if text == "" {
			continue
		}
		value, err := time.ParseDuration(text)
		if err != nil || value < 0 {
			return s, fmt.Errorf("%s: %s is %q, which is no duration", where, d.key, session.Text(text))
		}
		*d.to = value
	}
	if text := data["profile"]; text != "" {
		if s.highest = shape.Profile(text); !slices.Contains(shape.Automatic(), s.highest) {
			return s, fmt.Errorf("%s: profile is %q, and may be one of %v", where, session.Text(text), shape.Automatic())
		}
	}
	return s, nil
}

// configuration finds our mutating webhook's.
func (c *client) configuration(ctx context.Context, name string) (*admissionv1.MutatingWebhookConfiguration, error) {
	get := name
	if get == "" {
		get = defaultName
	}
	m, err := c.admission.MutatingWebhookConfigurations().Get(ctx, get, metav1.GetOptions{})
	if err == nil && (name != "" || isOurs(m)) {
		return m, nil
	}
	if name != "" {
		return nil, fmt.Errorf("the webhook's configuration %s can't be read: %w", name, err)
	}
	list, err := c.admission.MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		return nil, errors.New("you may not read the webhook's configuration, so give --webhook-namespace if there is one")
	}
	if err != nil {
		return nil, fmt.Errorf("the webhook's configuration can't be read: %w", err)
	}
	list.Items = slices.DeleteFunc(list.Items, func(m admissionv1.MutatingWebhookConfiguration) bool { return !isOurs(&m) })
	switch len(list.Items) {
	case 0:
		return nil, errors.New("debugsidecar is not installed in this cluster")
	case 1:
		return &list.Items[0], nil
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return nil, fmt.Errorf("there are several installations, choose one with --webhook-name: %s", strings.Join(names, ", "))
}

func isOurs(m *admissionv1.MutatingWebhookConfiguration) bool {
	return slices.ContainsFunc(m.Webhooks, func(w admissionv1.MutatingWebhook) bool { return w.Name == ourEntry })
}

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

// sameRepository says whether an image is of the same repository as another:
// then its entrypoint is ours.
func sameRepository(a, b string) bool {
	first, err1 := reference.ParseNormalizedNamed(a)
	second, err2 := reference.ParseNormalizedNamed(b)
	return err1 == nil && err2 == nil && first.Name() == second.Name()
}

// sameImage says whether a pod's image is the one that was asked for: the webhook
// may have added its digest.
func sameImage(asked, has string) bool {
	if asked == has {
		return true
	}
	a, err1 := reference.ParseDockerRef(asked)
	h, err2 := reference.ParseNormalizedNamed(has)
	if err1 != nil || err2 != nil || a.Name() != h.Name() {
		return false
	}
	if d, ok := a.(reference.Digested); ok {
		hd, ok := h.(reference.Digested)
		return ok && d.Digest() == hd.Digest()
	}
	at, ok1 := a.(reference.Tagged)
	ht, ok2 := reference.TagNameOnly(h).(reference.Tagged)
	return ok1 && ok2 && at.Tag() == ht.Tag()
}
