package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync/atomic"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/admit"
	"github.com/debugsidecar/debugsidecar/webhook/cert"
	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/lookup"
	"github.com/debugsidecar/debugsidecar/webhook/reach"
)

// gracePeriod is how long requests in flight may take after the shutdown delay.
// The chart's terminationGracePeriodSeconds is above both.
const gracePeriod = 15 * time.Second

// nativeSidecarsSince is the first version with native sidecars on by default
// (KEP-753).
var nativeSidecarsSince = version.MustParseGeneric("1.29.0")

// run serves until ctx ends, and then in an orderly way until all is answered.
func (o *options) run(ctx context.Context, restConfig *rest.Config) error {
	native, err := hasNativeSidecars(restConfig)
	if err != nil {
		return err
	}
	evaluator, err := policies.New(ctx)
	if err != nil {
		return fmt.Errorf("compiling the policies: %w", err)
	}
	answers := admit.NewMetrics(metrics.Registry)
	var ownRules []policies.Rule
	store, err := config.NewStore(o.paths, o.log, func(s *config.Snapshot) {
		// In this order, so that a new rule's own mode is known before the rule.
		evaluator.SetParameters(s.Parameters)
		evaluator.SetOwnRules(s.Rules)
		forgetGone(answers, &ownRules, s.Rules.Rules())
	})
	if err != nil {
		return err
	}
	var source cert.Source
	mgr, err := o.manager(restConfig, func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		return source.GetCertificate(hello)
	})
	if err != nil {
		return err
	}
	if source, err = o.source(mgr); err != nil {
		return err
	}
	cert.RegisterExpiry(metrics.Registry, source)
	store.Register(metrics.Registry)
	for _, r := range []manager.Runnable{source, store} {
		if err := mgr.Add(r); err != nil {
			return fmt.Errorf("setting up the manager: %w", err)
		}
	}
	for _, object := range []client.Object{&corev1.Namespace{}, &corev1.LimitRange{}, &corev1.ResourceQuota{}} {
		if _, err := mgr.GetCache().GetInformer(ctx, object, cache.BlockUntilSynced(false)); err != nil {
			return fmt.Errorf("watching namespaces, limits and quotas: %w", err)
		}
	}
	canaryRuns, err := o.canaries(ctx, mgr, store.Current)
	if err != nil {
		return err
	}
	cluster := &lookup.Cluster{Cache: mgr.GetCache(), API: mgr.GetAPIReader()}
	images, err := o.trustImages(mgr, store.Current)
	if err != nil {
		return err
	}
	deps := admit.Deps{
		CanaryRuns:     canaryRuns,
		Config:         store.Current,
		Recent:         store.Recent,
		Namespaces:     cluster,
		Pods:           cluster,
		Policies:       evaluator,
		NativeSidecars: native,
		OwnNamespace:   o.namespace,
		Images:         images,
		Metrics:        answers,
		Log:            o.log,
	}
	mgr.GetWebhookServer().Register("/mutate", admit.Mutate(deps))
	mgr.GetWebhookServer().Register("/validate", admit.Validate(deps))
	mgr.GetWebhookServer().Register("/connect", admit.Connect(deps))
	mgr.GetWebhookServer().Register("/trust", admit.Trust(deps))
	mgr.GetWebhookServer().Register(reach.Path, reach.Handler(podName()))
	probes, err := o.selfProbes(mgr)
	if err != nil {
		return err
	}
	if err := o.countMissed(mgr); err != nil {
		return err
	}
	if err := o.keepSessions(mgr, store.Current); err != nil {
		return err
	}
	if err := o.audits(mgr, restConfig, deps); err != nil {
		return err
	}
	var stopping atomic.Bool
	if err := o.serveHealth(mgr, &health{ready: servingCheck(mgr, source, &stopping), problem: store.Problem, probes: probes}); err != nil {
		return err
	}
	return mgr.Start(o.delayed(ctx, &stopping))
}

func (o *options) manager(restConfig *rest.Config, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("setting up the scheme: %w", err)
	}
	host, port, err := splitAddress(o.listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	grace, onlyRead := gracePeriod, true
	leaseDuration, renewDeadline, retryPeriod := 60*time.Second, 45*time.Second, 3*time.Second
	ours := cache.ByObject{Field: fields.OneTermEqualSelector("metadata.name", o.cert.Configuration)}
	mgr, err := ctrl.NewManager(restConfig, ctrl.Options{
		Scheme: scheme,
		Cache: cache.Options{
			// Only what is needed, or a large cluster would fill the memory.
			ByObject: map[client.Object]cache.ByObject{
				&admissionv1.MutatingWebhookConfiguration{}:   ours,
				&admissionv1.ValidatingWebhookConfiguration{}: ours,
				// Handlers read these, and never change them: no copies.
				&corev1.Namespace{}:     {UnsafeDisableDeepCopy: &onlyRead},
				&corev1.LimitRange{}:    {UnsafeDisableDeepCopy: &onlyRead},
				&corev1.ResourceQuota{}: {UnsafeDisableDeepCopy: &onlyRead},
				&corev1.ConfigMap{}: {
					Namespaces: map[string]cache.Config{o.namespace: {
						FieldSelector: fields.OneTermEqualSelector("metadata.name", o.canaryState),
					}},
				},
				&corev1.Secret{}: {
					Namespaces: map[string]cache.Config{o.namespace: {
						FieldSelector: fields.OneTermEqualSelector("metadata.name", o.cert.Secret),
					}},
				},
			},
			DefaultTransform: cache.TransformStripManagedFields(),
		},
		Metrics:                 metricsserver.Options{BindAddress: o.metricsListen},
		HealthProbeBindAddress:  "0", // see serveHealth
		GracefulShutdownTimeout: &grace,
		// Handlers run on each replica; what is led is what has to happen once.
		LeaderElection:          o.leaderElect,
		LeaderElectionID:        o.lease,
		LeaderElectionNamespace: o.namespace,
		// main ends at once after the manager, as this asks for.
		LeaderElectionReleaseOnCancel: true,
		// Who loses the lease ends, and with it a replica that answers reviews. So
		// it takes an API server that was away for longer than its restart takes.
		LeaseDuration: &leaseDuration,
		RenewDeadline: &renewDeadline,
		RetryPeriod:   &retryPeriod,
		WebhookServer: webhook.NewServer(webhook.Options{Host: host, Port: port, TLSOpts: []func(*tls.Config){
			func(c *tls.Config) {
				c.GetCertificate = certificate
				c.MinVersion = tls.VersionTLS13
			},
		}}),
	})
	if err != nil {
		return nil, fmt.Errorf("setting up the manager: %w", err)
	}
	return mgr, nil
}

func (o *options) source(mgr ctrl.Manager) (cert.Source, error) {
	if o.certificates == files {
		return cert.NewFiles(o.certificateDir)
	}
	return cert.NewSelfManaged(mgr, o.cert)
}

// delayed returns a context that ends the shutdown delay after ctx. Meanwhile
// the webhook is unready and goes on answering, until nobody sends it anything.
func (o *options) delayed(ctx context.Context, stopping *atomic.Bool) context.Context {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		<-ctx.Done()
		stopping.Store(true)
		o.log.Info("stopping: unready from now on", "delay", o.shutdownDelay.String())
		time.Sleep(o.shutdownDelay)
		cancel()
	}()
	return out
}

func hasNativeSidecars(c *rest.Config) (bool, error) {
	d, err := discovery.NewDiscoveryClientForConfig(c)
	if err != nil {
		return false, fmt.Errorf("asking the API server for its version: %w", err)
	}
	info, err := d.ServerVersion()
	if err != nil {
		return false, fmt.Errorf("asking the API server for its version: %w", err)
	}
	v, err := version.ParseGeneric(info.GitVersion)
	if err != nil {
		return false, fmt.Errorf("the API server's version: %w", err)
	}
	return v.AtLeast(nativeSidecarsSince), nil
}
