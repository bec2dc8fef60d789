package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/ask"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

// container is what the kubelet says of a sidecar's container.
type container struct {
	State    string `json:"state"` // waiting, running or terminated
	Ready    bool   `json:"ready"`
	Restarts int32  `json:"restarts"`

	reason string
}

// has says whether a pod has a profile's container.
func has(spec *corev1.PodSpec, name string) bool { return find(spec, name) != nil }

func find(spec *corev1.PodSpec, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			if list[i].Name == profile.NamePrefix+name {
				return &list[i]
			}
		}
	}
	return nil
}

// portOf is where the sidecar serves its metrics; 0 if it does not.
func portOf(spec *corev1.PodSpec, s inject.Status) int32 {
	for _, p := range find(spec, s.Profile).Ports {
		if p.ContainerPort == s.Port {
			return s.Port
		}
	}
	return 0
}

func containerOf(pod *corev1.Pod, name string) *container {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range list {
			s := &list[i]
			if s.Name != profile.NamePrefix+name {
				continue
			}
			c := &container{Ready: s.Ready, Restarts: s.RestartCount}
			switch {
			case s.State.Running != nil:
				c.State = "running"
			case s.State.Terminated != nil:
				c.State, c.reason = "terminated", ended(s.State.Terminated)
			default:
				c.State = "waiting"
				if w := s.State.Waiting; w != nil {
					c.reason = w.Reason
				}
			}
			if last := s.LastTerminationState.Terminated; last != nil && c.State != "terminated" {
				c.reason = join(c.reason, "ended before: "+ended(last))
			}
			return c
		}
	}
	return nil
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

func ended(t *corev1.ContainerStateTerminated) string {
	return fmt.Sprintf("%s, exit status %d", t.Reason, t.ExitCode)
}

// health is what the container's state says of it; unknown if it says that all
// is well, for a container may run and see nothing.
func (c *container) health(pod *corev1.Pod) (word, why string) {
	switch {
	case c == nil:
		return "unknown", "the pod is " + string(pod.Status.Phase) + ", and no kubelet said anything of the sidecar"
	case c.State != "running":
		return c.State, c.reason
	case !c.Ready:
		return "not-ready", c.reason
	}
	return "unknown", join(c.reason, "the sidecar was not asked")
}

const (
	// askers is how many sidecars are asked at the same time.
	askers = 8
	// askTimeout is how long one may take.
	askTimeout = 3 * time.Second
	// most is how much of a sidecar's metrics is read; its health is near the top.
	most = 4 << 20
)

// askAll asks each running sidecar for its health.
func (c *client) askAll(ctx context.Context, rows []row) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, askers)
	for i := range rows {
		r := &rows[i]
		if r.Container == nil || r.Container.State != "running" {
			continue
		}
		if r.port == 0 {
			r.HealthReason = join(r.Container.reason, "profile "+r.Profile+" serves no metrics")
			continue
		}
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			word, why := c.ask(ctx, r)
			if word == "" {
				r.HealthReason = join(r.Container.reason, why)
				return
			}
			r.HealthReason = join(r.Container.reason, why)
			if r.Container.Ready {
				r.Health = word
			}
		})
	}
	wg.Wait()
}

// ask reads a sidecar's health through the API server, which is how kubectl's
// user reaches a pod from outside.
func (c *client) ask(ctx context.Context, r *row) (word, why string) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	body, _, err := c.sidecars.Metrics(ctx, r.Namespace, r.Pod, r.port)
	switch {
	case errors.Is(err, ask.ErrForbidden):
		return "", "you may not get pods/proxy"
	case err != nil:
		return "", "the sidecar does not answer: " + clean(err.Error())
	}
	defer body.Close()
	return healthIn(io.LimitReader(body, most))
}

var healthLine = regexp.MustCompile(`^debugsidecar_health\{(.*)\} 1$`)

var labelIn = map[string]*regexp.Regexp{
	"health": regexp.MustCompile(`(?:^|,)health="([a-z-]+)"`),
	"cause":  regexp.MustCompile(`(?:^|,)cause="([a-z-]+)"`),
}

// healthIn finds the health in a sidecar's metrics.
func healthIn(metrics io.Reader) (word, why string) {
	for lines := bufio.NewScanner(metrics); lines.Scan(); {
		m := healthLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		if h := labelIn["health"].FindStringSubmatch(m[1]); h != nil {
			if cause := labelIn["cause"].FindStringSubmatch(m[1]); cause != nil {
				why = "cause " + cause[1]
			}
			return h[1], why
		}
	}
	return "", "the sidecar's metrics don't say"
}
