// Package facts holds what the rules and the injection decision know of a pod,
// and the document that Rego sees of it.
//
// [Pod] is a decode target: it has the fields of core/v1's Pod that somebody
// reads, and no others, because decoding is the largest part of what an
// admission costs. Types that decide about privilege are core/v1's own, so that
// a new field in them can't be overlooked. A test walks core/v1.PodSpec and
// fails on a field that is neither here nor on the reviewed list of the ignored.
package facts

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Pod is the part of a core/v1 Pod, or of a workload's pod template, that is
// read at admission. Its JSON form is a subset of core/v1's.
type Pod struct {
	Metadata Metadata `json:"metadata"`
	Spec     PodSpec  `json:"spec"`
}

// Metadata is the part of metav1.ObjectMeta that is read; above all it leaves
// out managedFields, often the longest part of a real object.
type Metadata struct {
	Name              string            `json:"name,omitempty"`
	GenerateName      string            `json:"generateName,omitempty"`
	Namespace         string            `json:"namespace,omitempty"`
	Labels            map[string]string `json:"labels,omitempty"`
	Annotations       map[string]string `json:"annotations,omitempty"`
	DeletionTimestamp *metav1.Time      `json:"deletionTimestamp,omitempty"`
	OwnerReferences   []Owner           `json:"ownerReferences,omitempty"`
}

// Owner is the part of metav1.OwnerReference that is read.
type Owner struct {
	UID        types.UID `json:"uid"`
	Controller *bool     `json:"controller,omitempty"`
}

// PodSpec is the part of core/v1.PodSpec that is read.
type PodSpec struct {
	Volumes             []corev1.Volume              `json:"volumes,omitempty"`
	InitContainers      []Container                  `json:"initContainers,omitempty"`
	Containers          []Container                  `json:"containers"`
	EphemeralContainers []Container                  `json:"ephemeralContainers,omitempty"`
	RestartPolicy       corev1.RestartPolicy         `json:"restartPolicy,omitempty"`
	HostNetwork         bool                         `json:"hostNetwork,omitempty"`
	HostPID             bool                         `json:"hostPID,omitempty"`
	HostIPC             bool                         `json:"hostIPC,omitempty"`
	HostUsers           *bool                        `json:"hostUsers,omitempty"`
	SecurityContext     *corev1.PodSecurityContext   `json:"securityContext,omitempty"`
	Tolerations         []corev1.Toleration          `json:"tolerations,omitempty"`
	RuntimeClassName    *string                      `json:"runtimeClassName,omitempty"`
	OS                  *corev1.PodOS                `json:"os,omitempty"`
	NodeSelector        map[string]string            `json:"nodeSelector,omitempty"`
	Resources           *corev1.ResourceRequirements `json:"resources,omitempty"`
	Overhead            corev1.ResourceList          `json:"overhead,omitempty"`

	// ShareProcessNamespace is read by the injection decision alone.
	ShareProcessNamespace *bool `json:"shareProcessNamespace,omitempty"`
}

// Container is the part that is read of a container, an init container or an
// ephemeral container.
type Container struct {
	Name            string                         `json:"name"`
	Image           string                         `json:"image,omitempty"`
	Ports           []corev1.ContainerPort         `json:"ports,omitempty"`
	Resources       corev1.ResourceRequirements    `json:"resources,omitempty"`
	RestartPolicy   *corev1.ContainerRestartPolicy `json:"restartPolicy,omitempty"`
	LivenessProbe   *Handler                       `json:"livenessProbe,omitempty"`
	ReadinessProbe  *Handler                       `json:"readinessProbe,omitempty"`
	StartupProbe    *Handler                       `json:"startupProbe,omitempty"`
	Lifecycle       *Lifecycle                     `json:"lifecycle,omitempty"`
	SecurityContext *corev1.SecurityContext        `json:"securityContext,omitempty"`

	// TargetContainerName is set for ephemeral containers only.
	TargetContainerName string `json:"targetContainerName,omitempty"`
}

// Handler is the part of a probe or a lifecycle handler that names a host.
type Handler struct {
	HTTPGet   *Target `json:"httpGet,omitempty"`
	TCPSocket *Target `json:"tcpSocket,omitempty"`
}

// Target is where a handler connects to.
type Target struct {
	Host string `json:"host,omitempty"`
}

// Lifecycle is the part of core/v1.Lifecycle that is read.
type Lifecycle struct {
	PostStart *Handler `json:"postStart,omitempty"`
	PreStop   *Handler `json:"preStop,omitempty"`
}
