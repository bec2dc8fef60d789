package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/debugsidecar/debugsidecar/webhook/admit"
)

// Judge judges a pod that runs already, given in JSON. admit.Deps.JudgeRunning
// is one.
type Judge func(ctx context.Context, namespace string, pod []byte) (admit.Running, error)

const (
	// tries is how often a namespace is read anew after a list broke off.
	tries = 3
	// podTimeout is how long the judgement of one pod may take.
	podTimeout = 2 * time.Second
)

// running leaves out pods that ended: nothing can be done about them.
var running = fields.AndSelectors(
	fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
	fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed))).String()

// Scan judges all pods of a namespace, and keeps so many findings to be told one
// by one. A list that breaks off is read again from its begin, a few times; what
// was found before counts no more. The error is the API server's own.
func Scan(ctx context.Context, c *Client, judge Judge, namespace string, keep int) (*Findings, error) {
	pods := list{path: "/api/v1/namespaces/" + namespace + "/pods", fields: running}
	for try := 1; ; try++ {
		found := newFindings(namespace, keep)
		err := c.each(ctx, pods, func(pod json.RawMessage) error { return found.judge(ctx, judge, pod) })
		switch {
		case err == nil:
			return found, nil
		case ctx.Err() != nil || try == tries || isAnswer(err):
			return nil, fmt.Errorf("listing the pods of namespace %s: %w", namespace, err)
		}
	}
}

// isAnswer says whether an API server said no, and would say so again.
func isAnswer(err error) bool {
	return !errors.Is(err, errExpired) && apierrors.ReasonForError(err) != "" && !apierrors.IsServerTimeout(err) &&
		!apierrors.IsInternalError(err) && !apierrors.IsServiceUnavailable(err) && !apierrors.IsTimeout(err)
}

// judge judges one pod. An error is that of ctx: a pod that can't be judged is
// counted, and the others go on.
func (f *Findings) judge(ctx context.Context, judge Judge, pod json.RawMessage) error {
	one, cancel := context.WithTimeout(ctx, podTimeout)
	defer cancel()
	r, err := shielded(one, judge, f.Namespace, pod)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		if f.Undecided++; f.Why == "" {
			f.Why = short(err.Error())
		}
	case !r.Deleted:
		f.add(r, pod)
	}
	return nil
}

// shielded turns a panic into an error: a pod that makes the rules panic must not
// end the replica, nor the audit of all others.
func shielded(ctx context.Context, judge Judge, namespace string, pod []byte) (r admit.Running, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("judging a pod panicked: %v", p)
		}
	}()
	return judge(ctx, namespace, pod)
}
