package drop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/internal/kernel"
	"github.com/debugsidecar/debugsidecar/bpf/internal/ring"
)

// kernelSource counts with a BPF program on kfree_skb.
type kernelSource struct {
	objects probeObjects
	links   []link.Link
	reasons reasons
	detail  bool
	all     bool // every network namespace
	ring    *ring.Reader
}

func openKernel(o Options) (*kernelSource, error) {
	if err := kernel.Require(what, bpf.BPF, bpf.Perfmon); err != nil {
		return nil, err
	}
	types, err := kernel.Types()
	if err != nil {
		return nil, &bpf.UnavailableError{What: what, Err: err}
	}
	k := &kernelSource{detail: o.Detail, all: o.Target.All}
	if err := k.load(types, o); err != nil {
		return nil, errors.Join(kernel.Explain(what, err), k.close())
	}
	return k, nil
}

func (k *kernelSource) load(types *btf.Spec, o Options) error {
	var err error
	if k.reasons, err = runningReasons(types); err != nil {
		return err
	}
	args, err := kernel.TracepointArgs(types, "kfree_skb")
	if err != nil {
		return err
	}
	if args < 3 {
		return fmt.Errorf("tracepoint kfree_skb gives no reason: %w", ebpf.ErrNotSupported)
	}
	hasReceiver := args > 3

	spec, err := loadProbe()
	if err != nil {
		return err
	}
	constants := map[string]any{
		"has_rx_sk": hasReceiver, "detail": o.Detail, "all": o.Target.All, "cgroup_id": o.Target.Cgroup,
		"reason_rcvbuff":   k.reasons.code("SOCKET_RCVBUFF"),
		"reason_proto_mem": k.reasons.code("PROTO_MEM"),
	}
	if len(o.Target.Netns) == 1 {
		constants["only"] = o.Target.Netns[0]
	}
	for name, value := range constants {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("setting %s: %w", name, err)
		}
	}
	events := spec.Maps["events"]
	switch {
	case !o.Detail:
		events.MaxEntries = uint32(os.Getpagesize())
	case o.RingBytes != 0:
		events.MaxEntries = uint32(o.RingBytes)
	}
	if limit := int(spec.Maps["netns"].MaxEntries); len(o.Target.Netns) > limit {
		return fmt.Errorf("%d network namespaces, %d at most", len(o.Target.Netns), limit)
	}
	if err := spec.LoadAndAssign(&k.objects, &ebpf.CollectionOptions{
		Programs: ebpf.ProgramOptions{KernelTypes: types},
	}); err != nil {
		return fmt.Errorf("loading: %w", err)
	}
	for _, inode := range o.Target.Netns {
		if err := k.objects.Netns.Put(inode, uint8(1)); err != nil {
			return fmt.Errorf("network namespace %d: %w", inode, err)
		}
	}
	if k.ring, err = ring.NewReader(k.objects.Events); err != nil {
		return err
	}
	if !hasReceiver {
		if err := k.attach(k.objects.DropUdpFail); err != nil {
			return err
		}
	}
	return k.attach(k.objects.DropKfreeSkb)
}

func (k *kernelSource) attach(program *ebpf.Program) error {
	l, err := link.AttachTracing(link.TracingOptions{Program: program, AttachType: ebpf.AttachTraceRawTp})
	if err != nil {
		return fmt.Errorf("attaching %v: %w", program, err)
	}
	k.links = append(k.links, l)
	return nil
}

func (k *kernelSource) counts() ([]Count, error) {
	all, err := k.read()
	if err != nil || k.all {
		return all, err
	}
	return slices.DeleteFunc(all, func(c Count) bool { return c.Netns == 0 }), nil
}

// read returns all counters; those without a network namespace are whose nobody
// knows.
func (k *kernelSource) read() ([]Count, error) {
	var counts []Count
	var key probeKey
	var perCPU []uint64
	entries := k.objects.Counts.Iterate()
	for entries.Next(&key, &perCPU) {
		c := Count{Netns: key.Netns, Reason: k.reasons.name(key.Reason), Family: key.Family, Proto: key.Proto}
		for _, n := range perCPU {
			c.Drops += n
		}
		counts = append(counts, c)
	}
	if err := entries.Err(); err != nil {
		return nil, fmt.Errorf("reading counters of drops: %w", err)
	}
	return counts, nil
}

func (k *kernelSource) stats() (Stats, error) {
	var s Stats
	var perCPU []probeState
	if err := k.objects.States.Lookup(uint32(0), &perCPU); err != nil {
		return s, fmt.Errorf("reading the probe's state: %w", err)
	}
	for _, state := range perCPU {
		s.LostEvents += state.Lost
		s.OverflowedDrops += state.Overflow
	}
	counts, err := k.read()
	if err != nil {
		return s, err
	}
	for _, c := range counts {
		switch {
		case c.Netns != 0:
		case Classify(c.Reason) == ClassNoise:
			s.UnattributedNoise += c.Drops
		default:
			s.UnattributedDrops += c.Drops
		}
	}
	for _, program := range []*ebpf.Program{k.objects.DropKfreeSkb, k.objects.DropUdpFail} {
		ran, err := program.Stats()
		if err != nil {
			return s, fmt.Errorf("reading the program's statistics: %w", err)
		}
		s.MissedRuns += ran.RecursionMisses
	}
	return s, nil
}

func (k *kernelSource) events(ctx context.Context, fn func(Event)) error {
	if !k.detail {
		return &bpf.UnavailableError{What: "events of drops", Err: errors.New("needs Options.Detail")}
	}
	return k.ring.Each(ctx, func(sample []byte) error {
		event, err := decode(sample, k.reasons)
		if err == nil {
			fn(event)
		}
		return err
	})
}

func (k *kernelSource) close() error {
	var errs []error
	for _, l := range k.links {
		errs = append(errs, l.Close())
	}
	return errors.Join(append(errs, k.ring.Close(), k.objects.Close())...)
}
