package facts

import (
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// review notes which entries of the ignore list are still needed.
type review struct {
	t    *testing.T
	used map[string]bool
}

// TestEveryFieldOfThePodSpecIsReadOrOnTheReviewedList walks core/v1 beside the
// lean types. Where the lean types hold core/v1's own security types, it sets
// each of their fields and looks whether the facts change.
func TestEveryFieldOfThePodSpecIsReadOrOnTheReviewedList(t *testing.T) {
	r := review{t, map[string]bool{}}
	r.decoded(reflect.TypeFor[corev1.PodSpec](), reflect.TypeFor[PodSpec]())
	r.read(reflect.TypeFor[corev1.SecurityContext](), func(v reflect.Value) *Pod {
		context := v.Interface().(corev1.SecurityContext)
		return &Pod{Spec: PodSpec{Containers: []Container{{SecurityContext: &context}}}}
	})
	r.read(reflect.TypeFor[corev1.PodSecurityContext](), func(v reflect.Value) *Pod {
		context := v.Interface().(corev1.PodSecurityContext)
		return &Pod{Spec: PodSpec{Containers: []Container{{}}, SecurityContext: &context}}
	})
	r.read(reflect.TypeFor[corev1.ContainerPort](), func(v reflect.Value) *Pod {
		return &Pod{Spec: PodSpec{Containers: []Container{{Ports: []corev1.ContainerPort{v.Interface().(corev1.ContainerPort)}}}}}
	})
	for field, reason := range ignored {
		if !r.used[field] {
			t.Errorf("the ignore list has %s, which doesn't exist or is read", field)
		}
		if reason == "" {
			t.Errorf("%s is ignored without a reason", field)
		}
	}
}

// decoded checks that each field of an API type is in the lean type as well, and
// goes on where both are structs of their own.
func (r *review) decoded(api, lean reflect.Type) {
	if api == lean {
		return // decoded whole
	}
	leanFields := map[string]reflect.Type{}
	for _, f := range fieldsOf(lean) {
		leanFields[f.name] = f.typ
	}
	for _, f := range fieldsOf(api) {
		leanField, has := leanFields[f.name]
		if !has {
			r.ignored(typeName(api) + "." + f.name)
			continue
		}
		if bare(f.typ).Kind() == reflect.Struct {
			r.decoded(bare(f.typ), bare(leanField))
		}
	}
}

// read checks that setting each field below an API type changes the facts of the
// pod that podWith makes. Values on the way to the field are set in both pods.
func (r *review) read(api reflect.Type, podWith func(reflect.Value) *Pod) {
	var walk func(typ reflect.Type, reach func(root reflect.Value) reflect.Value)
	walk = func(typ reflect.Type, reach func(root reflect.Value) reflect.Value) {
		for i := range typ.NumField() {
			field := typ.Field(i)
			at := func(root reflect.Value) reflect.Value { return reach(root).Field(i) }
			inner := bare(field.Type)
			if inner.Kind() == reflect.Struct {
				walk(inner, func(root reflect.Value) reflect.Value { return enter(at(root)) })
				continue
			}
			without, with := reflect.New(api).Elem(), reflect.New(api).Elem()
			at(without)
			fill(at(with))
			if Of(podWith(with), Environment{}).Unchanged(Of(podWith(without), Environment{})) {
				r.ignored(typ.Name() + "." + jsonName(field))
			}
		}
	}
	walk(api, func(root reflect.Value) reflect.Value { return root })
}

func (r *review) ignored(field string) {
	r.used[field] = true
	if _, listed := ignored[field]; !listed {
		r.t.Errorf("%s is neither read nor on the ignore list", field)
	}
}

// enter makes the struct behind a pointer or the first of a slice, and returns it.
func enter(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return v.Elem()
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		return v.Index(0)
	}
	return v
}

// fill sets something other than the zero value.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice:
		fill(enter(v))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	default:
		panic("no value for a " + v.Type().String())
	}
}

type field struct {
	name string
	typ  reflect.Type
}

// fieldsOf returns the fields of a struct as JSON has them.
func fieldsOf(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			all = append(all, fieldsOf(f.Type)...)
			continue
		}
		all = append(all, field{jsonName(f), f.Type})
	}
	return all
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// typeName names an API type in the ignore list. An ephemeral container has the
// fields of a container.
func typeName(t reflect.Type) string {
	if t == reflect.TypeFor[corev1.EphemeralContainer]() {
		return "Container"
	}
	return t.Name()
}

func bare(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t
}

func TestEveryVolumeSourceIsKnown(t *testing.T) {
	api := reflect.TypeFor[corev1.VolumeSource]()
	known := map[string]bool{}
	for i := range volumeSources {
		known[volumeSources[i].name] = true
	}
	if len(known) != api.NumField() {
		t.Errorf("%d sources are known, the API has %d", len(known), api.NumField())
	}
	for i := range api.NumField() {
		name := jsonName(api.Field(i))
		if !known[name] {
			t.Errorf("the volume source %s is unknown", name)
		}
		volume := corev1.Volume{}
		source := reflect.ValueOf(&volume.VolumeSource).Elem().Field(i)
		source.Set(reflect.New(source.Type().Elem()))
		var found []string
		sourcesOf(&volume, func(s *volumeSource) { found = append(found, s.name) })
		if len(found) != 1 || found[0] != name {
			t.Errorf("a volume with the source %s is taken for %v", name, found)
		}
	}
}

func TestEveryKindHasItsOwnName(t *testing.T) {
	for _, kind := range Kinds() {
		if found, ok := KindOf(kind.String()); !ok || found != kind {
			t.Errorf("the name %q of kind %d leads to %d", kind, int(kind), int(found))
		}
	}
	if _, ok := KindOf("windows"); ok {
		t.Error("windows is no kind")
	}
}
