package copy

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// owners are whose end is the copy's, too, if nothing else ends it. That is the
// original's controller: a pod that crashes is replaced and deleted before long,
// and with it as the owner the session would end in the middle. Only a pod that
// has no controller is the owner itself. The reference is no controller's, or the
// controller would count the copy.
func (m *maker) owners() []metav1.OwnerReference {
	if c := metav1.GetControllerOf(m.original); c != nil {
		m.note("the copy goes when %s %s goes, its owner", c.Kind, c.Name)
		return []metav1.OwnerReference{{APIVersion: c.APIVersion, Kind: c.Kind, Name: c.Name, UID: c.UID}}
	}
	if m.original.DeletionTimestamp != nil {
		m.note("the copy has no owner, as pod %s is being deleted: delete it when you are done", m.original.Name)
		return nil
	}
	m.note("the copy goes when pod %s goes, its owner", m.original.Name)
	return []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: m.original.Name, UID: m.original.UID}}
}
