package cluster

import (
	"fmt"
	"net"
	"os"
	"strconv"
)

// writeProxy writes kube-proxy's configuration.
func (c *Cluster) writeProxy() error {
	text := fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: %q}
mode: nftables
clusterCIDR: %s
hostnameOverride: %s
bindAddress: %s
healthzBindAddress: %s
metricsBindAddress: 127.0.0.1:10249
oomScoreAdj: 0
# The usual second is for clusters with thousands of Services.
nftables: {minSyncPeriod: 50ms}
# Sizes of the kernel's table of connections are the machine's.
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`, c.kubeconfig(kubeProxy), podCIDR, NodeName, nodeAddress, net.JoinHostPort(address, strconv.Itoa(proxyHealthPort)))
	return os.WriteFile(c.nodeFile("kube-proxy.yaml"), []byte(text), 0o600)
}
