package server

import (
	"context"
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/rollout"
)

// canaries follows the state of a canary, and lets the leader write it. It returns
// which canary runs; nil if there is no place for the state, and so no canary.
func (o *options) canaries(ctx context.Context, mgr ctrl.Manager, current func() *config.Snapshot) (func(id string) bool, error) {
	if o.canaryState == "" {
		return nil, nil
	}
	follower, err := rollout.Follow(ctx, mgr.GetCache(), o.canaryState, o.canaryDelay)
	if err != nil {
		return nil, err
	}
	// The leader reads pods a page at a time, and keeps none.
	api, err := client.New(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), HTTPClient: mgr.GetHTTPClient(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("setting up the canary: %w", err)
	}
	leader := &rollout.Leader{
		Every: o.canaryInterval, Config: current, Namespace: o.namespace, Name: o.canaryState,
		API: api, Cache: mgr.GetCache(), Events: mgr.GetEventRecorder("debugsidecar"), Log: o.log,
	}
	leader.Register(metrics.Registry)
	if err := mgr.Add(leader); err != nil {
		return nil, fmt.Errorf("setting up the canary: %w", err)
	}
	return follower.Runs, nil
}
