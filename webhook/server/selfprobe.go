package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/debugsidecar/debugsidecar/webhook/reach"
)

// podName is the webhook's own: a pod's host name, unless it shares its node's.
func podName() string {
	if name := os.Getenv("POD_NAME"); name != "" {
		return name
	}
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

// selfProbes adds the regular self-probe, if there is to be one.
func (o *options) selfProbes(mgr ctrl.Manager) (*reach.Loop, error) {
	if o.selfProbeInterval == 0 {
		return nil, nil
	}
	prober, err := reach.NewProber(mgr.GetConfig(), o.namespace)
	if err != nil {
		return nil, err
	}
	pod := &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: o.namespace, Name: podName()}
	events := mgr.GetEventRecorder("debugsidecar")
	loop := &reach.Loop{
		Every: o.selfProbeInterval,
		Probe: prober.Probe,
		Log:   o.log,
		Changed: func(r reach.Result) {
			if r.Outcome == reach.Reached {
				events.Eventf(pod, nil, corev1.EventTypeNormal, "WebhookReachable", "SelfProbe", "%s", short(r.Reason))
				return
			}
			events.Eventf(pod, nil, corev1.EventTypeWarning, "WebhookUnreachable", "SelfProbe", "%s", short(r.String()))
		},
	}
	loop.Register(metrics.Registry)
	if err := mgr.Add(loop); err != nil {
		return nil, fmt.Errorf("setting up the self-probe: %w", err)
	}
	return loop, nil
}

// short cuts a text to what an Event's note may have (1 kB, events.k8s.io/v1).
func short(text string) string {
	const most = 1000
	if len(text) <= most {
		return text
	}
	return text[:most] + "..."
}

// selfProbeCommand asks once, for `helm test` and for people. A new entry takes
// API servers a moment to see, and a new pod a moment to be ready, so it asks
// again until its time is up.
func selfProbeCommand() *cobra.Command {
	var namespace, kubeconfig string
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "self-probe",
		Short: "Ask the API server whether it reaches the webhook",
		Long: `Ask the API server whether it reaches the webhook, by a dry run that makes it call
it. The status is 0 if it does, and 1 with the reason and the way out if not.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if namespace == "" {
				return errors.New("--namespace is missing: name the webhook's own namespace (in a pod, set POD_NAMESPACE)")
			}
			config, err := (&options{kubeconfig: kubeconfig}).restConfig()
			if err != nil {
				return err
			}
			result, err := probeUntil(c.Context(), config, namespace, timeout)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), result.Reason)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&namespace, "namespace", os.Getenv("POD_NAMESPACE"), "the webhook's own namespace (default $POD_NAMESPACE)")
	f.StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file, outside a cluster")
	f.DurationVar(&timeout, "timeout", reach.Timeout, "how long to ask again until it is reached")
	return c
}

func probeUntil(ctx context.Context, config *rest.Config, namespace string, timeout time.Duration) (reach.Result, error) {
	prober, err := reach.NewProber(config, namespace)
	if err != nil {
		return reach.Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var last error
	for {
		result := prober.Probe(ctx)
		if result.Outcome == reach.Reached {
			return result, nil
		}
		// What a probe says that ran out of time says less than the one before.
		if last == nil || ctx.Err() == nil {
			last = errors.New(result.String())
		}
		select {
		case <-ctx.Done():
			return reach.Result{}, last
		case <-time.After(500 * time.Millisecond):
		}
	}
}
