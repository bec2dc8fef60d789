// Package missed finds pods that were to have a sidecar and went without, and
// says why, from what is left of their creation: the labels, who wrote them
// when, the status annotation, and the webhook's configuration. The leader
// counts them for a metric, the command line lists them.
package missed

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

// Reason is why a pod went without, in a word.
type Reason string

const (
	// NotReached: the label was there, and the webhook did not answer.
	NotReached Reason = "not-reached"
	// LabelLater: the label was written after the pod's creation.
	LabelLater Reason = "label-later"
	// BeforeInstall: the pod is older than the webhook's configuration.
	BeforeInstall Reason = "before-install"
	// ProfileUnknown: there was no such profile when the pod was created.
	ProfileUnknown Reason = "profile-unknown"
	// Skipped: the webhook decided against a sidecar, and the pod's status
	// annotation says why.
	Skipped Reason = "skipped"
)

// Reasons are all reasons.
func Reasons() []Reason {
	return []Reason{NotReached, LabelLater, BeforeInstall, ProfileUnknown, Skipped}
}

// Pod is a pod that went without.
type Pod struct {
	Profile string
	Reason  Reason
	Detail  string // a sentence
}

// Installation says which pods an API server asks the webhook about.
type Installation struct {
	since   time.Time
	entries []entry
}

type entry struct{ namespaces, pods labels.Selector }

// Of reads a webhook configuration as an API server does.
func Of(c *admissionv1.MutatingWebhookConfiguration) (*Installation, error) {
	i := &Installation{since: c.CreationTimestamp.Time}
	for _, w := range c.Webhooks {
		if !strings.HasSuffix(w.Name, ".inject.debugsidecar.io") {
			continue // the others are asked about pods for other reasons
		}
		namespaces, err := selector(w.NamespaceSelector)
		if err != nil {
			return nil, fmt.Errorf("entry %s: namespaceSelector: %w", w.Name, err)
		}
		pods, err := selector(w.ObjectSelector)
		if err != nil {
			return nil, fmt.Errorf("entry %s: objectSelector: %w", w.Name, err)
		}
		i.entries = append(i.entries, entry{namespaces, pods})
	}
	return i, nil
}

// selector is everything where there is none: the API's default.
func selector(s *metav1.LabelSelector) (labels.Selector, error) {
	if s == nil {
		return labels.Everything(), nil
	}
	return metav1.LabelSelectorAsSelector(s)
}

// Wanted says which profile the labels ask for now; empty if the webhook is not
// asked about such a pod.
func (i *Installation) Wanted(pod, namespace *metav1.ObjectMeta) string {
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return ""
	}
	for _, e := range i.entries {
		if e.namespaces.Matches(labels.Set(namespace.Labels)) && e.pods.Matches(labels.Set(pod.Labels)) {
			_, profile := source(pod, namespace)
			return profile
		}
	}
	return ""
}

// source is the object whose label counts, and what that says.
func source(pod, namespace *metav1.ObjectMeta) (of *metav1.ObjectMeta, profile string) {
	if own, ok := pod.Labels[inject.Label]; ok {
		return pod, own
	}
	return namespace, namespace.Labels[inject.Label]
}

// Why says why a pod went without; false if it did not, or was not to have any.
// Of both it takes labels, times and managed fields.
func (i *Installation) Why(pod, namespace *metav1.ObjectMeta) (Pod, bool) {
	profile := i.Wanted(pod, namespace)
	if profile == "" {
		return Pod{}, false
	}
	if status, ok := StatusOf(pod); ok {
		if status.Skipped == "" {
			return Pod{}, false
		}
		reason := Skipped
		if strings.HasPrefix(status.Skipped, "there is no profile ") {
			reason = ProfileUnknown
		}
		return Pod{profile, reason, status.Skipped}, true
	}
	created := pod.CreationTimestamp.Time
	if created.Before(i.since) {
		return Pod{profile, BeforeInstall, "the pod is older than the webhook's configuration, of " + stamp(i.since)}, true
	}
	of, _ := source(pod, namespace)
	if written := labelWritten(of); written.After(created) {
		whose := "the pod's label was"
		if of == namespace {
			whose = "the labels of namespace " + namespace.Name + " were"
		}
		return Pod{profile, LabelLater, whose + " written at " + stamp(written) + ", after the pod's creation at " + stamp(created)}, true
	}
	return Pod{profile, NotReached, "the webhook did not answer when the pod was created, at " + stamp(created)}, true
}

// StatusOf reads the status annotation; false if there is none that can be read.
func StatusOf(pod *metav1.ObjectMeta) (inject.Status, bool) {
	var s inject.Status
	text, ok := pod.Annotations[inject.StatusAnnotation]
	if !ok || json.Unmarshal([]byte(text), &s) != nil {
		return inject.Status{}, false
	}
	return s, true
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// labelWritten is when the inject label was written: the time of the first of
// its field managers. A manager's time is that of its last change of anything,
// so it may be later than the label; it is never earlier. Zero if nobody says.
func labelWritten(m *metav1.ObjectMeta) time.Time {
	var first time.Time
	for _, f := range m.ManagedFields {
		if f.Time == nil || f.FieldsV1 == nil || f.Subresource != "" {
			continue
		}
		var fields struct {
			Metadata struct {
				Labels map[string]json.RawMessage `json:"f:labels"`
			} `json:"f:metadata"`
		}
		if json.Unmarshal(f.FieldsV1.GetRawBytes(), &fields) != nil {
			continue
		}
		if _, ok := fields.Metadata.Labels["f:"+inject.Label]; ok && (first.IsZero() || f.Time.Time.Before(first)) {
			first = f.Time.Time
		}
	}
	return first
}
