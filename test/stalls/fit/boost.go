// Package fit fits a model of trees to what detectors observed and what then
// happened.
package fit

import (
	"math"
	"runtime"
	"slices"
	"sync"

	"github.com/debugsidecar/debugsidecar/sidecar/warn/trees"
)

// Data are rows of features, each with what came of it.
type Data struct {
	Features int
	Rows     []float32 // row by row
	Label    []bool
}

// Add appends a row.
func (d *Data) Add(row []float32, label bool) {
	d.Rows, d.Label = append(d.Rows, row...), append(d.Label, label)
}

// Len returns how many rows there are.
func (d *Data) Len() int { return len(d.Label) }

// Options of Boost.
type Options struct {
	Trees   int
	Rate    float64 // by which each tree counts
	Lambda  float64 // L2 regularisation of leaves
	MinHess float64 // the least weight of a leaf
}

const bins = 128

// Boost fits a model.
func Boost(d *Data, o Options, progress func(tree int, loss float64)) *trees.Model {
	n := d.Len()
	edges, codes := quantise(d)
	positive, total := 1.0, float64(n)+2
	for _, y := range d.Label {
		if y {
			positive++
		}
	}
	m := &trees.Model{Features: d.Features, Base: float32(math.Log(positive / (total - positive)))}
	score := make([]float32, n)
	for i := range score {
		score[i] = m.Base
	}
	grad, hess := make([]float32, n), make([]float32, n)
	node := make([]uint16, n)
	for t := range o.Trees {
		var mutex sync.Mutex
		loss := 0.0
		parts(n, func(from, to int) {
			sum := 0.0
			for i := from; i < to; i++ {
				p := 1 / (1 + math.Exp(-float64(score[i])))
				y := 0.0
				if d.Label[i] {
					y = 1
					sum -= math.Log(max(p, 1e-9))
				} else {
					sum -= math.Log(max(1-p, 1e-9))
				}
				grad[i] = float32(p - y)
				hess[i] = float32(p * (1 - p))
				node[i] = 0
			}
			mutex.Lock()
			defer mutex.Unlock()
			loss += sum
		})
		var tree trees.Tree
		var cut [1<<trees.Depth - 1]int // the bin up to which rows go left
		for level := range trees.Depth {
			first, count := 1<<level-1, 1<<level
			grow(&tree, &cut, codes, edges, grad, hess, node, first, count, o)
			parts(n, func(from, to int) {
				for i := from; i < to; i++ {
					at := int(node[i])
					if int(codes[tree.Feature[at]][i]) > cut[at] {
						node[i] = uint16(2*at + 2)
					} else {
						node[i] = uint16(2*at + 1)
					}
				}
			})
		}
		const leaves = 1 << trees.Depth
		var g, h [leaves]float64
		for i := range n {
			leaf := int(node[i]) - (leaves - 1)
			g[leaf] += float64(grad[i])
			h[leaf] += float64(hess[i])
		}
		for leaf := range leaves {
			tree.Leaf[leaf] = float32(-o.Rate * g[leaf] / (h[leaf] + o.Lambda))
		}
		for i := range n {
			score[i] += tree.Leaf[int(node[i])-(leaves-1)]
		}
		m.Trees = append(m.Trees, tree)
		if progress != nil {
			progress(t, loss/total)
		}
	}
	return m
}

// grow finds the best split of each node of a level.
func grow(tree *trees.Tree, cut *[1<<trees.Depth - 1]int, codes [][]uint8, edges [][]float32, grad, hess []float32, node []uint16, first, count int, o Options) {
	type best struct {
		gain      float64
		feature   int
		bin       int
		threshold float32
	}
	found := make([][]best, len(codes))
	var wait sync.WaitGroup
	slots := make(chan struct{}, 2)
	for f := range codes {
		wait.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; wait.Done() }()
			sums := make([][bins][2]float32, count)
			for i, c := range codes[f] {
				cell := &sums[int(node[i])-first][c]
				cell[0] += grad[i]
				cell[1] += hess[i]
			}
			found[f] = make([]best, count)
			for k := range count {
				var g, h float64
				for _, c := range sums[k] {
					g, h = g+float64(c[0]), h+float64(c[1])
				}
				var lg, lh float64
				for b := range len(edges[f]) {
					lg, lh = lg+float64(sums[k][b][0]), lh+float64(sums[k][b][1])
					rg, rh := g-lg, h-lh
					if lh < o.MinHess || rh < o.MinHess {
						continue
					}
					gain := lg*lg/(lh+o.Lambda) + rg*rg/(rh+o.Lambda) - g*g/(h+o.Lambda)
					if gain > found[f][k].gain {
						found[f][k] = best{gain, f, b, edges[f][b]}
					}
				}
			}
		}()
	}
	wait.Wait()
	for k := range count {
		b := best{bin: bins, threshold: float32(math.Inf(1))}
		for f := range found {
			if found[f][k].gain > b.gain {
				b = found[f][k]
			}
		}
		tree.Feature[first+k], tree.Threshold[first+k] = uint8(b.feature), b.threshold
		cut[first+k] = b.bin
	}
}

// parts runs a function over n rows, in as many parts as there are processors.
func parts(n int, over func(from, to int)) {
	var wait sync.WaitGroup
	k := runtime.GOMAXPROCS(0)
	for i := range k {
		wait.Go(func() { over(n*i/k, n*(i+1)/k) })
	}
	wait.Wait()
}

// quantise cuts each feature into bins of about as many rows; edges are the
// largest values of all but the last bin.
func quantise(d *Data) (edges [][]float32, codes [][]uint8) {
	n := d.Len()
	edges, codes = make([][]float32, d.Features), make([][]uint8, d.Features)
	for f := range d.Features {
		var some []float32
		for i := 0; i < n; i += max(1, n/100000) {
			some = append(some, d.Rows[i*d.Features+f])
		}
		slices.Sort(some)
		for b := 1; b < bins; b++ {
			v := some[len(some)*b/bins]
			if e := edges[f]; len(e) == 0 || v > e[len(e)-1] {
				edges[f] = append(edges[f], v)
			}
		}
		codes[f] = make([]uint8, n)
		for i := range n {
			at, _ := slices.BinarySearch(edges[f], d.Rows[i*d.Features+f])
			codes[f][i] = uint8(at)
		}
	}
	return edges, codes
}
