package keeper

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// Add has the leader of a manager keep sessions. The keeper's API is set if it has
// none.
func Add(mgr ctrl.Manager, k *Keeper) error {
	if k.API == nil {
		api, err := client.New(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), HTTPClient: mgr.GetHTTPClient(), Mapper: mgr.GetRESTMapper()})
		if err != nil {
			return fmt.Errorf("setting up debug sessions: %w", err)
		}
		k.API = api
	}
	if k.Now == nil {
		k.Now = time.Now
	}
	pods, err := metadata.NewForConfigAndClient(metadata.ConfigFor(mgr.GetConfig()), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("setting up debug sessions: %w", err)
	}
	c, err := controller.New("debug-sessions", mgr, controller.Options{
		Reconciler:              k,
		MaxConcurrentReconciles: 2,
		// What users see becomes right soon after an API server is back.
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](200*time.Millisecond, 30*time.Second),
	})
	if err != nil {
		return fmt.Errorf("setting up debug sessions: %w", err)
	}
	f := &follower{pods: pods.Resource(podsResource), log: k.Log}
	return c.Watch(source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		add := func(name types.NamespacedName) { queue.Add(reconcile.Request{NamespacedName: name}) }
		go f.follow(ctx, add, func() {
			// Who went while nobody watched is on no list.
			for _, name := range k.names() {
				add(name)
			}
		})
		return nil
	}))
}

// Register makes the metric of sessions.
func (k *Keeper) Register(r prometheus.Registerer) { r.MustRegister(collector{k}) }

// collector counts sessions when it is asked.
type collector struct{ k *Keeper }

var sessionsMetric = prometheus.NewDesc("debugsidecar_webhook_sessions",
	"Debug sessions that live, by state: Pending, Running, Failed, Terminating. Of the leader only.", []string{"state"}, nil)

func (c collector) Describe(ch chan<- *prometheus.Desc) { ch <- sessionsMetric }

func (c collector) Collect(ch chan<- prometheus.Metric) {
	counts := map[session.State]int{session.Pending: 0, session.Running: 0, session.Failed: 0, session.Terminating: 0}
	c.k.mu.Lock()
	for _, l := range c.k.known {
		for i := range l.sessions {
			if s := l.sessions[i].State; s.Lives() {
				counts[s]++
			}
		}
	}
	c.k.mu.Unlock()
	for state, n := range counts {
		ch <- prometheus.MustNewConstMetric(sessionsMetric, prometheus.GaugeValue, float64(n), string(state))
	}
}
