package warn

import (
	_ "embed"
	"fmt"
	"math"
	"sync"

	"github.com/debugsidecar/debugsidecar/sidecar/warn/trees"
)

// modelFile is fitted to the laboratory's tuning seeds.
//
//go:generate go run ../../test/stalls fit -o model.bin
//go:embed model.bin
var modelFile []byte

// model says how likely a stall is, of features. That the file is one of these
// features is tested; it is a part of the program.
var model = sync.OnceValue(func() *trees.Model {
	m, err := trees.Decode(modelFile)
	if err == nil && m.Features != len(FeatureNames) {
		err = fmt.Errorf("it has %d features, and there are %d", m.Features, len(FeatureNames))
	}
	if err != nil {
		panic(fmt.Errorf("the embedded model: %w", err))
	}
	return m
})

const (
	// A threat of ruleAt is told of, too, if the model's odds are a fifth of those
	// that it takes without: in the last moments before a stall a rule knows more
	// than the model, which has seen few of them.
	ruleAt = 0.75
	agree  = 0.2
)

// weigh gives a threat the model's probability.
func (d *Detector) weigh(x *depth, t threat) threat {
	if d.options.Observe != nil {
		return t // a model is to be fitted: there is none yet
	}
	rule := t.probability
	t.probability = model().Probability(d.features[:])
	t.certain = t.probability >= d.options.Confidence || rule >= ruleAt && odds(t.probability) >= agree*odds(d.options.Confidence)
	if math.IsInf(t.eta, 1) {
		t.eta = max(d.left(x.buffer), 0)
	}
	return t
}

func odds(p float64) float64 { return p / (1 - p) }

// looks names what a prediction is seen by, if no threat by itself is.
func (d *Detector) looks(t threat) threat {
	if t.what == none {
		if t.what = draining; d.playout.quiet() > 0.1 {
			t.what = silence
		}
	}
	return t
}
