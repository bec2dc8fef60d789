package trees_test

import (
	"bytes"
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/sidecar/warn/trees"
)

// drawn returns any model of so many features.
func drawn(t *rapid.T, features int) *trees.Model {
	m := &trees.Model{Features: features, Base: rapid.Float32Range(-5, 5).Draw(t, "base"), Trees: make([]trees.Tree, rapid.IntRange(0, 3).Draw(t, "trees"))}
	for i := range m.Trees {
		tree := &m.Trees[i]
		for k := range tree.Feature {
			tree.Feature[k] = uint8(rapid.IntRange(0, features-1).Draw(t, "feature"))
			tree.Threshold[k] = rapid.Float32Range(-10, 10).Draw(t, "threshold")
		}
		for k := range tree.Leaf {
			tree.Leaf[k] = rapid.Float32Range(-2, 2).Draw(t, "leaf")
		}
	}
	return m
}

func TestAModelIsWhatItWasAfterItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawn(t, rapid.IntRange(1, 255).Draw(t, "features"))
		again, err := trees.Decode(m.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(m, again) {
			t.Fatalf("%+v became %+v", m, again)
		}
	})
}

// The sum is what the splits say, one by one.
func TestARowGoesWhereTheSplitsSendIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawn(t, 4)
		row := rapid.SliceOfN(rapid.Float32Range(-10, 10), 4, 4).Draw(t, "row")
		want := float64(m.Base)
		for _, tree := range m.Trees {
			low, high, at := 0, len(tree.Leaf), 0
			for high-low > 1 {
				middle := (low + high) / 2
				if row[tree.Feature[at]] > tree.Threshold[at] {
					low, at = middle, 2*at+2
				} else {
					high, at = middle, 2*at+1
				}
			}
			want += float64(tree.Leaf[low])
		}
		if got := m.Score(row); got != want {
			t.Fatalf("score %v, want %v", got, want)
		}
		if p := m.Probability(row); math.Abs(math.Log(p/(1-p))-want) > 1e-9 {
			t.Fatalf("probability %v of the score %v", p, want)
		}
	})
}

func FuzzDecodeReadsWhatItTakesAndPanicsAtNothing(f *testing.F) {
	m := &trees.Model{Features: 3, Trees: make([]trees.Tree, 1)}
	f.Add(m.Encode())
	f.Add(m.Encode()[:20])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := trees.Decode(data)
		if err != nil {
			return
		}
		if m.Features > 0 {
			m.Probability(make([]float32, m.Features))
		}
		if !bytes.Equal(m.Encode(), data) {
			t.Error("written again, it is another")
		}
	})
}
