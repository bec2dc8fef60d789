package facts

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Facts is what the rules know of one pod: the distinct values of every kind,
// and the places where each stands. It is immutable.
type Facts struct {
	windows       bool // spec.os.name is windows
	userNamespace bool // spec.hostUsers is false
	containers    []container
	entries       []entry
	levelsWithin  []Value // the SELinux levels that are within the namespace's range
}

// container is where a container stands, and what it runs.
type container struct {
	list  string // "containers", "initContainers" or "ephemeralContainers"
	index int
	name  string
	image string
}

// entry is one value at one place.
type entry struct {
	kind  Kind
	value Value
	place place
}

// place is where a value stands in the pod.
type place struct {
	container int    // index in Facts.containers, or onPod
	suffix    string // field below the container or the pod spec; "*" stands for item
	item      int
	key       string // of an annotation; then suffix is empty
}

const onPod = -1

// Environment is what the facts of a pod depend on besides the pod.
type Environment struct {
	// Identify says of a container under [ReservedPrefix] whether it is ours, and
	// which added capabilities a grant lifts for it. Where it is nil, none is ours.
	Identify func(name string) (ours bool, granted []corev1.Capability)
	// OfImage says which added capabilities are lifted for containers of an
	// image. It is asked only about containers that add some, and may be nil.
	OfImage func(image string) []corev1.Capability
	// Within says of an SELinux level whether it is within what the namespace's
	// pods may have. Where it is nil, each is.
	Within func(level string) bool
	// GrantedType returns the SELinux type that a grant lifts for a container that
	// is ours, empty if none. It may be nil.
	GrantedType func(name string) string
}

// Of collects the facts of a pod. Where a container inherits from the pod's
// security context, the fact stands at the one that sets it; where both leave a
// field unset that has to be set, it stands at the container.
func Of(pod *Pod, env Environment) *Facts {
	spec := &pod.Spec
	all := len(spec.Containers) + len(spec.InitContainers) + len(spec.EphemeralContainers)
	f := &Facts{
		windows:       spec.OS != nil && spec.OS.Name == corev1.Windows,
		userNamespace: spec.HostUsers != nil && !*spec.HostUsers,
		containers:    make([]container, 0, all),
		entries:       make([]entry, 0, 8+8*all+len(spec.Volumes)),
	}
	f.addPod(spec, &env)
	visitContainers(spec, func(list string, index int, c *Container) {
		f.containers = append(f.containers, container{list, index, c.Name, c.Image})
		f.addContainer(len(f.containers)-1, c, spec.SecurityContext, &env)
	})
	f.addAnnotations(pod.Metadata.Annotations)
	return f
}

// visitContainers calls visit with every container of a pod: the list it stands
// in and its index there.
func visitContainers(spec *PodSpec, visit func(list string, index int, c *Container)) {
	for i := range spec.Containers {
		visit("containers", i, &spec.Containers[i])
	}
	for i := range spec.InitContainers {
		visit("initContainers", i, &spec.InitContainers[i])
	}
	for i := range spec.EphemeralContainers {
		visit("ephemeralContainers", i, &spec.EphemeralContainers[i])
	}
}

// Unchanged says whether nothing that decides about old differs: every fact
// stands where it stood, and every container runs the image it ran.
func (f *Facts) Unchanged(old *Facts) bool {
	return f.windows == old.windows && f.userNamespace == old.userNamespace &&
		slices.Equal(f.containers, old.containers) && slices.Equal(f.entries, old.entries)
}

func (f *Facts) add(kind Kind, value Value, p place) {
	f.entries = append(f.entries, entry{kind, value, p})
}

// addAnnotations adds the AppArmor annotations in the order of their keys.
func (f *Facts) addAnnotations(annotations map[string]string) {
	first := len(f.entries)
	for key, value := range annotations {
		if strings.HasPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix) {
			f.add(AppArmorAnnotations, stringValue(value), place{container: onPod, key: key})
		}
	}
	slices.SortFunc(f.entries[first:], func(a, b entry) int { return strings.Compare(a.place.key, b.place.key) })
}
