package drop

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/debugsidecar/debugsidecar/bpf/internal/kernel"
)

// reasons are the running kernel's drop reasons. Their numbers are no ABI.
type reasons struct {
	names map[uint32]string
	codes map[string]uint32
}

func runningReasons(types *btf.Spec) (reasons, error) {
	names, err := kernel.Enum(types, "skb_drop_reason")
	if err != nil {
		return reasons{}, err
	}
	r := reasons{names: make(map[uint32]string, len(names)), codes: make(map[string]uint32, len(names))}
	for code, name := range names {
		name = strings.TrimPrefix(name, "SKB_DROP_REASON_")
		// MAX and SUBSYS_MASK bound the enumeration; nothing is dropped for them.
		if name == "MAX" || name == "SUBSYS_MASK" {
			continue
		}
		r.names[code], r.codes[name] = name, code
	}
	return r, nil
}

func (r reasons) name(code uint32) string {
	if name, ok := r.names[code]; ok {
		return name
	}
	// The upper half is a subsystem (SKB_DROP_REASON_SUBSYS_MASK), whose reasons
	// are in its module.
	if code >= 1<<16 {
		return fmt.Sprintf("SUBSYSTEM_%d_%d", code>>16, code&0xffff)
	}
	return fmt.Sprintf("REASON_%d", code)
}

// code returns a reason's number, or one that no drop has.
func (r reasons) code(name string) uint32 {
	if code, ok := r.codes[name]; ok {
		return code
	}
	return ^uint32(0)
}

// Class sorts reasons by what they mean for video.
type Class string

const (
	// ClassLoss is a packet that an application was to get or had sent.
	ClassLoss Class = "loss"
	// ClassNoise is what a healthy node drops all the time: what is left in a
	// socket that closes, old TCP segments, other hosts' packets.
	ClassNoise Class = "noise"
)

// noise are the reasons of ClassNoise. NOT_SPECIFIED is one of them: kernel code
// that gives no reason mostly frees what nobody wants.
var noise = map[string]bool{
	"NOT_SPECIFIED": true, "QUEUE_PURGE": true, "OTHERHOST": true, "SKB_CONSUMED": true, "CONSUMED": true,
	"TCP_OLD_DATA": true, "TCP_OLD_SEQUENCE": true, "TCP_OLD_ACK": true, "TCP_CLOSE": true,
	"UNHANDLED_PROTO": true,
}

// Classify returns the class of a reason, given by its name.
func Classify(reason string) Class {
	if noise[reason] {
		return ClassNoise
	}
	return ClassLoss
}
