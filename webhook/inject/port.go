package inject

const (
	// firstPort is where a sidecar serves its metrics if the port is free.
	firstPort = 9400
	// loopbackPort is the sidecar's own, on loopback.
	loopbackPort = 9401

	lowestPort  = 1024 // below, only privileged programs can listen
	highestPort = 65535
)

// freePort returns the first port from firstPort, and then from lowestPort,
// that no other container of the pod declares.
func freePort(pod podOf, e *existing) (int32, bool) {
	if !declares(pod, e, firstPort) {
		return firstPort, true
	}
	used := map[int32]bool{loopbackPort: true}
	visitOthers(pod, e, func(c *containerOf) bool {
		for _, p := range c.Ports {
			used[p.ContainerPort] = true
		}
		return true
	})
	for port := int32(firstPort); port <= highestPort; port++ {
		if !used[port] {
			return port, true
		}
	}
	for port := int32(lowestPort); port < firstPort; port++ {
		if !used[port] {
			return port, true
		}
	}
	return 0, false
}

// declares says whether a container of the pod's owner declares the port.
func declares(pod podOf, e *existing, port int32) bool {
	return !visitOthers(pod, e, func(c *containerOf) bool {
		for _, p := range c.Ports {
			if p.ContainerPort == port {
				return false
			}
		}
		return true
	})
}
