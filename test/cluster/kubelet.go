package cluster

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/debugsidecar/debugsidecar/test/cluster/internal/protocol"
)

// writeKubelet writes the kubelet's configuration. Quoted text is YAML, too.
func (c *Cluster) writeKubelet() error {
	text := fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %[1]s
port: %[2]d
readOnlyPort: 0
healthzPort: 0
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[3]q}
authorization: {mode: Webhook}
tlsCertFile: %[4]q
tlsPrivateKeyFile: %[5]q
containerRuntimeEndpoint: %[6]q
cgroupDriver: cgroupfs
cgroupRoot: %[7]q
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
makeIPTablesUtilChains: false
podLogsDir: %[8]q
volumePluginDir: %[9]q
clusterDNS: [%[1]s]
clusterDomain: cluster.local
# Outside there is nobody to ask.
resolvConf: ""
# Pods see a change of their ConfigMaps and Secrets after this time.
syncFrequency: 5s
nodeStatusUpdateFrequency: 2s
serializeImagePulls: false
# Nothing here is so large that a disk's pressure should end a pod.
localStorageCapacityIsolation: false
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 100Mi}
`, nodeAddress, kubeletPort, c.pki.path("ca.crt"), c.pki.path("kubelet.crt"), c.pki.path("kubelet.key"),
		"unix://"+containerdSocket, "/"+c.node.cgroup, c.nodeFile("pod-logs"), c.nodeFile("volume-plugins"))
	return os.WriteFile(c.nodeFile("kubelet.yaml"), []byte(text), 0o600)
}

func (c *Cluster) kubeletArgs() []string {
	return []string{
		"--config=" + c.nodeFile("kubelet.yaml"),
		"--kubeconfig=" + c.kubeconfig(kubelet),
		"--root-dir=" + filepath.Join(protocol.Short, "kubelet"),
		"--cert-dir=" + c.nodeFile("kubelet-pki"),
		"--hostname-override=" + NodeName,
		"--node-ip=" + nodeAddress,
	}
}
