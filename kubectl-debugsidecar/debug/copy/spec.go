package copy

import (
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// NeverReady is a readiness gate that nobody ever opens: Services lead to ready
// pods alone.
const NeverReady corev1.PodConditionType = "debugsidecar.io/copy-is-never-ready"

// spec fills in the rest of the pod's fields. What is not named here is left out:
// it is about scheduling many, about names, or the node's.
func (m *maker) spec() {
	from, to := m.original.Spec.DeepCopy(), &m.pod.Spec
	to.RestartPolicy = corev1.RestartPolicyNever
	to.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: NeverReady}}
	if ttl := m.options.TTL; ttl > 0 {
		seconds := min(max(1, int64((ttl+time.Second-1)/time.Second)), math.MaxInt32) // what the API takes
		to.ActiveDeadlineSeconds = &seconds
	}
	to.ShareProcessNamespace = new(true)

	// Who it is, to the API and to what keeps pods apart.
	to.ServiceAccountName = from.ServiceAccountName
	to.AutomountServiceAccountToken = new(false) // the target has its mount already, the debug container needs none
	to.ImagePullSecrets = from.ImagePullSecrets
	to.SecurityContext = from.SecurityContext
	to.RuntimeClassName = from.RuntimeClassName
	to.HostUsers = from.HostUsers
	to.OS = from.OS

	// What the program finds around it.
	to.HostNetwork = from.HostNetwork
	to.DNSPolicy, to.DNSConfig = from.DNSPolicy, from.DNSConfig
	to.HostAliases = from.HostAliases
	to.EnableServiceLinks = from.EnableServiceLinks
	to.Resources = from.Resources

	to.NodeSelector, to.Tolerations = from.NodeSelector, from.Tolerations
	to.SchedulerName = from.SchedulerName
	to.Affinity = m.affinity(from.Affinity)

	if from.HostPID || from.HostIPC {
		m.without("the copy does not see the node's processes: hostPID and hostIPC are left out")
	}
	if from.PriorityClassName != "" {
		m.note("the copy has no priority class, so that it pushes no other pod out; the pod has %s", from.PriorityClassName)
	}
	if m.pinned {
		m.note("the copy runs on node %s, where its volumes are", from.NodeName)
	}
}

// affinity keeps which nodes are fit. Which other pods are near does not matter;
// that the original is near must not.
func (m *maker) affinity(from *corev1.Affinity) *corev1.Affinity {
	var required *corev1.NodeSelector
	if from != nil && from.NodeAffinity != nil {
		required = from.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	if m.pinned {
		// Not nodeName: the scheduler then does not look at taints and at room, and
		// the kubelet fails the pod.
		here := corev1.NodeSelectorRequirement{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{m.original.Spec.NodeName}}
		if required == nil {
			required = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{}}}
		}
		for i := range required.NodeSelectorTerms {
			// The terms are alternatives, so each has to have it; and a term has no two
			// values for the only field that there is.
			required.NodeSelectorTerms[i].MatchFields = []corev1.NodeSelectorRequirement{here}
		}
	}
	if required == nil {
		return nil
	}
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: required}}
}

// defaultContainer is where kubectl logs and exec go.
const defaultContainer = "kubectl.kubernetes.io/default-container"

// annotations keeps what others may want of the pod, such as its networks, and
// leaves out what is a record about the original.
func (m *maker) annotations() {
	out := map[string]string{}
	for key, value := range m.original.Annotations {
		if !isRecord(key) && m.hasContainerOf(key) {
			out[key] = value
		}
	}
	out[session.CopiedFromAnnotation] = m.original.Name
	out[defaultContainer] = m.options.Name
	m.pod.Annotations = out
}
