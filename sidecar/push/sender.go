package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// batch is how many alerts go in one request.
	batch = 64
	// A dead receiver is tried again after firstRetry, then less and less often.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 10 * time.Second
	// bodyWithin is how long an answer's body may take.
	bodyWithin = 50 * time.Millisecond
	// longestWait bounds what a receiver may ask for by Retry-After.
	longestWait = time.Minute
)

// sender brings one receiver what is in its queue.
type sender struct {
	receiver Receiver
	opts     *Options
	queue    *queue
	client   *http.Client
	metrics  *metrics
	log      *slog.Logger
}

func newSender(r Receiver, opts *Options, m *metrics) (*sender, error) {
	s := &sender{receiver: r, opts: opts, metrics: m, log: opts.Log.With("receiver", r.Name)}
	var err error
	if s.client, err = s.receiver.client(); err != nil {
		return nil, err
	}
	s.queue = newQueue(opts.Queue, opts.Repeat, r.Kind == Alertmanager, func(outcome string, n int) {
		m.alerts.WithLabelValues(r.Name, outcome).Add(float64(n))
	})
	m.announce(r.Name)
	return s, nil
}

// run sends until ctx ends, then what is left within the time for that.
func (s *sender) run(ctx context.Context) {
	defer s.client.CloseIdleConnections()
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval, retry.Multiplier = firstRetry, lastRetry, 2
	timer := time.NewTimer(s.opts.Repeat)
	defer timer.Stop()
	var notBefore time.Time // when a receiver that failed is tried again
	for ctx.Err() == nil {
		now := time.Now()
		next := s.queue.due(now)
		if !now.Before(notBefore) {
			wait, sent := s.send(ctx, retry)
			if sent {
				continue
			}
			if wait > 0 {
				notBefore = now.Add(wait)
			}
		}
		if now.Before(notBefore) && notBefore.Before(next) {
			next = notBefore
		}
		timer.Reset(time.Until(next))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-s.queue.more:
		}
	}
	s.drain(context.WithoutCancel(ctx), retry)
}

// drain sends what is left, and ends what is on.
func (s *sender) drain(ctx context.Context, retry *backoff.ExponentialBackOff) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Drain)
	defer cancel()
	s.queue.end("", time.Now())
	retry.Reset()
	for ctx.Err() == nil && s.queue.length() > 0 {
		if wait, sent := s.send(ctx, retry); !sent {
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
		}
	}
	if left := s.queue.length(); left > 0 {
		s.metrics.alerts.WithLabelValues(s.receiver.Name, "dropped").Add(float64(left))
		s.log.Warn("stopped with alerts that could not be sent", "alerts", left)
	}
}

// send sends one batch. It returns whether there was one and it is dealt with,
// else how long to wait before the next try; 0 if there was nothing.
func (s *sender) send(ctx context.Context, retry *backoff.ExponentialBackOff) (wait time.Duration, sent bool) {
	entries := s.queue.take(batch, time.Now().Add(-s.opts.Expiry))
	if len(entries) == 0 {
		return 0, false
	}
	err := s.post(ctx, entries)
	switch again := (*retryError)(nil); {
	case err == nil:
		retry.Reset()
		s.metrics.pushed(s.receiver.Name, entries, time.Now())
		return 0, true
	case errors.As(err, &again):
		s.queue.back(entries)
		wait = max(retry.NextBackOff(), min(again.after, longestWait))
		s.log.Warn("alerts could not be sent", "alerts", len(entries), "error", err, "again in", wait)
		return wait, false
	default:
		// It will never take these; others may follow.
		retry.Reset()
		s.metrics.alerts.WithLabelValues(s.receiver.Name, "failed").Add(float64(len(entries)))
		s.log.Error("alerts were refused", "alerts", len(entries), "error", err)
		return 0, true
	}
}

// retryError is a failure that may pass.
type retryError struct {
	err   error
	after time.Duration // at least, as the receiver asked for
}

func (e *retryError) Error() string { return e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }

// post sends entries in one request.
func (s *sender) post(ctx context.Context, entries []entry) error {
	body, contentType, err := s.encode(entries, time.Now())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.receiver.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("the url is not usable")
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "debugsidecar")
	if s.receiver.Kind != Alertmanager {
		for name, value := range s.opts.Labels {
			req.Header.Set("Debugsidecar-"+name, value)
		}
	}
	if err := s.receiver.authorize(req); err != nil {
		return &retryError{err: err}
	}
	answer, err := s.client.Do(req)
	if err != nil {
		s.metrics.attempts.WithLabelValues(s.receiver.Name, "error").Inc()
		// The client's error starts with the URL.
		if whole := (*url.Error)(nil); errors.As(err, &whole) {
			err = whole.Err
		}
		return &retryError{err: err}
	}
	defer answer.Body.Close()
	s.metrics.attempts.WithLabelValues(s.receiver.Name, strconv.Itoa(answer.StatusCode)).Inc()
	// The status says it all. The rest is read so that the connection can be used
	// again, but not waited for: the next alert is more urgent.
	defer time.AfterFunc(bodyWithin, cancel).Stop()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 512))
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10))
	switch code := answer.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code >= 500 || code == http.StatusRequestTimeout || code == http.StatusTooManyRequests || code == http.StatusTooEarly,
		code == http.StatusUnauthorized || code == http.StatusForbidden: // tokens are replaced
		return &retryError{fmt.Errorf("%s: %.200q", answer.Status, text), retryAfter(answer)}
	case code >= 300 && code < 400:
		return fmt.Errorf("%s: redirects are not followed; give the url that it leads to", answer.Status)
	default:
		return fmt.Errorf("%s: %.200q", answer.Status, text)
	}
}

func retryAfter(answer *http.Response) time.Duration {
	seconds, err := strconv.ParseUint(answer.Header.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
