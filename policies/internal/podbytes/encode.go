package podbytes

import (
	"encoding/binary"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Encode returns bytes that a [Reader] makes the pod of, as far as it can: no
// quantities, times, ports of probes and metadata but annotations.
func Encode(pod *corev1.Pod) []byte {
	out := appendValue(nil, reflect.ValueOf(pod.Spec), "")
	return appendValue(out, reflect.ValueOf(pod.Annotations), annotationKey)
}

// EncodeContainer returns bytes that a [Reader] makes the container of.
func EncodeContainer(c *corev1.Container) []byte {
	return appendValue(nil, reflect.ValueOf(*c), "")
}

func appendValue(out []byte, v reflect.Value, where string) []byte {
	switch v.Kind() {
	case reflect.Pointer:
		return appendValue(out, v.Elem(), where)
	case reflect.Struct:
		all := steps(v.Type())
		if len(all) == 0 {
			return out
		}
		for i, s := range all {
			field := v.FieldByIndex(s.index)
			if field.IsZero() {
				continue
			}
			where, choice := s.owner+"."+s.name, byte(i+1)
			if field.Kind() != reflect.Slice {
				out = appendValue(append(out, choice), field, where)
				continue
			}
			for j := range min(field.Len(), maxItems) {
				out = appendValue(append(out, choice), field.Index(j), where)
			}
		}
		return append(out, 0)
	case reflect.Map:
		valuesAt := where
		if where == annotationKey {
			valuesAt = annotationValue
		}
		keys := slices.SortedFunc(maps.Keys(stringMap(v)), strings.Compare)
		keys = keys[:min(len(keys), maxItems)]
		out = append(out, byte(len(keys)))
		for _, key := range keys {
			out = appendText(appendText(out, valuesOf(where), key), valuesOf(valuesAt), stringMap(v)[key])
		}
		return out
	case reflect.Bool:
		if v.Bool() {
			return append(out, 1)
		}
		return append(out, 0)
	case reflect.String:
		return appendText(out, valuesOf(where), v.String())
	case reflect.Int32, reflect.Int64, reflect.Int:
		if i, known := indexIn(numbers, v.Int()); known {
			return append(out, i)
		}
		return binary.BigEndian.AppendUint64(append(out, spelled), uint64(v.Int()))
	case reflect.Uint8:
		return append(out, byte(v.Uint()))
	}
	panic("no bytes for " + where + ", a " + v.Type().String())
}

func appendText(out []byte, known []string, text string) []byte {
	if i, ok := indexIn(known, text); ok {
		return append(out, i)
	}
	text = text[:min(len(text), 255)]
	return append(append(out, spelled, byte(len(text))), text...)
}

func stringMap(v reflect.Value) map[string]string {
	m := map[string]string{}
	for _, key := range v.MapKeys() {
		m[key.String()] = v.MapIndex(key).String()
	}
	return m
}
