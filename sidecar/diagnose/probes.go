package diagnose

import (
	"errors"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/drop"
	"github.com/debugsidecar/debugsidecar/bpf/netns"
	"github.com/debugsidecar/debugsidecar/bpf/rtp"
	"github.com/debugsidecar/debugsidecar/bpf/v4l2"
)

// probeFindings opens each of the kernel's probes as the video probe would, and
// closes it again.
func probeFindings() (findings []Finding, tier bpf.Tier) {
	const group = "probes"
	drops := Finding{Group: group, Name: "dropped packets", State: OK, Found: "each one, by the kernel's reason"}
	p, err := drop.Open(drop.Options{Detail: true})
	switch {
	case err != nil:
		drops.State, drops.Found = Limited, err.Error()
		drops.Costs, drops.Takes = "drops, and the queues of sockets", "a readable /proc/thread-self/net"
	case p.Why() != nil:
		tier = bpf.TierUser
		drops.State, drops.Found = Limited, "UDP's counters and its sockets in /proc"
		drops.Costs, drops.Takes = "reasons, and whose packets they were: "+p.Why().Error(), toHave(p.Why())
	default:
		tier = bpf.TierKernel
	}
	if p != nil {
		if err := p.Close(); err != nil {
			drops.Found += "; " + err.Error()
		}
	}
	figures := Finding{Group: group, Name: "RTP", State: OK, Found: "loss, jitter, frames and feedback of all flows"}
	var o rtp.Options
	if netns.IsHost() { // there it refuses without
		o.Ports = []uint16{5004}
		figures.Found += " on ports that are named (this is the node's network)"
	}
	tap, err := rtp.Open(o)
	if err != nil {
		figures.State, figures.Found = Limited, err.Error()
		figures.Costs = "loss, jitter and frames of the pod's own traffic; stalls are foreseen by the sockets' queues alone"
		figures.Takes = toHave(err)
	} else {
		tier = bpf.TierKernel
		if err := tap.Close(); err != nil {
			figures.Found += "; " + err.Error()
		}
	}
	camera := Finding{Group: group, Name: "cameras", State: OK, Found: "frames lost in V4L2's drivers"}
	c, err := v4l2.Open(v4l2.Options{})
	if err != nil {
		camera.State, camera.Found = Limited, err.Error()
		camera.Costs, camera.Takes = "frames that a camera's driver loses", toHave(err)
	} else if err := c.Close(); err != nil {
		camera.Found += "; " + err.Error()
	}
	return []Finding{drops, figures, camera}, tier
}

// toHave says what it takes when capabilities are what is missing; other causes
// are findings of their own.
func toHave(err error) string {
	var unavailable *bpf.UnavailableError
	if errors.As(err, &unavailable) && len(unavailable.Missing) > 0 {
		return forKernelTier
	}
	return ""
}
