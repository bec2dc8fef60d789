// Package trees is a sum of decision trees that gives a probability: a logistic
// regression boosted by trees (Friedman, "Greedy function approximation: a
// gradient boosting machine", 2001). It only evaluates; whoever fits is
// test/stalls/fit.
package trees

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Depth is that of each tree; each is complete, so a tree needs no pointers.
const Depth = 5

const (
	splits = 1<<Depth - 1
	leaves = 1 << Depth
)

// Tree sends a row left at a split unless its feature exceeds the threshold. The
// children of split i are 2i+1 and 2i+2.
type Tree struct {
	Feature   [splits]uint8
	Threshold [splits]float32
	Leaf      [leaves]float32
}

// Model is a sum of trees: the logarithm of the odds.
type Model struct {
	Features int // of a row
	Base     float32
	Trees    []Tree
}

// Score returns the logarithm of the odds for a row.
func (m *Model) Score(row []float32) float64 {
	sum := float64(m.Base)
	for i := range m.Trees {
		sum += float64(m.Trees[i].of(row))
	}
	return sum
}

// Probability returns that of a row.
func (m *Model) Probability(row []float32) float64 { return 1 / (1 + math.Exp(-m.Score(row))) }

func (t *Tree) of(row []float32) float32 {
	at := 0
	for range Depth {
		if row[t.Feature[at]] > t.Threshold[at] {
			at = 2*at + 2
		} else {
			at = 2*at + 1
		}
	}
	return t.Leaf[at-splits]
}

const magic = "trees\x00\x00\x01"

// Encode returns the model's bytes.
func (m *Model) Encode() []byte {
	out := append([]byte(magic), byte(m.Features))
	out = binary.LittleEndian.AppendUint32(out, math.Float32bits(m.Base))
	out, _ = binary.Append(out, binary.LittleEndian, m.Trees)
	return out
}

// Decode reads what Encode wrote.
func Decode(data []byte) (*Model, error) {
	const head = len(magic) + 1 + 4
	if len(data) < head || string(data[:len(magic)]) != magic {
		return nil, errors.New("no model of trees")
	}
	m := &Model{Features: int(data[len(magic)]), Base: math.Float32frombits(binary.LittleEndian.Uint32(data[len(magic)+1:]))}
	size := binary.Size(Tree{})
	if (len(data)-head)%size != 0 {
		return nil, fmt.Errorf("model of trees: %d bytes are no whole trees", len(data))
	}
	m.Trees = make([]Tree, (len(data)-head)/size)
	if _, err := binary.Decode(data[head:], binary.LittleEndian, m.Trees); err != nil {
		return nil, fmt.Errorf("model of trees: %w", err)
	}
	for i := range m.Trees {
		for _, f := range m.Trees[i].Feature {
			if int(f) >= m.Features {
				return nil, fmt.Errorf("model of trees: tree %d asks for feature %d of %d", i, f, m.Features)
			}
		}
	}
	return m, nil
}
