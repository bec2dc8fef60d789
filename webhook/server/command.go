// Package server puts the webhook together: flags, manager, handlers, and an
// orderly end.
package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/debugsidecar/debugsidecar/webhook/cert"
	"github.com/debugsidecar/debugsidecar/webhook/config"
)

// Where the serving certificate comes from.
const (
	selfManaged = "self-managed"
	files       = "files"
)

type options struct {
	listen, healthListen, metricsListen string
	namespace                           string
	paths                               config.Paths
	certificates, certificateDir        string
	cert                                cert.Options
	kubeconfig                          string
	shutdownDelay                       time.Duration
	leaderElect                         bool
	lease                               string
	selfProbeInterval, missedInterval   time.Duration
	canaryState                         string
	canaryInterval                      time.Duration
	canaryDelay                         time.Duration
	sessions                            bool
	registryCredentials                 string
	auditInterval                       time.Duration
	auditReports, auditOwner            string
	memoryLimit                         int64
	log                                 *slog.Logger
}

// Command returns the webhook's command line.
func Command(log *slog.Logger) *cobra.Command {
	o := options{log: log}
	c := &cobra.Command{
		Use:           "webhook",
		Short:         "Admission server of debugsidecar: injects sidecars and enforces policies",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			limitMemory(o.memoryLimit)
			restConfig, err := o.restConfig()
			if err != nil {
				return err
			}
			return o.run(c.Context(), restConfig)
		},
	}
	f := c.Flags()
	f.StringVar(&o.listen, "listen", ":9443", "address of /mutate, /validate, /connect and /trust (TLS)")
	f.StringVar(&o.healthListen, "health-listen", ":8081", "address of /healthz, /readyz and /reachable")
	f.StringVar(&o.metricsListen, "metrics-listen", ":8080", "address of /metrics")
	f.StringVar(&o.namespace, "namespace", os.Getenv("POD_NAMESPACE"), "the webhook's own namespace (default $POD_NAMESPACE)")
	f.StringVar(&o.paths.Config, "config", "", "file with the configuration")
	f.StringVar(&o.paths.PolicyParameters, "policy-parameters", "", "file with the parameters of the policies")
	f.StringVar(&o.paths.Profiles, "profiles", "", "directory with profiles beside the embedded ones")
	f.StringVar(&o.paths.Rules, "policy-rules", "", "directory with the cluster's own rules, as Rego")
	f.StringVar(&o.certificates, "certificates", selfManaged, "where the serving certificate comes from: self-managed or files")
	f.StringVar(&o.certificateDir, "certificate-dir", "", "directory with tls.crt and tls.key, for --certificates=files")
	f.StringVar(&o.cert.Secret, "ca-secret", "debugsidecar-ca", "Secret of the self-managed CA, in the webhook's own namespace")
	f.StringSliceVar(&o.cert.DNSNames, "dns-names", nil, "names in the self-managed certificate (default debugsidecar.NAMESPACE.svc)")
	f.StringVar(&o.cert.Configuration, "webhook-configuration", "debugsidecar", "name of our webhook configurations, whose caBundle is kept right")
	f.DurationVar(&o.cert.CALifetime, "ca-lifetime", 365*24*time.Hour, "lifetime of the self-managed CA")
	f.DurationVar(&o.cert.LeafLifetime, "certificate-lifetime", 7*24*time.Hour, "lifetime of a self-managed serving certificate")
	f.DurationVar(&o.cert.Propagation, "ca-propagation", 5*time.Second, "how long API servers may take to trust a new CA before it signs")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file, outside a cluster")
	f.DurationVar(&o.shutdownDelay, "shutdown-delay", 5*time.Second, "how long the webhook goes on after a SIGTERM, unready, before it stops accepting")
	f.BoolVar(&o.leaderElect, "leader-elect", false, "let replicas elect one for what has to happen once; without it, each one does it")
	f.StringVar(&o.lease, "leader-election-lease", "debugsidecar", "name of the Lease for the election, in the webhook's own namespace")
	f.DurationVar(&o.selfProbeInterval, "self-probe-interval", 0, "how often to ask the API server whether it reaches the webhook; 0 is never")
	f.DurationVar(&o.missedInterval, "missed-pods-interval", 0, "how often to count the pods that went without their sidecar; 0 is never")
	f.StringVar(&o.canaryState, "canary-state", "", "ConfigMap, in the webhook's own namespace, that holds the state of a canary; without one there is no canary")
	f.DurationVar(&o.canaryInterval, "canary-interval", 10*time.Second, "how often the leader looks at the pods while there is a canary")
	f.DurationVar(&o.canaryDelay, "canary-delay", 2*time.Minute, "how long a canary waits, so that all replicas have read the configuration that it is in")
	f.StringVar(&o.registryCredentials, "registry-credentials", "", "file with credentials for registries, as docker login writes it, for image trust; it may be absent")
	f.BoolVar(&o.sessions, "sessions", false, "have the leader tell of debug sessions, and delete copies of pods whose time is up")
	f.DurationVar(&o.auditInterval, "audit-interval", 0, "how often the leader judges the pods that run already; 0 is never")
	f.StringVar(&o.auditReports, "audit-reports", "", "name of the PolicyReport that the audit keeps in each namespace; without one it keeps none")
	f.StringVar(&o.auditOwner, "audit-reports-owner", "", "ClusterRole that owns these reports: they are removed with it")
	f.Int64Var(&o.memoryLimit, "memory-limit", 0, "bytes of memory that the container may have: the garbage collector keeps to nine tenths of it, unless GOMEMLIMIT is set; 0 is no limit")
	c.AddCommand(selfProbeCommand())
	return c
}

func (o *options) check() error {
	switch {
	case o.namespace == "":
		return errors.New("--namespace is missing: name the webhook's own namespace (in a pod, set POD_NAMESPACE)")
	case o.certificates != selfManaged && o.certificates != files:
		return fmt.Errorf("--certificates: %q is neither %s nor %s", o.certificates, selfManaged, files)
	case o.certificates == files && o.certificateDir == "":
		return errors.New("--certificate-dir is missing: --certificates=files reads tls.crt and tls.key there")
	}
	if o.canaryInterval < time.Second {
		return fmt.Errorf("--canary-interval: %s is less than a second", o.canaryInterval)
	}
	if o.memoryLimit < 0 {
		return fmt.Errorf("--memory-limit: %d is negative; 0 is no limit", o.memoryLimit)
	}
	for flag, d := range map[string]time.Duration{
		"self-probe-interval": o.selfProbeInterval, "missed-pods-interval": o.missedInterval, "audit-interval": o.auditInterval,
	} {
		if d != 0 && d < time.Second {
			return fmt.Errorf("--%s: %s is less than a second; 0 switches it off", flag, d)
		}
	}
	if o.leaderElect && o.lease == "" {
		return errors.New("--leader-election-lease is empty: name a Lease")
	}
	if _, _, err := splitAddress(o.listen); err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	o.cert.Namespace = o.namespace
	if len(o.cert.DNSNames) == 0 {
		o.cert.DNSNames = []string{"debugsidecar." + o.namespace + ".svc"}
	}
	return nil
}

func splitAddress(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	if port, err = strconv.Atoi(text); err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("%q is not a port", text)
	}
	return host, port, nil
}

func (o *options) restConfig() (*rest.Config, error) {
	c, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("finding the API server (outside a cluster, give --kubeconfig): %w", err)
	}
	return c, nil
}
