package admit

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/policies/facts"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

// Pods reads one pod, nil if there is none.
type Pods interface {
	Pod(ctx context.Context, namespace, name string) (*corev1.Pod, error)
}

// Connect returns the handler of /connect: it says who may get into a container
// of the kernel tier, by exec, by attach, or by an ephemeral container that
// shares its processes or its volumes. Whoever is inside has the grant, so that
// is for those whom the administrator lists in it.
//
// What such a container is, is told by what it has: a name under our prefix and
// a capability that a grant gives. Not by its identity: that permits something,
// so it may fail for a container that an older revision rendered; here it would
// then be a way in.
//
// The chart registers it for namespaces with a grant alone, with failurePolicy
// Fail, and for requests that name a container or volume under our prefix, or no
// container. So an outage keeps nobody out of any other container.
func Connect(d Deps) http.Handler {
	return &handler{path: connectPath, decode: decodeConnect, judge: d.connect, metrics: d.Metrics, log: d.Log}
}

// connection is what is read of a request to get into a container.
type connection struct {
	Name     string `json:"name"` // of the pod
	UserInfo struct {
		Username string   `json:"username"`
		Groups   []string `json:"groups"`
	} `json:"userInfo"`
	Object    *entered `json:"object"`
	OldObject *entered `json:"oldObject"`
}

// entered is the options of an exec or attach, or a pod: no field of one has the
// name of the other's.
type entered struct {
	Container string            `json:"container"`
	Metadata  metav1.ObjectMeta `json:"metadata"`
	Spec      corev1.PodSpec    `json:"spec"`
}

// noContainer and noVolume are a view of what is not read here.
type (
	noContainer struct{}
	noVolume    struct{}
)

func (noContainer) whole() facts.Container { return facts.Container{} }
func (noVolume) whole() corev1.Volume      { return corev1.Volume{} }

func decodeConnect(body []byte) (*request, error) {
	r, err := decode[noContainer, noVolume](body)
	if err != nil {
		return nil, err
	}
	var review struct {
		Request connection `json:"request"`
	}
	if err := json.Unmarshal(body, &review); err != nil {
		return nil, fmt.Errorf("reading the request: %w", err)
	}
	r.connection = &review.Request
	return r, nil
}

func (d Deps) connect(ctx context.Context, r *request) (response, error) {
	c := r.connection
	if !r.isPod() || c.Object == nil {
		return d.passUnasked(connectPath), nil
	}
	var into []string
	switch {
	case r.Operation == "CONNECT" && (r.SubResource == "exec" || r.SubResource == "attach"):
		// Not to know the pod must not open it: the API server then refuses.
		pod, err := d.Pods.Pod(ctx, r.Namespace, c.Name)
		if err != nil {
			return response{}, err
		}
		if pod != nil && isKernelTier(pod, chosenContainer(pod, c.Object.Container)) {
			into = []string{chosenContainer(pod, c.Object.Container)}
		}
	case r.Operation == "UPDATE" && r.SubResource == "ephemeralcontainers":
		into = c.targets()
	default:
		return d.passUnasked(connectPath), nil
	}
	if len(into) == 0 {
		return allow(), nil
	}
	return d.enter(r, into), nil
}

// passUnasked counts a request that nobody should have sent here.
func (d Deps) passUnasked(path string) response {
	d.Metrics.unasked.WithLabelValues(path).Inc()
	return allow()
}

// enter lets those in whom the administrator lists.
func (d Deps) enter(r *request, into []string) response {
	c := r.connection
	listed := slices.ContainsFunc(d.Config().File.Grants, func(g inject.Grant) bool {
		return g.Namespace == r.Namespace && c.isListed(g.Exec)
	})
	outcome, resp := "listed", allow()
	what := fmt.Sprintf("%s into the kernel tier: container %s of pod %s", r.SubResource, strings.Join(into, ", "), c.Name)
	if !listed {
		outcome, resp = "denied", deny(fmt.Sprintf("debugsidecar: %s: such a container has power over its node, and you are not listed in grants[].exec of namespace %s in the chart's values; choose another container, or ask the cluster's administrator", what, r.Namespace))
	}
	resp.AuditAnnotations = map[string]string{"kernel-tier": outcome + ": " + what}
	if !r.DryRun {
		d.Metrics.entries.WithLabelValues(r.SubResource, outcome).Inc()
	}
	return resp
}

func (c *connection) isListed(who inject.Subjects) bool {
	return slices.Contains(who.Users, c.UserInfo.Username) ||
		slices.ContainsFunc(c.UserInfo.Groups, func(g string) bool { return slices.Contains(who.Groups, g) })
}

// targets names the containers of the kernel tier that new ephemeral containers
// get at. In a pod that is being deleted none is started any more.
func (c *connection) targets() []string {
	if c.Object.Metadata.DeletionTimestamp != nil {
		return nil
	}
	pod := &corev1.Pod{Spec: c.Object.Spec}
	var into []string
	for i := range pod.Spec.EphemeralContainers {
		e := &pod.Spec.EphemeralContainers[i]
		if c.OldObject != nil && slices.ContainsFunc(c.OldObject.Spec.EphemeralContainers, func(old corev1.EphemeralContainer) bool { return old.Name == e.Name }) {
			continue
		}
		visitContainers(pod, func(ours *corev1.Container) {
			if hasKernelTier(ours) && (e.TargetContainerName == ours.Name || sharesVolume(e, ours)) && !slices.Contains(into, ours.Name) {
				into = append(into, ours.Name)
			}
		})
	}
	return into
}

// sharesVolume says whether an ephemeral container mounts a volume that is there
// for the sidecar alone.
func sharesVolume(e *corev1.EphemeralContainer, ours *corev1.Container) bool {
	return slices.ContainsFunc(e.VolumeMounts, func(m corev1.VolumeMount) bool {
		return strings.HasPrefix(m.Name, profile.NamePrefix) &&
			slices.ContainsFunc(ours.VolumeMounts, func(o corev1.VolumeMount) bool { return o.Name == m.Name })
	})
}

// chosenContainer is the container that the API server takes: where none is
// named the only one, and it refuses where there are several.
func chosenContainer(pod *corev1.Pod, named string) string {
	if named == "" && len(pod.Spec.Containers) == 1 {
		return pod.Spec.Containers[0].Name
	}
	return named
}

func isKernelTier(pod *corev1.Pod, container string) (is bool) {
	visitContainers(pod, func(c *corev1.Container) { is = is || c.Name == container && hasKernelTier(c) })
	return is
}

// hasKernelTier says whether a container has a name of ours and what a grant gives.
func hasKernelTier(c *corev1.Container) bool {
	return strings.HasPrefix(c.Name, profile.NamePrefix) && c.SecurityContext != nil && c.SecurityContext.Capabilities != nil &&
		slices.ContainsFunc(c.SecurityContext.Capabilities.Add, func(name corev1.Capability) bool {
			return slices.Contains(profile.KernelCapabilities(), name)
		})
}

func visitContainers(pod *corev1.Pod, visit func(*corev1.Container)) {
	for _, list := range [...][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			visit(&list[i])
		}
	}
}
