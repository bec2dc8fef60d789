package podbytes

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

func TestAPodComesBackFromItsBytes(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	for range 3000 {
		data := make([]byte, 1+random.Uint64()%300)
		random.Read(data) //nolint:errcheck // never fails
		pod := NewReader(data).Pod()
		back := NewReader(Encode(pod)).Pod()
		if !equality.Semantic.DeepEqual(pod, back) {
			want, _ := json.Marshal(pod)
			got, _ := json.Marshal(back)
			t.Fatalf("%x: the pod\n%s\ncame back as\n%s", data, want, got)
		}
	}
}

// Every field of the API, also one that it will gain, can be set by some bytes.
func TestEveryFieldOfThePodSpecIsReached(t *testing.T) {
	var walk func(typ reflect.Type, at string, depth int)
	walk = func(typ reflect.Type, at string, depth int) {
		if depth > 12 {
			t.Fatalf("%s: the types are recursive", at)
		}
		all := steps(typ)
		if len(all) > 255 {
			t.Errorf("%s has %d fields, and a byte chooses one of 255", at, len(all))
		}
		reached := map[string]bool{}
		for i, s := range all {
			where := s.owner + "." + s.name
			v := reflect.New(typ).Elem()
			// The field; then the end of what is in it, or a value; the rest is unset.
			r := NewReader([]byte{byte(i + 1), 1, 1, 1})
			r.value(v, "")
			field := v.FieldByIndex(s.index)
			holdsNothing := field.Kind() == reflect.Struct && len(steps(field.Type())) == 0
			if field.IsZero() && !holdsNothing {
				t.Errorf("%s: %s stays unset", at, where)
			}
			reached[where] = true
			if inner := bare(field.Type()); inner.Kind() == reflect.Struct {
				walk(inner, at+"."+s.name, depth+1)
			}
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			if !f.Anonymous && !opaque(bare(f.Type)) && !reached[typ.Name()+"."+f.Name] {
				t.Errorf("%s: %s can't be chosen", at, f.Name)
			}
		}
	}
	walk(reflect.TypeFor[corev1.PodSpec](), "spec", 0)
}

func TestBytesThatEndLeaveTheRestUnset(t *testing.T) {
	if pod := NewReader(nil).Pod(); !equality.Semantic.DeepEqual(pod, &corev1.Pod{}) {
		t.Errorf("no bytes are the pod %+v", pod)
	}
}
