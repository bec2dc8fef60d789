package fit_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/debugsidecar/debugsidecar/test/stalls/fit"
)

// either is true where one of two features is high, but not both: no single
// split tells it.
func either(n int, seed uint64) *fit.Data {
	r := rand.New(rand.NewPCG(seed, 1))
	d := &fit.Data{Features: 3}
	for range n {
		row := []float32{r.Float32(), r.Float32(), r.Float32()}
		d.Add(row, (row[0] > .6) != (row[2] > .3))
	}
	return d
}

var options = fit.Options{Trees: 30, Rate: .3, Lambda: 1, MinHess: 1}

func TestBoostLearnsWhatNoSingleFeatureTells(t *testing.T) {
	m := fit.Boost(either(5000, 1), options, nil)
	fresh := either(2000, 2)
	right := 0
	for i, y := range fresh.Label {
		if (m.Probability(fresh.Rows[3*i:3*i+3]) > .5) == y {
			right++
		}
	}
	if share := float64(right) / 2000; share < .97 {
		t.Errorf("%.3f of fresh rows are right", share)
	}
}

func TestProbabilitiesAreThoseThatTheDataHave(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	d := &fit.Data{Features: 1}
	for range 20000 {
		x := r.Float32()
		d.Add([]float32{x}, r.Float32() < x)
	}
	m := fit.Boost(d, options, nil)
	for _, x := range []float32{.1, .3, .5, .7, .9} {
		if p := m.Probability([]float32{x}); p < float64(x)-.1 || p > float64(x)+.1 {
			t.Errorf("the probability of %v is given as %.2f", x, p)
		}
	}
}

func TestTheLossFallsAndTheSameDataGiveTheSameModel(t *testing.T) {
	var losses []float64
	a := fit.Boost(either(3000, 1), options, func(_ int, loss float64) { losses = append(losses, loss) })
	if losses[len(losses)-1] > losses[0]/2 {
		t.Errorf("the loss goes from %.3f to %.3f", losses[0], losses[len(losses)-1])
	}
	if b := fit.Boost(either(3000, 1), options, nil); !bytes.Equal(a.Encode(), b.Encode()) {
		t.Error("two fits differ")
	}
}

func TestDataOfOneKindGiveAModelAllTheSame(t *testing.T) {
	d := &fit.Data{Features: 1}
	for i := range 100 {
		d.Add([]float32{float32(i)}, false)
	}
	if p := fit.Boost(d, options, nil).Probability([]float32{3}); !(p >= 0 && p < .05) {
		t.Errorf("what never happened has the probability %v", p)
	}
}
