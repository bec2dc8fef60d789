package cluster

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
)

// Component is a program of the control plane besides etcd and kube-apiserver,
// which every cluster has.
type Component string

const (
	// ControllerManager makes service accounts, completes the deletion of
	// namespaces, collects garbage, and turns workloads into pods.
	ControllerManager Component = "kube-controller-manager"
	// Scheduler assigns pods to nodes, if there are any.
	Scheduler Component = "kube-scheduler"
)

const (
	etcd      = "etcd"
	apiServer = "kube-apiserver"
)

// Addresses of Services, which nothing routes where there is no node.
const (
	serviceCIDR    = "10.96.0.0/16"
	serviceAddress = "10.96.0.1" // of the Service kubernetes
)

// ports are those that the cluster listens on, on its address.
type ports struct{ api, etcd, etcdPeer int }

func (c *Cluster) etcdArgs() []string {
	client, peer := c.url(c.ports.etcd), c.url(c.ports.etcdPeer)
	return []string{
		"--name=default",
		"--data-dir=" + filepath.Join(c.dir, "etcd"),
		"--unsafe-no-fsync", // the data is worth nothing after a crash
		"--log-level=warn",
		// One member elects itself after this time.
		"--heartbeat-interval=10",
		"--election-timeout=100",
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=default=" + peer,
		"--client-cert-auth",
		"--trusted-ca-file=" + c.pki.path("etcd-ca.crt"),
		"--cert-file=" + c.pki.path("etcd.crt"),
		"--key-file=" + c.pki.path("etcd.key"),
		"--peer-client-cert-auth",
		"--peer-trusted-ca-file=" + c.pki.path("etcd-ca.crt"),
		"--peer-cert-file=" + c.pki.path("etcd.crt"),
		"--peer-key-file=" + c.pki.path("etcd.key"),
	}
}

func (c *Cluster) apiServerArgs() []string {
	reach := []string{
		"--bind-address=" + address,
		"--advertise-address=" + address,
		// The Service kubernetes can't have an endpoint on loopback.
		"--endpoint-reconciler-type=none",
	}
	if c.node != nil {
		reach = []string{
			"--bind-address=0.0.0.0",
			"--advertise-address=" + nodeAddress,
			"--kubelet-preferred-address-types=InternalIP",
			"--kubelet-certificate-authority=" + c.pki.path("ca.crt"),
			"--kubelet-client-certificate=" + c.pki.path("apiserver-kubelet-client.crt"),
			"--kubelet-client-key=" + c.pki.path("apiserver-kubelet-client.key"),
		}
	}
	return append(reach,
		"--secure-port="+strconv.Itoa(c.ports.api),
		"--etcd-servers="+c.url(c.ports.etcd),
		"--etcd-cafile="+c.pki.path("etcd-ca.crt"),
		"--etcd-certfile="+c.pki.path("apiserver-etcd-client.crt"),
		"--etcd-keyfile="+c.pki.path("apiserver-etcd-client.key"),
		"--tls-cert-file="+c.pki.path("apiserver.crt"),
		"--tls-private-key-file="+c.pki.path("apiserver.key"),
		"--client-ca-file="+c.pki.path("ca.crt"),
		"--requestheader-client-ca-file="+c.pki.path("front-proxy-ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file="+c.pki.path("front-proxy-client.crt"),
		"--proxy-client-key-file="+c.pki.path("front-proxy-client.key"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-signing-key-file="+c.pki.path("sa.key"),
		"--service-account-key-file="+c.pki.path("sa.pub"),
		"--service-cluster-ip-range="+serviceCIDR,
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--profiling=false",
	)
}

// args returns the arguments of a component, which has no port of its own.
func (c *Cluster) args(component Component) ([]string, error) {
	common := []string{
		"--kubeconfig=" + c.kubeconfig(string(component)),
		"--leader-elect=false",
		"--secure-port=0",
		"--profiling=false",
	}
	switch component {
	case ControllerManager:
		return append(common,
			// So many controllers that the usual limit makes them wait for seconds.
			"--kube-api-qps=1000",
			"--kube-api-burst=1000",
			"--use-service-account-credentials",
			"--service-account-private-key-file="+c.pki.path("sa.key"),
			"--root-ca-file="+c.pki.path("ca.crt"),
			"--cluster-signing-cert-file="+c.pki.path("ca.crt"),
			"--cluster-signing-key-file="+c.pki.path("ca.key"),
		), nil
	case Scheduler:
		return common, nil
	}
	return nil, fmt.Errorf("there is no component %q", component)
}

func (c *Cluster) url(port int) string {
	return "https://" + net.JoinHostPort(address, strconv.Itoa(port))
}
