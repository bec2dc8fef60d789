// Package ring reads events that a BPF program writes into a ring buffer, cheap
// when there are many and at no cost when there are none.
//
// The program wakes the reader only if it has not done so within the last
// millisecond, as a wake-up costs four times what the event does. So once it is
// woken, the reader looks again every few milliseconds until it finds nothing,
// and only then blocks.
package ring

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
)

// poll is how often the ring is looked at while there is something in it. It is
// longer than what the program waits between wake-ups: after poll without an
// event, the next one wakes the reader.
const poll = 5 * time.Millisecond

// ErrBusy says that somebody reads the ring already.
var ErrBusy = errors.New("somebody reads the events already")

// Reader reads one ring buffer.
type Reader struct {
	reading sync.Mutex
	ring    *ringbuf.Reader
}

// NewReader returns a reader of a map of type BPF_MAP_TYPE_RINGBUF.
func NewReader(ring *ebpf.Map) (*Reader, error) {
	r, err := ringbuf.NewReader(ring)
	if err != nil {
		return nil, err
	}
	return &Reader{ring: r}, nil
}

// Each calls fn for each event until ctx ends, when it reads what is there and
// returns ctx's error; until Close (os.ErrClosed); or until fn fails. The bytes
// belong to fn until it returns.
func (r *Reader) Each(ctx context.Context, fn func([]byte) error) error {
	if !r.reading.TryLock() {
		return ErrBusy
	}
	defer r.reading.Unlock()
	// Flush makes the reader return what is in the ring, then ErrFlushed.
	stop := context.AfterFunc(ctx, func() { _ = r.ring.Flush() })
	defer stop()

	var record ringbuf.Record
	quiet := true
	for {
		deadline := time.Time{}
		if !quiet {
			deadline = time.Now().Add(poll)
		}
		r.ring.SetDeadline(deadline)
		n, err := r.drain(&record, quiet, fn)
		switch {
		case err == nil:
			quiet = false // those that follow may wake nobody
		case errors.Is(err, os.ErrDeadlineExceeded):
			quiet = n == 0
		case errors.Is(err, ringbuf.ErrFlushed):
			if ctx.Err() != nil {
				return ctx.Err()
			}
			quiet = false // the flush of an earlier call
		case errors.Is(err, ringbuf.ErrClosed):
			return os.ErrClosed
		default:
			return err
		}
	}
}

// drain reads until the ring has nothing more at the reader's deadline, or only
// the first event, and returns how many events that were.
func (r *Reader) drain(record *ringbuf.Record, first bool, fn func([]byte) error) (n int, err error) {
	for {
		if err := r.ring.ReadInto(record); err != nil {
			return n, err
		}
		n++
		if err := fn(record.RawSample); err != nil || first {
			return n, err
		}
	}
}

// Close ends the reader; Each returns.
func (r *Reader) Close() error {
	if r == nil {
		return nil
	}
	return r.ring.Close()
}
