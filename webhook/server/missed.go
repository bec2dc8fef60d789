package server

import (
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/debugsidecar/debugsidecar/webhook/missed"
)

// countMissed adds the count of pods that went without, if there is to be one.
func (o *options) countMissed(mgr ctrl.Manager) error {
	if o.missedInterval == 0 {
		return nil
	}
	c := &missed.Counter{
		Every:         o.missedInterval,
		Configuration: o.cert.Configuration,
		Cache:         mgr.GetCache(),
		API:           mgr.GetAPIReader(),
		Log:           o.log,
	}
	c.Register(metrics.Registry)
	if err := mgr.Add(c); err != nil {
		return fmt.Errorf("setting up the count of pods without a sidecar: %w", err)
	}
	return nil
}
