package server

import (
	"math"
	"runtime/debug"
	"testing"
)

func TestTheCollectorKeepsToNineTenthsUnlessItWasToldOtherwise(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	for _, c := range []struct {
		limit int64
		env   string
		want  int64
	}{{256 << 20, "", 256 << 20 / 10 * 9}, {0, "", math.MaxInt64}, {256 << 20, "100MiB", math.MaxInt64}} {
		debug.SetMemoryLimit(math.MaxInt64)
		t.Setenv("GOMEMLIMIT", c.env)
		limitMemory(c.limit)
		if got := debug.SetMemoryLimit(-1); got != c.want {
			t.Errorf("%d with GOMEMLIMIT=%q gave %d, want %d", c.limit, c.env, got, c.want)
		}
	}
}
