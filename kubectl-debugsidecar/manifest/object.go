package manifest

import (
	"errors"
	"fmt"
	"strings"
)

// Object is a Kubernetes object: a document, or an item of a List.
type Object struct {
	// At says where it stands, for messages.
	At         string
	APIVersion string
	Kind       string
	Name       string
	Namespace  string // as written; may be empty
	// Content is the object itself: a part of its document.
	Content map[string]any
}

// Objects returns the objects of a document: itself, or the items of a List,
// also of a List in a List. The error names each item that is no object.
func (d *Document) Objects() ([]Object, error) {
	if d.Root == nil {
		return nil, nil
	}
	return objects(d.At(), d.Root, "", "")
}

// objects takes apiVersion and kind for an item that has none: an API server
// leaves them out in a PodList and its likes.
func objects(at string, content map[string]any, apiVersion, kind string) ([]Object, error) {
	o := Object{At: at, APIVersion: text(content["apiVersion"]), Kind: text(content["kind"]), Content: content}
	if o.Kind == "" && o.APIVersion == "" {
		o.APIVersion, o.Kind = apiVersion, kind
	}
	switch {
	case o.Kind == "":
		return nil, fmt.Errorf("%s: is no Kubernetes object: kind is missing", at)
	case o.APIVersion == "":
		return nil, fmt.Errorf("%s: is no Kubernetes object: apiVersion is missing", at)
	}
	if itemKind, isList := strings.CutSuffix(o.Kind, "List"); isList && hasLists(o.group()) {
		items := content["items"]
		list, ok := items.([]any)
		if !ok && items != nil {
			return nil, fmt.Errorf("%s: items is not a list", at)
		}
		return itemsOf(at, list, o.APIVersion, itemKind)
	}
	metadata, _ := content["metadata"].(map[string]any)
	o.Namespace = text(metadata["namespace"])
	o.Name = text(metadata["name"])
	if generated := text(metadata["generateName"]); o.Name == "" && generated != "" {
		o.Name = generated + "…"
	}
	return []Object{o}, nil
}

func itemsOf(at string, list []any, apiVersion, kind string) ([]Object, error) {
	var all []Object
	var errs []error
	for i, item := range list {
		at := fmt.Sprintf("%s, item %d", at, i+1)
		content, ok := item.(map[string]any)
		if !ok {
			errs = append(errs, fmt.Errorf("%s: is not a mapping", at))
			continue
		}
		found, err := objects(at, content, apiVersion, kind)
		all, errs = append(all, found...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// group is the API group, empty for the core group.
func (o *Object) group() string {
	group, _, hasGroup := strings.Cut(o.APIVersion, "/")
	if !hasGroup {
		return ""
	}
	return group
}

// hasLists says whether kinds of the group that end in List are lists of objects.
// Elsewhere, a custom resource may be called so.
func hasLists(group string) bool { return group == "" || group == "apps" || group == "batch" }

func text(v any) string {
	s, _ := v.(string)
	return s
}

// workloads says, by API group and kind, where the pod template is.
var workloads = map[[2]string][]string{
	{"", "ReplicationController"}: {"spec", "template"},
	{"apps", "Deployment"}:        {"spec", "template"},
	{"apps", "ReplicaSet"}:        {"spec", "template"},
	{"apps", "StatefulSet"}:       {"spec", "template"},
	{"apps", "DaemonSet"}:         {"spec", "template"},
	{"batch", "Job"}:              {"spec", "template"},
	{"batch", "CronJob"}:          {"spec", "jobTemplate", "spec", "template"},
}

// Pod is an object's pod, or the template of the pods that it makes.
type Pod struct {
	Content   map[string]any // a part of the object
	FieldPath string         // of the pod's spec in the object, such as spec.template.spec
}

// Pod returns the object's pod, or nil if it is of a kind that has none. It is
// an error if it is of a kind that has one, but has not.
func (o *Object) Pod() (*Pod, error) {
	path := workloads[[2]string{o.group(), o.Kind}]
	if path == nil && (o.group() != "" || o.Kind != "Pod") {
		return nil, nil
	}
	content := o.Content
	for i, field := range path {
		var ok bool
		if content, ok = content[field].(map[string]any); !ok {
			return nil, fmt.Errorf("%s: %s has no pod template: %s is not a mapping", o.At, o, strings.Join(path[:i+1], "."))
		}
	}
	fieldPath := strings.Join(append(path[:len(path):len(path)], "spec"), ".")
	if _, ok := content["spec"].(map[string]any); !ok {
		return nil, fmt.Errorf("%s: %s has no pod: %s is not a mapping", o.At, o, fieldPath)
	}
	return &Pod{Content: content, FieldPath: fieldPath}, nil
}

// String names the object for people: kind, namespace and name.
func (o *Object) String() string {
	name := o.Name
	if name == "" {
		name = "(no name)"
	}
	if o.Namespace != "" {
		name = o.Namespace + "/" + name
	}
	return o.Kind + " " + name
}
