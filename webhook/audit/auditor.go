package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/config"
)

const (
	// look is how often levels and configuration are compared with those of the
	// last audit: in memory, so it costs the API server nothing.
	look = 5 * time.Second
	// again is when a namespace is tried again whose audit failed, and how long
	// what is known of the webhook's own configuration is good for.
	again = time.Minute
	// namespaceTimeout is how long the audit of one namespace may take. At Page and
	// QPS, that is for a million pods.
	namespaceTimeout = 20 * time.Minute
)

// Auditor audits the namespaces that have a level, on the leader alone: each when
// it was not for Every, and soon after its levels or the configuration changed.
// It keeps figures for each namespace, and no pods.
type Auditor struct {
	Every  time.Duration
	Client *Client
	Judge  Judge
	// Namespaces has those of the cluster, with their labels.
	Namespaces client.Reader
	Config     func() *config.Snapshot
	// Webhook names our webhook configurations, which say where pods are judged.
	Webhook string
	Reports *Reports // nil: there are none
	Log     *slog.Logger

	metrics    *metrics
	states     map[string]*state
	judged     Judged
	judgedAt   time.Time
	owner      []metav1.OwnerReference
	reporting  bool      // the cluster knows PolicyReports
	reportedAt time.Time // when that was asked
	pruned     time.Time // when reports of other namespaces were removed
	problem    string    // that was logged
	more       bool      // the last round left some for the next
}

// state is what a namespace was last audited by, and when it is due again.
type state struct {
	modes  policies.Modes
	config *config.Snapshot
	due    time.Time
}

// Register makes the metrics. It has to come before Start.
func (a *Auditor) Register(r prometheus.Registerer) { a.metrics = newMetrics(r) }

// NeedLeaderElection is true: one audit is enough, and one writes reports.
func (a *Auditor) NeedLeaderElection() bool { return true }

// Start audits until ctx ends. Whoever leads next begins anew and makes each
// report right, whatever this one left undone.
func (a *Auditor) Start(ctx context.Context) error {
	a.states = map[string]*state{}
	tick := time.NewTicker(min(look, a.Every))
	defer tick.Stop()
	for {
		err := a.round(ctx)
		if ctx.Err() != nil {
			return nil
		}
		a.complain(err)
		if a.more {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// complain logs a problem once.
func (a *Auditor) complain(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != a.problem && err != nil {
		a.Log.Warn("the audit is not complete; it is tried again", "err", err)
	}
	a.problem = text
}

// round audits what is due, or as much of it as there is time for.
func (a *Auditor) round(ctx context.Context) error {
	a.more = false
	if err := a.prepare(ctx); err != nil {
		return err
	}
	snapshot := a.Config()
	levels, err := a.levels(ctx, snapshot)
	if err != nil {
		return err
	}
	for name := range a.states {
		if _, has := levels[name]; !has {
			delete(a.states, name)
			a.metrics.forget(name)
			a.pruned = time.Time{} // its report goes, too
		}
	}
	errs := []error{a.prepareReports(ctx), a.prune(ctx, levels)}
	begin := time.Now()
	for _, name := range a.dueOf(levels, snapshot) {
		if a.more = time.Since(begin) > look; a.more {
			break // levels may have changed meanwhile, and those come first
		}
		s := &state{levels[name], snapshot, time.Now().Add(a.Every)}
		if err := a.namespace(ctx, name); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			errs = append(errs, err)
			s.due = time.Now().Add(min(again, a.Every))
		}
		a.states[name] = s
	}
	return errors.Join(errs...)
}

// dueOf returns the namespaces that are to be audited now, those first whose level
// changed.
func (a *Auditor) dueOf(levels map[string]policies.Modes, c *config.Snapshot) []string {
	var changed, others []string
	now := time.Now()
	for _, name := range slices.Sorted(maps.Keys(levels)) {
		switch s := a.states[name]; {
		case s != nil && s.modes != levels[name]:
			changed = append(changed, name)
		case s == nil || s.config != c || !now.Before(s.due):
			others = append(others, name)
		}
	}
	return append(changed, others...)
}

// prepare reads where pods are judged, at most once a minute.
func (a *Auditor) prepare(ctx context.Context) error {
	now := time.Now()
	if a.judged != nil && now.Sub(a.judgedAt) < min(again, a.Every) {
		return nil
	}
	var c admissionv1.ValidatingWebhookConfiguration
	if err := a.Client.get(ctx, "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/"+url.PathEscape(a.Webhook), &c); err != nil {
		return fmt.Errorf("reading the webhook configuration: %w", err)
	}
	judged, err := JudgedBy(&c)
	if err != nil {
		return err
	}
	a.judged, a.judgedAt = judged, now
	return nil
}

// prepareReports sees whether there can be reports, at most once a minute.
// Without them there are still the metrics.
func (a *Auditor) prepareReports(ctx context.Context) error {
	now, first := time.Now(), a.reportedAt.IsZero()
	if a.Reports == nil || !first && now.Sub(a.reportedAt) < min(again, a.Every) {
		return nil
	}
	a.reportedAt = now
	there, err := Available(ctx, a.Client)
	if err == nil && there {
		a.owner, err = a.Reports.owner(ctx)
	}
	if err != nil {
		a.reporting = false
		return err
	}
	a.metrics.available.Set(map[bool]float64{true: 1}[there])
	switch {
	case !there && (first || a.reporting):
		a.Log.Warn("the cluster does not know PolicyReports, so the audit writes none; install the CRD " + crd + ", or set audit.reports.enabled=false")
	case there && !a.reporting:
		clear(a.states) // all are due
	}
	a.reporting = there
	return nil
}

// levels are the modes of each namespace that is to be audited.
func (a *Auditor) levels(ctx context.Context, c *config.Snapshot) (map[string]policies.Modes, error) {
	var all corev1.NamespaceList
	if err := a.Namespaces.List(ctx, &all); err != nil {
		return nil, fmt.Errorf("listing namespaces: %w", err)
	}
	out := map[string]policies.Modes{}
	for i := range all.Items {
		ns := &all.Items[i]
		modes, _ := policies.ModesOf(ns.Labels, c.File.Policy.Default)
		if ns.DeletionTimestamp == nil && modes != (policies.Modes{Enforce: policies.Off, Warn: policies.Off, Audit: policies.Off}) && a.judged.Has(ns.Labels) {
			out[ns.Name] = modes
		}
	}
	return out, nil
}

// prune removes reports where there is to be none, after Every, and after a
// namespace lost its level.
func (a *Auditor) prune(ctx context.Context, levels map[string]policies.Modes) error {
	if now := time.Now(); !a.reporting || now.Sub(a.pruned) < a.Every {
		return nil
	}
	a.pruned = time.Now().Add(min(again, a.Every) - a.Every) // if it fails
	n, err := a.Reports.prune(ctx, func(namespace string) bool { _, has := levels[namespace]; return has })
	a.metrics.reports.WithLabelValues(string(removed)).Add(float64(n))
	if err != nil {
		return err
	}
	a.pruned = time.Now()
	return nil
}

// namespace audits one.
func (a *Auditor) namespace(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, namespaceTimeout)
	defer cancel()
	begin := time.Now()
	f, err := Scan(ctx, a.Client, a.Judge, name, MaxResults)
	if err != nil {
		a.metrics.failed(name)
		return err
	}
	a.metrics.seconds.Observe(time.Since(begin).Seconds())
	a.metrics.found(f, time.Now())
	if f.Undecided > 0 {
		a.Log.Warn("pods could not be judged", "namespace", name, "pods", f.Undecided, "why", f.Why)
	}
	if !a.reporting {
		return nil
	}
	did, err := a.Reports.write(ctx, f, a.owner, time.Now())
	if terminating(err) {
		return nil
	}
	if err != nil {
		did, err = failed, fmt.Errorf("writing the report of namespace %s: %w", name, err)
	}
	a.metrics.reports.WithLabelValues(string(did)).Inc()
	return err
}

// terminating says whether a namespace is on its way out, or gone.
func terminating(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) || apierrors.IsNotFound(err)
}
