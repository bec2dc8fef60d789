package rtp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
)

// tables hold what was read of the maps last; they are as big as the maps, so
// that reading allocates nothing.
type tables struct {
	flowKeys    []tapFlowKey
	flows       []tapFlow
	sources     []tapSource
	controls    []tapControl
	bySource    map[tapSource]int // index into controls
	orphanSince map[tapSource]clock.Ktime
}

func (t *tables) init(flows int) {
	t.flowKeys, t.flows = make([]tapFlowKey, flows), make([]tapFlow, flows)
	t.sources, t.controls = make([]tapSource, 2*flows), make([]tapControl, 2*flows)
	t.bySource, t.orphanSince = map[tapSource]int{}, map[tapSource]clock.Ktime{}
}

// Flows returns all flows, in no order: one read of the kernel's maps. Flows
// that were silent for too long are in it a last time, with Ended set. After
// Close the error is os.ErrClosed.
func (t *Tap) Flows() ([]Flow, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, os.ErrClosed
	}
	t.place.cover()
	n, err := readAll(t.objects.Flows, t.tables.flowKeys, t.tables.flows)
	if err != nil {
		return nil, fmt.Errorf("%s: reading flows: %w", what, err)
	}
	if err := t.readControls(); err != nil {
		return nil, fmt.Errorf("%s: reading RTCP: %w", what, err)
	}
	now := clock.Now()
	flows := make([]Flow, 0, n)
	for i := range n {
		key, raw := &t.tables.flowKeys[i], &t.tables.flows[i]
		if err := t.settle(key, raw); err != nil {
			continue // it went in the meantime
		}
		flow := makeFlow(key, raw)
		if flow.Packets == 0 {
			continue // its first packet is being counted
		}
		if idle := time.Duration(now - flow.Last); now > flow.Last && idle > t.options.IdleTimeout {
			if t.objects.Flows.LookupAndDelete(key, raw) == nil {
				flow = makeFlow(key, raw)
				flow.Ended = true
				t.evicted++
			}
		}
		flow.RateAssumed = t.options.assumed(flow.PayloadType)
		source := tapSource{Saddr: key.Saddr, Daddr: key.Daddr, Ssrc: key.Ssrc, Family: key.Family}
		if c, ok := t.tables.bySource[source]; ok {
			flow.Control = makeControl(&t.tables.controls[c], flow.ClockRate)
			if !flow.Ended {
				delete(t.tables.orphanSince, source)
			}
		}
		flows = append(flows, flow)
	}
	t.forgetOrphans(now)
	return flows, nil
}

// settle reads a flow again that changed while it was read.
func (t *Tap) settle(key *tapFlowKey, f *tapFlow) error {
	for range 100 {
		if f.Version == f.Changed {
			return nil
		}
		if err := t.objects.Flows.Lookup(key, f); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tap) readControls() error {
	n, err := readAll(t.objects.Controls, t.tables.sources, t.tables.controls)
	if err != nil {
		return err
	}
	clear(t.tables.bySource)
	now := clock.Now()
	for i, s := range t.tables.sources[:n] {
		t.tables.bySource[s] = i
		if _, ok := t.tables.orphanSince[s]; !ok {
			t.tables.orphanSince[s] = now // until its flow is found
		}
	}
	return nil
}

// forgetOrphans removes what RTCP said about sources whose media nobody saw for
// so long.
func (t *Tap) forgetOrphans(now clock.Ktime) {
	for source, since := range t.tables.orphanSince {
		if _, ok := t.tables.bySource[source]; !ok {
			delete(t.tables.orphanSince, source)
		} else if time.Duration(now-since) > t.options.IdleTimeout {
			_ = t.objects.Controls.Delete(source)
			delete(t.tables.orphanSince, source)
		}
	}
}

// readAll reads a whole hash map, up to the slices' length.
func readAll[K, V any](m *ebpf.Map, keys []K, values []V) (int, error) {
	var cursor ebpf.MapBatchCursor
	read := 0
	for read < len(keys) {
		n, err := m.BatchLookup(&cursor, keys[read:], values[read:], nil)
		read += n
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return read, nil
		}
		if err != nil {
			return read, err
		}
	}
	return read, nil
}

func unmarshal(b []byte, to any) error {
	if len(b) < binary.Size(to) {
		return fmt.Errorf("an event of %d bytes, %d were expected", len(b), binary.Size(to))
	}
	_, err := binary.Decode(b, binary.NativeEndian, to)
	return err
}
