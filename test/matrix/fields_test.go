package matrix

import (
	"fmt"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// mutation changes one field of a container.
type mutation struct {
	path  string
	apply func(*corev1.Container)
}

// mutations changes each field of a container, and each field below, one at a
// time: it sets what is unset, unsets what is set, gives it another value, makes
// a list longer, shorter and reordered, and adds to and takes from a map.
func mutations(c *corev1.Container) []mutation {
	m := &mutator{}
	m.walk(reflect.ValueOf(c).Elem(), func(root reflect.Value) reflect.Value { return root }, "")
	return m.all
}

type mutator struct{ all []mutation }

// at finds a field in a copy of the container.
type at func(root reflect.Value) reflect.Value

func (m *mutator) add(path string, get at, change func(reflect.Value)) {
	m.all = append(m.all, mutation{strings.TrimPrefix(path, "."), func(c *corev1.Container) {
		change(get(reflect.ValueOf(c).Elem()))
	}})
}

func (m *mutator) walk(v reflect.Value, get at, path string) {
	if v.Type() == reflect.TypeFor[resource.Quantity]() {
		m.add(path, get, other)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			below := path + "." + name
			if name == "" { // inlined
				below = path
			}
			m.walk(v.Field(i), func(root reflect.Value) reflect.Value { return get(root).Field(i) }, below)
		}
	case reflect.Pointer:
		if v.IsNil() {
			m.add(path+" set", get, func(f reflect.Value) { f.Set(filled(f.Type(), 0)) })
			return
		}
		m.add(path+" unset", get, func(f reflect.Value) { f.SetZero() })
		m.walk(v.Elem(), func(root reflect.Value) reflect.Value { return get(root).Elem() }, path)
	case reflect.Slice:
		m.add(path+" longer", get, func(f reflect.Value) { f.Set(reflect.Append(f, filled(f.Type().Elem(), 0))) })
		for i := range v.Len() {
			m.walk(v.Index(i), func(root reflect.Value) reflect.Value { return get(root).Index(i) }, fmt.Sprintf("%s[%d]", path, i))
		}
		if v.Len() > 0 {
			m.add(path+" shorter", get, func(f reflect.Value) { f.Set(f.Slice(0, f.Len()-1)) })
		}
		if v.Len() > 1 {
			m.add(path+" reordered", get, func(f reflect.Value) { reflect.Swapper(f.Interface())(0, f.Len()-1) })
		}
	case reflect.Map: // of resources
		for _, name := range []string{"cpu", "ephemeral-storage", "example.com/device"} {
			key := reflect.ValueOf(corev1.ResourceName(name))
			if v.IsValid() && !v.IsNil() && v.MapIndex(key).IsValid() {
				continue
			}
			m.add(path+" with "+name, get, func(f reflect.Value) {
				if f.IsNil() {
					f.Set(reflect.MakeMap(f.Type()))
				}
				f.SetMapIndex(key, reflect.ValueOf(resource.MustParse("1")))
			})
		}
		for _, key := range v.MapKeys() {
			m.add(fmt.Sprintf("%s without %s", path, key), get, func(f reflect.Value) { f.SetMapIndex(key, reflect.Value{}) })
			m.add(fmt.Sprintf("%s with another %s", path, key), get, func(f reflect.Value) {
				f.SetMapIndex(key, reflect.ValueOf(resource.MustParse("777")))
			})
		}
	default:
		m.add(path, get, other)
	}
}

// allowedWords are values of types that don't take any.
var allowedWords = map[reflect.Type][]string{
	reflect.TypeFor[corev1.PullPolicy]():                  {"Never", "IfNotPresent"},
	reflect.TypeFor[corev1.TerminationMessagePolicy]():    {"FallbackToLogsOnError", "File"},
	reflect.TypeFor[corev1.Protocol]():                    {"UDP", "TCP"},
	reflect.TypeFor[corev1.Capability]():                  {"SYS_ADMIN", "SYS_PTRACE"},
	reflect.TypeFor[corev1.ContainerRestartPolicy]():      {"Never", "OnFailure"},
	reflect.TypeFor[corev1.SeccompProfileType]():          {"Unconfined", "RuntimeDefault"},
	reflect.TypeFor[corev1.AppArmorProfileType]():         {"Unconfined", "RuntimeDefault"},
	reflect.TypeFor[corev1.ProcMountType]():               {"Unmasked", "Default"},
	reflect.TypeFor[corev1.MountPropagationMode]():        {"HostToContainer", "None"},
	reflect.TypeFor[corev1.RecursiveReadOnlyMode]():       {"Disabled", "IfPossible"},
	reflect.TypeFor[corev1.ResourceName]():                {"cpu", "memory"},
	reflect.TypeFor[corev1.ResourceResizeRestartPolicy](): {"NotRequired", "RestartContainer"},
	reflect.TypeFor[corev1.URIScheme]():                   {"HTTPS", "HTTP"},
	reflect.TypeFor[corev1.Signal]():                      {"SIGUSR1", "SIGTERM"},
}

// other gives a field another value.
func other(f reflect.Value) {
	if f.Type() == reflect.TypeFor[resource.Quantity]() {
		f.Set(reflect.ValueOf(resource.MustParse("777")))
		return
	}
	switch f.Kind() {
	case reflect.String:
		text := "x" + f.String()
		if words, ok := allowedWords[f.Type()]; ok {
			if text = words[0]; text == f.String() {
				text = words[1]
			}
		}
		f.SetString(text)
	case reflect.Bool:
		f.SetBool(!f.Bool())
	case reflect.Int, reflect.Int32, reflect.Int64:
		f.SetInt(f.Int() + 1)
	default:
		panic("no other value for " + f.Type().String())
	}
}

// filled makes a value of which each field is set, as deep as the API goes; of
// alternatives, only the first.
func filled(t reflect.Type, depth int) reflect.Value {
	v := reflect.New(t).Elem()
	switch {
	case depth > 6:
	case t == reflect.TypeFor[resource.Quantity]():
		v.Set(reflect.ValueOf(resource.MustParse("1")))
	case t.Kind() == reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		v.Elem().Set(filled(t.Elem(), depth+1))
	case t.Kind() == reflect.Slice:
		v.Set(reflect.Append(v, filled(t.Elem(), depth+1)))
	case t.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(t))
	case t.Kind() == reflect.Struct:
		alternatives := 0
		for i := range t.NumField() {
			if t.Field(i).Type.Kind() == reflect.Pointer && t.Field(i).Type.Elem().Kind() == reflect.Struct {
				if alternatives++; alternatives > 1 {
					continue
				}
			}
			v.Field(i).Set(filled(t.Field(i).Type, depth+1))
		}
	default:
		other(v)
	}
	return v
}
