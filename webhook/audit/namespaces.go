package audit

import (
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Judged says of which namespaces the API server asks the webhook to judge pods.
type Judged []labels.Selector

// JudgedBy reads a webhook configuration as an API server does.
func JudgedBy(c *admissionv1.ValidatingWebhookConfiguration) (Judged, error) {
	var out Judged
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		if !slices.ContainsFunc(w.Rules, func(r admissionv1.RuleWithOperations) bool {
			return slices.Contains(r.Resources, "pods") && slices.Contains(r.Operations, admissionv1.Create)
		}) {
			continue
		}
		s := labels.Everything() // the API's default
		if w.NamespaceSelector != nil {
			var err error
			if s, err = metav1.LabelSelectorAsSelector(w.NamespaceSelector); err != nil {
				return nil, fmt.Errorf("entry %s: namespaceSelector: %w", w.Name, err)
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// Has says whether pods of a namespace with these labels are judged.
func (j Judged) Has(namespace map[string]string) bool {
	return slices.ContainsFunc(j, func(s labels.Selector) bool { return s.Matches(labels.Set(namespace)) })
}
