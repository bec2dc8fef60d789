package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/debugsidecar/debugsidecar/test/cluster/internal/protocol"
)

// containerdSocket is in the node's own /run.
const containerdSocket = "/run/containerd/containerd.sock"

// capSysResource is CAP_SYS_RESOURCE (linux/capability.h).
const capSysResource = 24

// writeContainerd writes the configuration of containerd and of the pods' network.
func (c *Cluster) writeContainerd() error {
	limited, err := lacks(capSysResource)
	if err != nil {
		return err
	}
	p := c.node.programs
	text := fmt.Sprintf(`version = 2
root = %[1]q
state = "/run/containerd"
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = %[2]q
[plugins."io.containerd.internal.v1.opt"]
  path = %[3]q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[4]q
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  enable_selinux = false
  disable_apparmor = true
  # A process without CAP_SYS_RESOURCE can't give a child a lower score than its own.
  restrict_oom_score_adj = %[5]t
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %[6]q
    conf_dir = %[7]q
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = %[8]q
        SystemdCgroup = false
`, filepath.Join(protocol.Short, "containerd"), containerdSocket, c.nodeFile("opt"), pauseImage, limited,
		p.path("usr/lib/cni"), c.nodeFile("cni"), p.path("usr/sbin/runc"))
	if err := os.MkdirAll(c.nodeFile("cni"), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(c.nodeFile("containerd.toml"), []byte(text), 0o600); err != nil {
		return err
	}
	// Each pod has a cable of its own to the node, which routes. On a bridge,
	// answers of a pod to its neighbour would go past the rules for Services.
	network := fmt.Sprintf(`{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [{
    "type": "ptp",
    "ipam": {
      "type": "host-local",
      "dataDir": "/run/cni",
      "ranges": [[{"subnet": %q}]],
      "routes": [{"dst": "0.0.0.0/0"}]
    }
  }]
}
`, podCIDR)
	return os.WriteFile(filepath.Join(c.nodeFile("cni"), "10-pods.conflist"), []byte(network), 0o600)
}

func (c *Cluster) containerdArgs() []string {
	return []string{"--config", c.nodeFile("containerd.toml")}
}

// lacks tells whether this process lacks a capability.
func lacks(capability int) (bool, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false, err
	}
	_, after, _ := strings.Cut(string(text), "\nCapEff:")
	line, _, _ := strings.Cut(after, "\n")
	set, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	if err != nil {
		return false, fmt.Errorf("reading capabilities: %w", err)
	}
	return set&(1<<capability) == 0, nil
}
