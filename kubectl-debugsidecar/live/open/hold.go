package open

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/probes"
)

const (
	// lookEvery is how often the pod is looked at: a port-forward to one that is
	// gone may stay as it is.
	lookEvery, lookTimeout = 2 * time.Second, 2 * time.Second
	// firstPause and longestPause are between tries to connect.
	firstPause, longestPause = 250 * time.Millisecond, 5 * time.Second
	// answerTimeout is how long the page may take to answer at first.
	answerTimeout = 15 * time.Second
)

// Reasons why a port-forward is ended from here.
var (
	errEnded     = errors.New("the pod has ended")
	errRestarted = errors.New("the probe was started again")
	errLost      = errors.New("the page does not answer any more")
)

// hold keeps the page reachable until ctx or the pod ends.
func (o *opener) hold(ctx context.Context, p probes.Probe) error {
	in, err := o.fetch(ctx, &p)
	if err != nil {
		return err
	}
	local, shown := o.port, ""
	pause := firstPause
	for ctx.Err() == nil {
		own, cancel := context.WithCancelCause(ctx)
		go o.look(own, cancel, &p)
		err := o.forward(own, &p, local, in.port, func(port int) {
			if err := o.answers(own, &p, &in, port); err != nil {
				if shown != "" {
					err = errLost // it was there before
				}
				cancel(err)
				return
			}
			local, pause = port, firstPause
			link := fmt.Sprintf("http://127.0.0.1:%d/?token=%s", port, in.token)
			if link == shown {
				o.say("connected again")
				return
			}
			shown = link
			o.say("the page of pod %s is at http://127.0.0.1:%d/ until Ctrl-C", p.Name(), port)
			o.show(ctx, link)
		})
		ended := own.Err() != nil // by look, or by the user
		cause := context.Cause(own)
		cancel(nil)
		switch {
		case ctx.Err() != nil:
			return nil
		case ended && errors.Is(cause, errLost):
			err = cause
		case ended && !errors.Is(cause, errRestarted):
			return cause
		case ended:
			o.say("%v", cause)
			if p, in, err = o.again(ctx, p); err != nil {
				return err
			}
			continue
		case errors.Is(err, errPort) && local == o.port && o.port != 0:
			return err // the user named it
		case errors.Is(err, errPort):
			local = o.port
		}
		if no, ok := errors.AsType[refused](err); ok {
			return fmt.Errorf("you may not port-forward to pod %s: %w", p.Name(), no)
		}
		if gone := o.gone(ctx, &p); gone != nil {
			return gone
		}
		if pause == firstPause {
			o.say("the connection is lost; connecting again: %s", line(fmt.Sprint(err)))
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
	return nil
}

// look ends a port-forward when the pod has ended or the probe was started again.
func (o *opener) look(ctx context.Context, cancel context.CancelCauseFunc, p *probes.Probe) {
	was := *p
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookEvery):
		}
		if gone := o.gone(ctx, &was); gone != nil {
			cancel(gone)
			return
		}
		if now, err := o.ofPod(ctx, was.Pod); err == nil && now.ID != was.ID {
			cancel(errRestarted)
			return
		}
	}
}

// gone says whether a pod is no more; nil if that is not sure.
func (o *opener) gone(ctx context.Context, p *probes.Probe) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	pod, err := o.core.Pods(p.Namespace).Get(ctx, p.Pod, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), err == nil && (string(pod.UID) != p.UID || probes.Ended(pod)):
		return fmt.Errorf("pod %s: %w", p.Name(), errEnded)
	}
	return nil
}

// again waits until the probe runs again, and fetches its new token.
func (o *opener) again(ctx context.Context, p probes.Probe) (probes.Probe, inside, error) {
	for {
		if gone := o.gone(ctx, &p); gone != nil {
			return p, inside{}, gone
		}
		if now, err := o.ofPod(ctx, p.Pod); err == nil {
			if in, err := o.fetch(ctx, &now); err == nil {
				return now, in, nil
			}
		}
		select {
		case <-ctx.Done():
			return p, inside{}, nil
		case <-time.After(time.Second):
		}
	}
}

// answers waits until the page takes the token. A probe that has just started may
// not have written its own yet.
func (o *opener) answers(ctx context.Context, p *probes.Probe, in *inside, port int) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	url := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) + "/api/v1/status"
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+in.token)
		var why string
		response, err := client.Do(request)
		if err != nil {
			why = err.Error()
		} else {
			_ = response.Body.Close()
			// Without a first status it is unavailable, and all the same there.
			if response.StatusCode == http.StatusOK || response.StatusCode == http.StatusServiceUnavailable {
				return nil
			}
			why = "it answers " + response.Status
			if response.StatusCode == http.StatusUnauthorized {
				if newer, err := o.fetch(ctx, p); err == nil && newer.port == in.port {
					*in = newer
				}
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the page of pod %s does not answer: %s", p.Name(), line(why))
		case <-time.After(500 * time.Millisecond):
		}
	}
}
