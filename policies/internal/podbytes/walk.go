package podbytes

import (
	"reflect"
	"sync"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// maxItems is how many members a list or map can get, so that pods stay small.
const maxItems = 8

// step is a field that a byte can choose: embedded structs count as their fields.
type step struct {
	index []int // as reflect.Value.FieldByIndex takes it
	owner string
	name  string
}

// steps returns the fields of a struct that a byte can choose.
func steps(t reflect.Type) []step {
	if known, ok := stepsOf.Load(t); ok {
		return known.([]step)
	}
	var all []step
	var walk func(t reflect.Type, index []int)
	walk = func(t reflect.Type, index []int) {
		for i := range t.NumField() {
			f := t.Field(i)
			at := append(append([]int{}, index...), i)
			if f.Anonymous {
				walk(f.Type, at)
				continue
			}
			if opaque(bare(f.Type)) {
				continue
			}
			all = append(all, step{at, t.Name(), f.Name})
		}
	}
	walk(t, nil)
	stepsOf.Store(t, all)
	return all
}

var stepsOf sync.Map // of reflect.Type to []step

// opaque says whether a type is left unset: quantities, times, ports by name or
// number, and who manages which field. None of them decides about privilege.
func opaque(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[resource.Quantity](), reflect.TypeFor[metav1.Time](), reflect.TypeFor[intstr.IntOrString](), reflect.TypeFor[metav1.FieldsV1]():
		return true
	}
	return t.Kind() == reflect.Map && t.Elem().Kind() != reflect.String
}

func bare(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t
}
