package podbytes

import (
	"encoding/binary"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Reader takes pods and choices from bytes.
type Reader struct{ rest []byte }

// NewReader returns a reader of data.
func NewReader(data []byte) *Reader { return &Reader{data} }

// Byte returns the next byte, zero after the last.
func (r *Reader) Byte() byte {
	if len(r.rest) == 0 {
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// Below returns a number from 0 to n-1.
func (r *Reader) Below(n int) int { return int(r.Byte()) % n }

// Pod returns the next pod.
func (r *Reader) Pod() *corev1.Pod {
	pod := &corev1.Pod{}
	r.value(reflect.ValueOf(&pod.Spec).Elem(), "")
	r.value(reflect.ValueOf(&pod.Annotations).Elem(), annotationKey)
	return pod
}

// Container returns the next container.
func (r *Reader) Container() corev1.Container {
	var c corev1.Container
	r.value(reflect.ValueOf(&c).Elem(), "")
	return c
}

// spelled is the first byte of a value that is spelled out.
const spelled = 0xff

func (r *Reader) value(v reflect.Value, where string) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		r.value(v.Elem(), where)
	case reflect.Struct:
		all := steps(v.Type())
		if len(all) == 0 {
			return
		}
		for b := r.Byte(); b != 0; b = r.Byte() {
			s := all[int(b-1)%len(all)]
			r.value(v.FieldByIndex(s.index), s.owner+"."+s.name)
		}
	case reflect.Slice:
		item := reflect.New(v.Type().Elem()).Elem()
		r.value(item, where)
		if v.Len() < maxItems {
			v.Set(reflect.Append(v, item))
		}
	case reflect.Map:
		r.entries(v, where)
	case reflect.Bool:
		v.SetBool(r.Byte()&1 == 1)
	case reflect.String:
		v.SetString(r.text(valuesOf(where)))
	case reflect.Int32, reflect.Int64, reflect.Int:
		n := r.number()
		if v.OverflowInt(n) {
			n = int64(int32(n))
		}
		v.SetInt(n)
	case reflect.Uint8:
		v.SetUint(uint64(r.Byte()))
	default:
		panic("no value for " + where + ", a " + v.Type().String())
	}
}

// entries sets entries of a map of strings, as many as a byte says.
func (r *Reader) entries(v reflect.Value, where string) {
	valuesAt := where
	if where == annotationKey {
		valuesAt = annotationValue
	}
	for range r.Below(maxItems + 1) {
		key, value := r.text(valuesOf(where)), r.text(valuesOf(valuesAt))
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		if v.Len() == maxItems {
			continue
		}
		v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), reflect.ValueOf(value).Convert(v.Type().Elem()))
	}
}

func (r *Reader) text(known []string) string {
	b := r.Byte()
	if b != spelled {
		return known[int(b)%len(known)]
	}
	n := min(int(r.Byte()), len(r.rest))
	text := string(r.rest[:n])
	r.rest = r.rest[n:]
	return strings.ToValidUTF8(text, "?") // as JSON would have it
}

func (r *Reader) number() int64 {
	b := r.Byte()
	if b != spelled {
		return numbers[int(b)%len(numbers)]
	}
	var eight [8]byte
	r.rest = r.rest[copy(eight[:], r.rest):]
	return int64(binary.BigEndian.Uint64(eight[:]))
}
