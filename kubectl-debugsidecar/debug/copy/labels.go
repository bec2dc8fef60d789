package copy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/debugsidecar/debugsidecar/webhook/inject"
	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// marks are labels by which controllers mark a pod as one of theirs.
var marks = []string{
	"pod-template-hash", "rollouts-pod-template-hash", "controller-revision-hash", "pod-template-generation",
	"controller-uid", "job-name", "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index",
	"batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "batch.kubernetes.io/job-completion-index",
}

// taker is what would take the copy for one of its pods.
type taker struct {
	what     string
	selector labels.Selector
	// keys are the labels without any of which it does not select.
	keys []string
	// harmless says why a selected copy is no harm, empty if it is.
	harmless  string
	tolerated bool
}

// labels keeps those that NetworkPolicies select and leaves out those by which a
// Service or a controller would take the copy. Where one label is both, the
// second counts if it would do harm: a copy must get no traffic and must not be
// adopted.
func (m *maker) labels() error {
	kept := map[string]string{}
	for key, value := range m.original.Labels {
		if !slices.Contains(marks, key) && !strings.HasPrefix(key, "debugsidecar.io/") {
			kept[key] = value
		}
	}
	needed, err := m.neededByPolicies()
	if err != nil {
		return err
	}
	takers, err := m.takers()
	if err != nil {
		return err
	}
	m.leaveOutUnknown(kept, needed)
	for {
		i := slices.IndexFunc(takers, func(t taker) bool { return !t.tolerated && t.selector.Matches(labels.Set(kept)) })
		if i < 0 {
			break
		}
		t := &takers[i]
		key := m.best(t, takers, kept, needed)
		switch {
		case key == "" && t.harmless == "":
			return fmt.Errorf("a copy would be taken by %s, which selects pods by what they have not: no label can be left out", t.what)
		case key == "" || len(needed[key]) > 0 && t.harmless != "":
			t.tolerated = true
			m.note("%s selects the copy, too; %s", t.what, t.harmless)
		default:
			delete(kept, key)
			if by := needed[key]; len(by) > 0 {
				m.without("%s may not hold for the copy, as its label %s would make it a pod of %s: the copy may reach others, or be reached, where the pod is not", list(by), key, t.what)
			}
		}
	}
	kept[inject.Label] = inject.Disabled
	kept[session.CopyOfLabel] = string(m.original.UID)
	m.pod.Labels = kept
	m.tellLabels()
	return nil
}

// best returns the label to leave out so that t does not select the copy: one
// that no NetworkPolicy needs, if there is one, and then the one that most need
// gone.
func (m *maker) best(t *taker, all []taker, kept map[string]string, needed map[string][]string) string {
	var keys []string
	for _, key := range t.keys {
		if _, is := kept[key]; is {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return ""
	}
	uses := func(key string) (n int) {
		for i := range all {
			if slices.Contains(all[i].keys, key) {
				n++
			}
		}
		return n
	}
	return slices.MinFunc(keys, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(needed[a]), len(needed[b])), cmp.Compare(uses(b), uses(a)), cmp.Compare(a, b))
	})
}

// leaveOutUnknown leaves out what an unknown Service or controller may select.
func (m *maker) leaveOutUnknown(kept map[string]string, needed map[string][]string) {
	u := m.neighbours.Unknown
	if !u.Services && !u.Controllers {
		return
	}
	owner := metav1.GetControllerOf(m.original)
	// Those adopt by a label of their own, or by the pod's name.
	marked := owner == nil || slices.Contains([]string{"ReplicaSet", "StatefulSet", "Job"}, owner.Kind)
	if u.NetworkPolicies {
		m.note("NetworkPolicies could not be read: which of them hold for the copy is not known")
	}
	maps.DeleteFunc(kept, func(key, _ string) bool {
		if u.Controllers && !marked {
			return true
		}
		return len(needed[key]) == 0 && !u.NetworkPolicies
	})
	m.note("Services or controllers could not be read, so labels that they may select are left out")
}

// neededByPolicies are the labels by which NetworkPolicies select the original,
// for what they are about or as a peer, and which policies.
func (m *maker) neededByPolicies() (map[string][]string, error) {
	needed := map[string][]string{}
	for i := range m.neighbours.NetworkPolicies {
		p := &m.neighbours.NetworkPolicies[i]
		selectors := []*metav1.LabelSelector{&p.Spec.PodSelector}
		for _, rule := range p.Spec.Ingress {
			for _, peer := range rule.From {
				selectors = append(selectors, peer.PodSelector)
			}
		}
		for _, rule := range p.Spec.Egress {
			for _, peer := range rule.To {
				selectors = append(selectors, peer.PodSelector)
			}
		}
		for _, s := range selectors {
			keys, err := m.keysIfSelected(s)
			if err != nil {
				return nil, fmt.Errorf("NetworkPolicy %s: %w", p.Name, err)
			}
			for _, key := range keys {
				if name := "NetworkPolicy " + p.Name; !slices.Contains(needed[key], name) {
					needed[key] = append(needed[key], name)
				}
			}
		}
	}
	return needed, nil
}

// keysIfSelected are the labels that a selector reads, if it selects the original.
func (m *maker) keysIfSelected(s *metav1.LabelSelector) ([]string, error) {
	if s == nil {
		return nil, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil || !selector.Matches(labels.Set(m.original.Labels)) {
		return nil, err
	}
	requirements, _ := selector.Requirements()
	var out []string
	for _, r := range requirements {
		out = append(out, r.Key())
	}
	return out, nil
}

func (m *maker) takers() ([]taker, error) {
	var out []taker
	for i := range m.neighbours.Services {
		s := &m.neighbours.Services[i]
		if len(s.Spec.Selector) == 0 || s.Spec.Type == corev1.ServiceTypeExternalName {
			continue
		}
		t := taker{what: "Service " + s.Name, selector: labels.SelectorFromSet(s.Spec.Selector), keys: slices.Sorted(maps.Keys(s.Spec.Selector))}
		if !s.Spec.PublishNotReadyAddresses {
			t.harmless = "it sends no traffic there, as the copy is never ready"
		}
		out = append(out, t)
	}
	for i := range m.neighbours.Controllers {
		c := &m.neighbours.Controllers[i]
		selector, err := metav1.LabelSelectorAsSelector(c.Selector)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", c.Kind, c.Name, err)
		}
		t := taker{what: c.Kind + " " + c.Name, selector: selector}
		requirements, _ := selector.Requirements()
		for _, r := range requirements {
			// What wants a label to be absent can't be had by leaving one out.
			if r.Matches(labels.Set(m.original.Labels)) && !r.Matches(labels.Set{}) {
				t.keys = append(t.keys, r.Key())
			}
		}
		switch c.Kind {
		case "StatefulSet":
			t.harmless = "it adopts pods of its own names alone"
		case "PodDisruptionBudget":
			t.harmless = "it counts a copy as a pod that is not ready"
		}
		out = append(out, t)
	}
	return out, nil
}

// tellLabels says which labels the copy has not.
func (m *maker) tellLabels() {
	var gone []string
	for key := range m.original.Labels {
		if _, is := m.pod.Labels[key]; !is {
			gone = append(gone, key)
		}
	}
	if len(gone) > 0 {
		slices.Sort(gone)
		m.note("the copy has no label %s, so that nothing takes it for a pod of its own", list(gone))
	}
}
