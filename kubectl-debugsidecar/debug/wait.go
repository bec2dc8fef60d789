package debug

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// debugger is a debug container in a pod.
type debugger struct {
	pod       *corev1.Pod // as it was last seen
	container string
	// isCopy says that the pod was made for it.
	isCopy bool
	// pullNote says what an image that can't be pulled may lack.
	pullNote string
	// foreign says that its image is not ours, or not known to be.
	foreign bool
	// added says that it was added by this call.
	added bool
}

// begun is a container that has started, or has started and ended.
type begun struct {
	standing
	// early says that only an event tells of the start: the pod's status comes up to
	// a second later, and attaching need not wait for it.
	early bool
}

// blocked says why a debug container can't start.
type blocked struct{ text, fix string }

func (b *blocked) Error() string {
	if b.fix == "" {
		return b.text
	}
	return b.text + "; " + b.fix
}

// await waits until the container has started. Version is the pod's from which on
// to look, empty if it may have started already. It says meanwhile what is waited
// for.
func (c *client) await(ctx context.Context, d *debugger, version string, events <-chan *corev1.Event, p *progress) (*begun, error) {
	defer p.end()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	pods := c.watchPod(watching, d.pod, version)
	ticker := time.NewTicker(time.Second / 5)
	defer ticker.Stop()
	say := func(text string) {
		p.say("%s in pod %s/%s: waiting for %s", d.container, d.pod.Namespace, d.pod.Name, text)
	}
	text := "the kubelet"
	if s := standingOf(d.pod, d.container); s.phase == waiting {
		text = s.text
	}
	say(text)
	var lastTrouble error
	for {
		select {
		case <-ctx.Done():
			return nil, d.late(ctx, text, lastTrouble)
		case <-ticker.C:
			p.tick()
		case e, ok := <-events:
			if !ok {
				events = nil
				break
			}
			if e.Reason == "Started" && strings.HasSuffix(e.InvolvedObject.FieldPath, "{"+d.container+"}") {
				return &begun{standing: standing{phase: running}, early: true}, nil
			}
			if said := sayEvent(e, imageOf(d.pod, d.container)); said != "" {
				text = said
				say(text)
			}
		case s, ok := <-pods:
			switch {
			case !ok:
				pods = nil
				continue
			case s.gone:
				return nil, &blocked{text: fmt.Sprintf("pod %s was deleted meanwhile", d.pod.Name)}
			case s.err != nil:
				lastTrouble = s.err
				say("the API server: " + s.err.Error())
				continue
			}
			d.pod, lastTrouble = s.pod, nil
			now := standingOf(s.pod, d.container)
			switch now.phase {
			case running, ended:
				return &begun{standing: now}, nil
			case stuck:
				return nil, d.blocked(now)
			case waiting:
				if now.text != "its start" || text == "the kubelet" {
					text = now.text
				}
				say(text)
			}
		}
	}
}

// blocked adds to why a container can't start what is known of it.
func (d *debugger) blocked(s standing) error {
	b := &blocked{s.text, s.fix}
	if d.pullNote != "" && s.status != nil && s.status.State.Waiting != nil {
		switch s.status.State.Waiting.Reason {
		case "ErrImagePull", "ImagePullBackOff":
			b.fix += "; " + d.pullNote
		}
	}
	if s.status != nil && !d.isCopy {
		b.fix += fmt.Sprintf("; %s can't be removed, and starts if what it lacks comes", d.container)
	}
	return b
}

// late says what was waited for in vain.
func (d *debugger) late(ctx context.Context, text string, trouble error) error {
	if trouble != nil {
		text = fmt.Sprintf("%s (the API server: %v)", text, trouble)
	}
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return &blocked{fmt.Sprintf("%s did not start within --timeout: it waited for %s", d.container, text), "it may start yet: " + d.comeBack()}
	}
	return &blocked{fmt.Sprintf("interrupted while %s waited for %s", d.container, text), "it may start yet: " + d.comeBack()}
}

// comeBack is the command that attaches to it.
func (d *debugger) comeBack() string {
	return fmt.Sprintf("kubectl debugsidecar debug %s -n %s -c %s --attach", d.pod.Name, d.pod.Namespace, d.container)
}

// sayEvent is what an event means for who waits; empty if the pod's status says
// it better.
func sayEvent(e *corev1.Event, image string) string {
	switch e.Reason {
	case "Pulling":
		return "image " + image + ", which is being pulled"
	case "Pulled", "Created":
		return "its start"
	case "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "FailedScheduling":
		return session.Text(e.Message)
	}
	return ""
}
