package server

import (
	"os"
	"runtime/debug"
)

// limitMemory makes the garbage collector work harder towards the container's
// limit, so that a burst of large requests costs time and not the process. What
// the limit counts besides the heap has the other tenth.
func limitMemory(limit int64) {
	if limit > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit / 10 * 9)
	}
}
