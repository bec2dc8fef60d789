package selinux

import (
	"strconv"
	"strings"
	"testing"
)

// FuzzRange: what is read is written in one form, which is read as the same; and
// containment is what a model with maps says.
func FuzzRange(f *testing.F) {
	for text, canonical := range readable {
		f.Add(text, canonical)
		f.Add(canonical, "s0-s0:c0.c1023")
	}
	for text := range unreadable {
		f.Add(text, "s0")
	}
	f.Fuzz(func(t *testing.T, text, other string) {
		r, err := ParseRange(text)
		if err != nil {
			return
		}
		canonical := r.String()
		again, err := ParseRange(canonical)
		if err != nil || again != r || again.String() != canonical {
			t.Fatalf("%q is written as %q, and that read as %q, %v", text, canonical, again, err)
		}
		if !r.Contains(r) || !r.Contains(Range{r.Low, r.Low}) || !r.Contains(Range{r.High, r.High}) {
			t.Fatalf("%s does not contain itself", canonical)
		}
		o, err := ParseRange(other)
		if err != nil {
			return
		}
		if got, want := r.Contains(o), modelOf(text).contains(modelOf(other)); got != want {
			t.Fatalf("%s contains %s: %t, want %t", text, other, got, want)
		}
		if both := r.Contains(o) && o.Contains(r); both != (r == o) {
			t.Fatalf("%s and %s contain each other: %t", r, o, both)
		}
	})
}

// model is a range made in the plainest way: from a text that can be read.
type model [2]struct {
	sensitivity int
	categories  map[int]bool
}

func modelOf(text string) (m model) {
	parts := strings.Split(text, "-")
	for i := range m {
		sensitivity, list, has := strings.Cut(parts[min(i, len(parts)-1)], ":")
		m[i].sensitivity, _ = strconv.Atoi(sensitivity[1:])
		m[i].categories = map[int]bool{}
		if !has {
			continue
		}
		for _, item := range strings.Split(list, ",") {
			ends := strings.Split(item, ".")
			first, _ := strconv.Atoi(ends[0][1:])
			last, _ := strconv.Atoi(ends[len(ends)-1][1:])
			for c := first; c <= last; c++ {
				m[i].categories[c] = true
			}
		}
	}
	return m
}

func (m model) contains(other model) bool {
	dominates := func(m model, i int, other model, j int) bool {
		for c := range other[j].categories {
			if !m[i].categories[c] {
				return false
			}
		}
		return m[i].sensitivity >= other[j].sensitivity
	}
	return dominates(other, 0, m, 0) && dominates(m, 1, other, 1)
}
