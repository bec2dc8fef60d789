package server

import (
	"context"
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/trust"
)

// trustImages makes what says whether images are signed. It asks nobody while the
// configuration has image trust switched off.
func (o *options) trustImages(mgr ctrl.Manager, current func() *config.Snapshot) (*trust.Checker, error) {
	c := trust.New(o.registryCredentials, metrics.Registry, o.log)
	if err := mgr.Add(&warmer{c, current}); err != nil {
		return nil, fmt.Errorf("setting up image trust: %w", err)
	}
	return c, nil
}

// warmer looks at the configuration's images in good time.
type warmer struct {
	checker *trust.Checker
	current func() *config.Snapshot
}

func (w *warmer) Start(ctx context.Context) error {
	w.checker.Warm(ctx, func() (*trust.Policy, []string) {
		s := w.current()
		return s.Trust, s.OwnImages()
	})
	return nil
}

// NeedLeaderElection is false: each replica has to know.
func (w *warmer) NeedLeaderElection() bool { return false }
