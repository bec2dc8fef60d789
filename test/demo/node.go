package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/debugsidecar/debugsidecar/test/cluster"
	"github.com/debugsidecar/debugsidecar/test/node"
)

// nodeValues grant the kernel tier to the demo's namespace, and to nobody else.
const nodeValues = `
grants:
- namespace: video
  profiles: [video-probe]
alerts:
  webhooks: ["http://10.96.90.90:8092"]
`

// startNode starts a cluster with a node, with our images and the chart on it.
func (s *show) startNode(ctx context.Context, dir string) (*node.Node, error) {
	s.heading("A Kubernetes with a node, and the chart on it")
	return node.Start(ctx, node.Options{
		Root: s.root, Dir: dir, Values: nodeValues, Log: s.progress,
		Prepare: func(ctx context.Context, c *cluster.Cluster) error {
			text, err := node.Manifest("alerts.yaml")
			if err == nil {
				_, _, err = c.Kubectl(ctx, text, "apply", "-f", "-")
			}
			return err
		},
	})
}

// onNode shows the job from a label to a warning.
func (s *show) onNode(ctx context.Context, n *node.Node) error {
	s.say("The webhook runs in the cluster, behind its Service. The chart's values grant the kernel")
	s.say("tier to profile video-probe in namespace video, and to nobody else.")
	receiver, camera, err := s.workloads(ctx, n)
	if err != nil {
		return err
	}
	if err := s.overrun(ctx, n, receiver); err != nil {
		return err
	}
	if err := s.squeeze(ctx, n, receiver, camera); err != nil {
		return err
	}
	if err := s.sound(ctx, n); err != nil {
		return err
	}
	o := &online{show: s, cluster: n.Cluster, webhook: "https://" + node.Release + "." + node.Namespace + ".svc"}
	if _, _, err := n.Kubectl(ctx, "", "apply", "-f", manifests+"namespace.yaml"); err != nil {
		return err
	}
	o.denied(ctx, "4")
	return o.warned(ctx, "5")
}

// workloads applies a labelled Deployment, and a camera that sends to it, and
// returns the addresses of the pods.
func (s *show) workloads(ctx context.Context, n *node.Node) (receiver, camera string, err error) {
	s.heading("1. A labelled Deployment comes up with the probe beside the app")
	if _, _, err := n.Kubectl(ctx, "", "create", "namespace", "video"); err != nil {
		return "", "", err
	}
	text, err := node.Manifest("receiver.yaml", "PROFILE", "video-probe", "PARAMS", "{buffer: 4}")
	if err != nil {
		return "", "", err
	}
	s.typed("kubectl -n video apply -f ingest.yaml     # label debugsidecar.io/inject: video-probe")
	begin := time.Now()
	if _, _, err := n.Kubectl(ctx, text, "--namespace=video", "apply", "-f", "-"); err != nil {
		return "", "", err
	}
	if _, _, err := n.Kubectl(ctx, "", "--namespace=video", "rollout", "status", "deployment/ingest", "--timeout=60s"); err != nil {
		return "", "", err
	}
	pod, err := n.Pod(ctx, "video", "app=ingest")
	if err != nil {
		return "", "", err
	}
	s.progress(fmt.Sprintf("its pod was ready after %.1f s", time.Since(begin).Seconds()))
	s.typed("kubectl -n video get pods")
	out, _, err := n.Kubectl(ctx, "", "--namespace=video", "get", "pods")
	if err != nil {
		return "", "", err
	}
	s.quote(out)
	s.claim(len(pod.Spec.InitContainers) == 1 && pod.Spec.InitContainers[0].Name == "debugsidecar-video-probe",
		"the pod runs with one more container, a native sidecar")
	if len(pod.Spec.InitContainers) == 1 && pod.Spec.InitContainers[0].SecurityContext.Capabilities != nil {
		c := pod.Spec.InitContainers[0].SecurityContext.Capabilities
		s.claim(fmt.Sprint(c.Drop, c.Add) == "[ALL] [BPF PERFMON NET_RAW]", "kernel tier, as granted: drop %v, add %v", c.Drop, c.Add)
	}
	text, err = node.Manifest("camera.yaml", "RECEIVER", pod.Status.PodIP+":5004")
	if err != nil {
		return "", "", err
	}
	if _, _, err := n.Kubectl(ctx, text, "--namespace=video", "apply", "-f", "-"); err != nil {
		return "", "", err
	}
	if _, _, err := n.Kubectl(ctx, "", "--namespace=video", "wait", "--for=condition=Ready", "pod/camera", "--timeout=60s"); err != nil {
		return "", "", err
	}
	c, err := n.Pod(ctx, "video", "app=camera")
	if err != nil {
		return "", "", err
	}
	err = n.Until(ctx, "the probe sees the stream", func(ctx context.Context) error {
		if v, err := n.Metric(ctx, pod.Status.PodIP, "debugsidecar_streams"); err != nil || v != 1 {
			return fmt.Errorf("%v streams, %w", v, err)
		}
		return nil
	})
	s.claim(err == nil, "a camera sends RTP to the app, and the probe found the stream by itself")
	return pod.Status.PodIP, c.Status.PodIP, s.wait(ctx, 5*time.Second)
}

// overrun lets the app stop reading.
func (s *show) overrun(ctx context.Context, n *node.Node, receiver string) error {
	s.heading("2. The app stops reading for 2 s: the kernel drops packets, and the probe counts them")
	paused := time.Now()
	if err := n.Post(ctx, "http://"+receiver+":8090/pause?for=2s"); err != nil {
		return err
	}
	if err := s.wait(ctx, 3*time.Second); err != nil {
		return err
	}
	var dropped uint64
	var counted float64
	err := n.Until(ctx, "both counts are the same", func(ctx context.Context) error {
		r, err := n.Report(ctx, receiver)
		if err != nil {
			return err
		}
		dropped = r.Dropped
		if counted, err = n.Metric(ctx, receiver, "debugsidecar_drops_total", "reason", "SOCKET_RCVBUFF"); err != nil {
			return err
		}
		if dropped == 0 || float64(dropped) != counted {
			return errors.New("not yet")
		}
		return nil
	})
	s.say(fmt.Sprintf("debugsidecar_drops_total{reason=\"SOCKET_RCVBUFF\"} %v", counted))
	s.claim(err == nil, "the app's own socket says the same: %d packets (SO_RXQ_OVFL)", dropped)
	first, err := firstAlert(ctx, n, paused, func(a node.Alert) bool { return a.Alert.Cause == "node" })
	if err != nil {
		return err
	}
	s.claim(first != nil, "an alert blames the node")
	if first != nil {
		s.say(fmt.Sprintf("%s, cause %s, was received %.2f s after the app stopped reading", first.Alert.Kind, first.Alert.Cause, first.At.Sub(paused).Seconds()))
	}
	return s.wait(ctx, 12*time.Second)
}

// squeeze lets the network carry a third of the stream.
func (s *show) squeeze(ctx context.Context, n *node.Node, receiver, camera string) error {
	s.heading("3. The network carries a third of the stream: the warning comes before viewers see a stall")
	before, err := n.Report(ctx, receiver)
	if err != nil {
		return err
	}
	squeezed := time.Now()
	if err := n.Post(ctx, "http://"+camera+":8090/rate?bits=600000"); err != nil {
		return err
	}
	s.progress("the app plays the stream 4 s behind; waiting until its buffer is empty")
	var stalled time.Time
	if err := n.Until(ctx, "the viewer's buffer is empty", func(ctx context.Context) error {
		r, err := n.Report(ctx, receiver)
		if err == nil && len(r.Stalls) == len(before.Stalls) {
			err = errors.New("not yet")
		}
		if err == nil {
			stalled = r.Stalls[len(before.Stalls)].From
		}
		return err
	}); err != nil {
		return err
	}
	if err := n.Post(ctx, "http://"+camera+":8090/rate?bits=0"); err != nil {
		return err
	}
	first, err := firstAlert(ctx, n, squeezed, func(a node.Alert) bool { return a.Alert.Kind == "stall-predicted" && a.Alert.BufferS == 4 })
	if err != nil {
		return err
	}
	s.claim(first != nil && first.At.Before(stalled), "stall-predicted came before the stall")
	if first != nil {
		s.say(fmt.Sprintf("squeezed at 0 s; stall-predicted, cause %s, at %.1f s; the viewer's picture stood still at %.1f s:",
			first.Alert.Cause, first.At.Sub(squeezed).Seconds(), stalled.Sub(squeezed).Seconds()))
		s.say(fmt.Sprintf("%.1f s of warning", stalled.Sub(first.At).Seconds()))
	}
	return nil
}

// sound asks the installation how it is.
func (s *show) sound(ctx context.Context, n *node.Node) error {
	s.heading("Who has a sidecar, and is the installation sound?")
	plugin := filepath.Join(s.root, "bin", "kubectl-debugsidecar")
	for _, command := range [][]string{{"status", "-A"}, {"doctor"}} {
		s.typed("kubectl debugsidecar " + strings.Join(command, " "))
		out, err := s.command(ctx, plugin, append(command, "--kubeconfig", n.Kubeconfig)...)
		s.quote(out)
		s.claim(err == nil, "%s is content", command[0])
	}
	s.typed("helm test debugsidecar -n " + node.Namespace)
	_, _, err := n.Helm(ctx, "", "test", node.Release, "--namespace", node.Namespace)
	s.claim(err == nil, "the API server reaches the webhook")
	return nil
}

// firstAlert returns the first alert since a moment that matches, or nil.
func firstAlert(ctx context.Context, n *node.Node, since time.Time, match func(node.Alert) bool) (*node.Alert, error) {
	all, err := n.Alerts(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if a.At.After(since) && match(a) {
			return &a, nil
		}
	}
	return nil, nil
}

// wait lets time pass.
func (s *show) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
