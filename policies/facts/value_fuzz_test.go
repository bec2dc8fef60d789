package facts

import (
	"slices"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A name with a zero byte is valid JSON, and is one name: "ALL" is not dropped.
func TestANameIsNotHiddenInAnother(t *testing.T) {
	dropped := listValue([]string{"X\x00ALL"})
	if dropped.term().Equal(ast.MustParseTerm(`{"X", "ALL"}`)) || dropped == listValue([]string{"X", "ALL"}) {
		t.Errorf("one name became %v", dropped.Names())
	}
}

// FuzzValue takes values through Rego's terms and back.
func FuzzValue(f *testing.F) {
	f.Add("ALL", "NET_RAW", "", int64(0), true)
	f.Add("X\x00ALL", "3:ALL", "ALL", int64(-1), false)
	f.Add("1:a", ":", "\xff", int64(1)<<62, false)
	f.Fuzz(func(t *testing.T, a, b, c string, n int64, yes bool) {
		for _, names := range [][]string{{}, {a}, {a, b}, {a, b, c}} {
			list := listValue(names)
			slices.Sort(names)
			if want := slices.Compact(names); !slices.Equal(list.members(), want) {
				t.Errorf("the list of %q holds %q", want, list.members())
			}
			there(t, list)
		}
		for _, value := range []Value{{}, stringValue(a), stringValue(b), numberValue(n), boolValue(yes), optional(&yes), optional(nil)} {
			there(t, value)
		}
		if (listValue([]string{a, b}) == listValue([]string{c})) != (a == b && b == c) {
			t.Errorf("%q, %q and %q are told apart wrongly", a, b, c)
		}
		if kind, known := KindOf(a); known && kind.String() != a {
			t.Errorf("the kind %q is called %q", a, kind)
		}
	})
}

// there checks that a value comes back from Rego as it went.
func there(t *testing.T, value Value) {
	t.Helper()
	if back, err := ValueOf(value.term()); err != nil || back != value {
		t.Errorf("%v comes back as %v, %v", value, back, err)
	}
}
