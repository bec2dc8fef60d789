package rollout

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/debugsidecar/debugsidecar/webhook/canary"
	"github.com/debugsidecar/debugsidecar/webhook/config"
)

// Leader looks at the pods and writes the state, on one replica alone.
type Leader struct {
	Every  time.Duration
	Config func() *config.Snapshot
	// Namespace and Name are the ConfigMap's. The chart makes it, empty.
	Namespace, Name string
	API             client.Client // without a cache
	Cache           client.Reader // knows the namespaces' labels
	Events          events.EventRecorder
	Log             *slog.Logger

	pods  *prometheus.GaugeVec
	phase *prometheus.GaugeVec
}

// Register makes the metrics.
func (l *Leader) Register(r prometheus.Registerer) {
	l.pods = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "debugsidecar_webhook_canary_pods",
		Help: "Pods while a canary is configured, by sidecar (canary, stable) and whether it fails (failed, well). Of the leader only.",
	}, []string{"sidecar", "state"})
	l.phase = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "debugsidecar_webhook_canary_phase",
		Help: "1 for the phase of the canary that is configured: Running, RolledBack. Of the leader only.",
	}, []string{"phase"})
	r.MustRegister(l.pods, l.phase)
}

// NeedLeaderElection is true: one writes, all read.
func (l *Leader) NeedLeaderElection() bool { return true }

// Start looks at the pods until ctx ends.
func (l *Leader) Start(ctx context.Context) error {
	tick := time.NewTicker(l.Every)
	defer tick.Stop()
	problem := ""
	for {
		err := l.look(ctx, time.Now())
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && err.Error() != problem:
			problem = err.Error()
			l.Log.Warn("the canary can't be looked after; it stays as it is", "err", err)
		case err == nil:
			problem = ""
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look compares the pods with the two sidecars, if there is a canary.
func (l *Leader) look(ctx context.Context, now time.Time) error {
	c := l.Config()
	l.phase.Reset()
	l.pods.Reset()
	if c.Canary == nil {
		return nil
	}
	var m corev1.ConfigMap
	if err := l.API.Get(ctx, client.ObjectKey{Namespace: l.Namespace, Name: l.Name}, &m); err != nil {
		return fmt.Errorf("reading the state: %w", err)
	}
	before, err := read(&m)
	if err != nil {
		return err
	}
	pods, others := before.Pods, before.Others
	if before.Canary == c.CanaryID && before.Phase == Running {
		if pods, others, err = l.count(ctx, c, before.Since, now); err != nil {
			return err
		}
	}
	state, changed := before.next(c.CanaryID, pods, others, c.File.Canary.Thresholds(), now)
	l.phase.WithLabelValues(string(state.Phase)).Set(1)
	for sidecar, n := range map[string]canary.Count{"canary": pods, "stable": others} {
		l.pods.WithLabelValues(sidecar, "failed").Set(float64(n.Failed))
		l.pods.WithLabelValues(sidecar, "well").Set(float64(n.Pods - n.Failed))
	}
	if !changed {
		return nil
	}
	state.write(&m)
	if err := l.API.Update(ctx, &m); apierrors.IsConflict(err) {
		return nil // somebody wrote meanwhile; the next look sees it
	} else if err != nil {
		return fmt.Errorf("writing the state: %w", err)
	}
	l.tell(&m, state, c)
	return nil
}

func (l *Leader) tell(m *corev1.ConfigMap, s State, c *config.Snapshot) {
	if s.Phase == RolledBack {
		l.Log.Error("the canary is rolled back", "canary", s.Canary, "why", s.Reason)
		l.Events.Eventf(m, nil, corev1.EventTypeWarning, "CanaryRolledBack", "RollBack", "new pods get the sidecar of before again: %s", s.Reason)
		return
	}
	l.Log.Info("a canary begins", "canary", s.Canary, "percent", c.File.Canary.Percent)
	l.Events.Eventf(m, nil, corev1.EventTypeNormal, "CanaryBegins", "Begin", "%d %% of the owners of new pods get it", c.File.Canary.Percent)
}
