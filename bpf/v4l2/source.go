package v4l2

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/bpf/internal/kernel"
	"github.com/debugsidecar/debugsidecar/bpf/internal/ring"
)

// modules have the tracepoints and their types, unless the kernel has them
// itself.
var modules = []string{"videobuf2_common", "videobuf2_v4l2", "videodev"}

// absentError says that no camera's driver is there yet.
type absentError struct{ missing []string }

func (e *absentError) Error() string {
	return fmt.Sprintf("%s: waiting for the kernel's modules %s", what, strings.Join(e.missing, ", "))
}

// source is the programs once they are attached.
type source struct {
	objects probeObjects
	links   []link.Link
	ring    *ring.Reader

	mu  sync.Mutex
	ids map[uint64]uint64 // by the queue's address, which is nobody's business
}

func (s *source) id(address uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.ids[address]
	if !ok {
		id = uint64(len(s.ids) + 1)
		s.ids[address] = id
	}
	return id
}

// forgottenAfter is how long a queue that is not the target's may be idle.
const forgottenAfter = time.Minute

func openSource(target bpf.Target) (*source, error) {
	types, err := kernel.Types()
	if err != nil {
		return nil, err
	}
	var extra []*btf.Spec
	if _, err := kernel.TracepointArgs(types, "vb2_buf_done"); err != nil {
		var absent absentError
		for _, name := range modules {
			spec, err := btf.LoadKernelModuleSpec(name)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				absent.missing = append(absent.missing, name)
			case err != nil:
				return nil, fmt.Errorf("types of module %s: %w", name, err)
			default:
				extra = append(extra, spec)
			}
		}
		if absent.missing != nil {
			return nil, &absent
		}
	}
	s := &source{ids: map[uint64]uint64{}}
	if err := s.load(types, extra, target); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *source) load(types *btf.Spec, extra []*btf.Spec, target bpf.Target) error {
	spec, err := loadProbe()
	if err != nil {
		return err
	}
	if err := spec.Variables["all"].Set(target.All); err != nil {
		return err
	}
	if err := spec.Variables["cgroup_id"].Set(target.Cgroup); err != nil {
		return err
	}
	if limit := int(spec.Maps["netns"].MaxEntries); len(target.Netns) > limit {
		return fmt.Errorf("%d network namespaces, %d at most", len(target.Netns), limit)
	}
	err = spec.LoadAndAssign(&s.objects, &ebpf.CollectionOptions{
		Programs: ebpf.ProgramOptions{KernelTypes: types, ExtraRelocationTargets: extra},
	})
	if err != nil {
		return fmt.Errorf("loading: %w", err)
	}
	for _, inode := range target.Netns {
		if err := s.objects.Netns.Put(inode, uint8(1)); err != nil {
			return fmt.Errorf("network namespace %d: %w", inode, err)
		}
	}
	if s.ring, err = ring.NewReader(s.objects.Events); err != nil {
		return err
	}
	// The readers first: a queue whose reader is unknown is nobody's.
	for _, at := range []struct {
		tracepoint string
		program    *ebpf.Program
	}{
		{"v4l2_dqbuf", s.objects.V4l2Dqbuf}, {"vb2_dqbuf", s.objects.V4l2Vb2Dqbuf}, {"vb2_buf_done", s.objects.V4l2BufDone},
	} {
		l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: at.tracepoint, Program: at.program})
		if err != nil {
			return fmt.Errorf("attaching to %s: %w", at.tracepoint, err)
		}
		s.links = append(s.links, l)
	}
	return nil
}

func (s *source) queues() ([]Queue, error) {
	var queues []Queue
	var address uint64
	var q probeQueue
	now := uint64(clock.Now())
	entries := s.objects.Queues.Iterate()
	for entries.Next(&address, &q) {
		if q.Ours == 0 {
			if now > q.LastKtime && time.Duration(now-q.LastKtime) > forgottenAfter {
				_ = s.objects.Queues.Delete(address)
			}
			continue
		}
		queues = append(queues, Queue{
			ID: s.id(address), Minor: int(q.Minor), Frames: q.Frames, Errors: q.Errors, Gaps: q.Gaps, Lost: q.Lost,
			Flushed: q.Flushed, Restarts: q.Restarts, Dequeued: q.Dequeued,
			Last: clock.Ktime(q.LastKtime), LastDequeued: clock.Ktime(q.DequeuedKtime),
		})
	}
	if err := entries.Err(); err != nil {
		return nil, fmt.Errorf("%s: reading: %w", what, err)
	}
	return queues, nil
}

func (s *source) stats() (stats Stats, err error) {
	var perCPU []probeState
	if err := s.objects.States.Lookup(uint32(0), &perCPU); err != nil {
		return stats, fmt.Errorf("%s: reading the state: %w", what, err)
	}
	for _, state := range perCPU {
		stats.OverflowedBuffers += state.Overflow
		stats.LostEvents += state.EventsLost
	}
	return stats, nil
}

func (s *source) events(ctx context.Context, fn func(Event)) error {
	return s.ring.Each(ctx, func(sample []byte) error {
		var e probeEvent
		if _, err := binary.Decode(sample, binary.NativeEndian, &e); err != nil {
			return err
		}
		fn(Event{
			Ktime: clock.Ktime(e.Ktime), Queue: s.id(e.Queue), Minor: int(e.Minor),
			Kind: Kind(e.Kind), Sequence: e.Sequence, Count: int(e.Count),
		})
		return nil
	})
}

func (s *source) close() error {
	var errs []error
	for _, l := range s.links {
		errs = append(errs, l.Close())
	}
	return errors.Join(append(errs, s.ring.Close(), s.objects.Close())...)
}
