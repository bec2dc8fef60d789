package sandbox

import "time"

// Limits bound what is read, and what an evaluation may take.
type Limits struct {
	Time    time.Duration // of one evaluation
	Memory  uint64        // bytes by which the heap may grow meanwhile
	Results int           // members of a set that an evaluation gives
}

// Limits of what is read.
const (
	MaxFiles     = 128
	MaxFileBytes = 64 << 10
	MaxBytes     = 1 << 20 // of all files; no ConfigMap holds more
	maxNesting   = 100
)
