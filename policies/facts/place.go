package facts

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Fact is one value at one place of a pod.
type Fact struct {
	Kind  Kind
	Value Value

	container *container // nil for the pod itself
	place     place
}

// All calls yield with every fact, in the order of the pod, until yield returns
// false.
func (f *Facts) All(yield func(Fact) bool) {
	for i := range f.entries {
		e := &f.entries[i]
		fact := Fact{Kind: e.kind, Value: e.value, place: e.place}
		if e.place.container != onPod {
			fact.container = &f.containers[e.place.container]
		}
		if !yield(fact) {
			return
		}
	}
}

// Container returns the name of the container that the fact is about, empty for
// the pod itself.
func (f Fact) Container() string {
	switch {
	case f.container != nil:
		return f.container.name
	case f.place.key != "":
		return strings.TrimPrefix(f.place.key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix)
	}
	return ""
}

// Field returns the path of the field that the fact stands in, where specPath is
// the path of the pod spec.
func (f Fact) Field(specPath string) string {
	if f.place.key != "" {
		return strings.TrimSuffix(specPath, "spec") + "metadata.annotations[" + f.place.key + "]"
	}
	suffix := strings.Replace(f.place.suffix, "*", strconv.Itoa(f.place.item), 1)
	if f.container != nil {
		suffix = f.container.list + "[" + strconv.Itoa(f.container.index) + "]." + suffix
	}
	return specPath + "." + suffix
}

// PodField returns the path of the pod's own field that a container's field
// falls back to, or empty where there is none.
func (f Fact) PodField(specPath string) string {
	if f.container == nil {
		return ""
	}
	switch f.place.suffix {
	case runAsNonRootField, seccompField:
		return specPath + "." + f.place.suffix
	}
	return ""
}

// Identity is what makes a fact of an old pod the same fact in the new one:
// what was found, in which field, and in which container with which image.
// Indexes don't count, because the API lets lists grow.
type Identity struct {
	kind                           Kind
	value                          Value
	list, container, image, suffix string
	key                            string
}

// Identity returns the fact's identity. A new image makes a new fact: other code
// would get what the container has.
func (f Fact) Identity() Identity {
	id := Identity{kind: f.Kind, value: f.Value, suffix: f.place.suffix, key: f.place.key}
	if f.container != nil {
		id.list, id.container, id.image = f.container.list, f.container.name, f.container.image
	}
	return id
}
