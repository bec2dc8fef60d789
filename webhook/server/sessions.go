package server

import (
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/session/keeper"
)

// keepSessions has the leader look after debug sessions, if it is to.
func (o *options) keepSessions(mgr ctrl.Manager, current func() *config.Snapshot) error {
	if !o.sessions {
		return nil
	}
	k := &keeper.Keeper{
		MaxTTL:   func() time.Duration { return current().File.Sessions.MaxTTL.Duration },
		Instance: podName(),
		Log:      o.log,
	}
	k.Register(metrics.Registry)
	return keeper.Add(mgr, k)
}
