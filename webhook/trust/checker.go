package trust

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// flightTime bounds one question to a registry. It goes on when whoever asked has
// given up, so that the next one finds the answer.
const flightTime = 4 * time.Second

// Checker answers questions about images, and remembers the answers.
type Checker struct {
	credentials string
	lanes       map[Whose]*lane
	metrics     *metrics
	log         *slog.Logger
	complain    *rate.Limiter // of the log
	now         func() time.Time

	ctx  context.Context
	stop context.CancelFunc
}

// New makes a checker. Credentials is a file as `docker login` writes it; it may
// be empty, or missing.
func New(credentials string, r prometheus.Registerer, log *slog.Logger) *Checker {
	c := &Checker{
		credentials: credentials,
		lanes:       map[Whose]*lane{Administrator: newLane(), Tenant: newLane()},
		metrics:     newMetrics(r),
		log:         log,
		complain:    rate.NewLimiter(rate.Every(10*time.Second), 3),
		now:         time.Now,
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

// Close ends what still runs.
func (c *Checker) Close() { c.stop() }

// Resolve gives an image the digest that its tag has now. One with a digest stays
// as it is. A failure is nil if there is none.
func (c *Checker) Resolve(ctx context.Context, p *Policy, text string, whose Whose) (string, *Failure) {
	ref, r, f := p.find(text)
	if f != nil || ref.digest != "" {
		return text, f
	}
	l, key := c.lanes[whose], p.id+" "+ref.repository()+":"+ref.tag
	digest, age, known := l.tags.get(key, c.now())
	if known && age < tagFresh {
		return withDigest(text, digest), nil
	}
	if f, _, ok := l.refused.get(key, c.now()); ok {
		return text, f
	}
	fresh, f := c.ask(ctx, l, p, r, "digest", key, func(ctx context.Context) (string, error) {
		flight, err := connect(ctx, r, ref, c.credentials)
		if err != nil {
			return "", err
		}
		digest, err := flight.resolve(ref.tag)
		switch {
		case err != nil:
			return "", err
		case digest == "":
			return "", c.refuse(l, key, &Failure{Missing, text, "its registry has no such tag"})
		}
		l.tags.put(key, digest, c.now())
		return digest, nil
	})
	switch {
	case f == nil:
		return withDigest(text, fresh), nil
	case f.Result == Unreachable && known:
		return withDigest(text, digest), nil
	}
	return text, f.about(text)
}

// Verify says whether an image with a digest is signed by one of the policy's keys.
func (c *Checker) Verify(ctx context.Context, p *Policy, text string, whose Whose) *Failure {
	ref, r, f := p.find(text)
	if f == nil && ref.digest == "" {
		f = &Failure{Unpinned, text, "it has no digest, so what runs is not known"}
	}
	if f != nil {
		return c.metrics.count(f, fromCache)
	}
	for _, l := range c.lanes {
		if by, _ := l.verifiedBy(p, ref.digest, c.now()); by != nil {
			return c.metrics.count(nil, fromCache)
		}
	}
	return c.verify(ctx, p, r, ref, text, whose)
}

// verify asks the registry, unless it said no a moment ago.
func (c *Checker) verify(ctx context.Context, p *Policy, r *registry, ref image, text string, whose Whose) *Failure {
	l, key := c.lanes[whose], p.id+" "+ref.repository()+"@"+ref.digest
	if f, _, ok := l.refused.get(key, c.now()); ok {
		return c.metrics.count(f.about(text), fromCache)
	}
	_, f := c.ask(ctx, l, p, r, "signature", key, func(ctx context.Context) (string, error) {
		flight, err := connect(ctx, r, ref, c.credentials)
		if err != nil {
			return "", err
		}
		by, err := flight.signer(p.keys, ref.digest)
		switch {
		case err != nil:
			return "", err
		case by == nil:
			return "", c.refuse(l, key, &Failure{Unsigned, text, "no signature by a trusted key was found" + noted(flight.notes)})
		}
		l.verified.put(ref.digest+" "+by.id, by.id, c.now())
		return by.id, nil
	})
	return c.metrics.count(f.about(text), fromRegistry)
}

// signer looks at both forms of signatures.
func (f *flight) signer(keys []*key, digest string) (*key, error) {
	by, err := f.classic(keys, digest)
	if by != nil {
		return by, nil
	}
	// That the one can't be read does not keep the other from counting.
	other, otherErr := f.bundles(keys, digest)
	if other != nil {
		return other, nil
	}
	return nil, errors.Join(err, otherErr)
}

// noted adds what was seen instead, each once.
func noted(notes []string) string {
	slices.Sort(notes)
	if notes = slices.Compact(notes); len(notes) == 0 {
		return ""
	}
	return " (" + strings.Join(notes, ", ") + ")"
}

// refuse remembers a final failure.
func (c *Checker) refuse(l *lane, key string, f *Failure) *Failure {
	l.refused.put(key, f, c.now())
	return f
}

// ask has one question asked, once for all who wait for it.
func (c *Checker) ask(ctx context.Context, l *lane, p *Policy, r *registry, what, key string, question func(context.Context) (string, error)) (string, *Failure) {
	done := l.flights.DoChan(what+" "+key, func() (any, error) {
		ctx, cancel := context.WithTimeout(c.ctx, flightTime)
		defer cancel()
		start := c.now()
		answer, f := c.fly(ctx, l, p, r, question)
		c.metrics.observe(what, f, c.now().Sub(start))
		if f != nil {
			return answer, f
		}
		return answer, nil
	})
	select {
	case result := <-done:
		if result.Err == nil {
			return result.Val.(string), nil
		}
		if f, ok := errors.AsType[*Failure](result.Err); ok {
			return "", f
		}
		return "", &Failure{Result: Unreachable, why: "its signature could not be looked for"}
	case <-ctx.Done():
		return "", &Failure{Result: Unreachable, why: "its registry did not answer in time"}
	}
}

// fly asks a question within the bounds of its lane. Whatever the registry's
// answers do to a library, it is that question alone that fails.
func (c *Checker) fly(ctx context.Context, l *lane, p *Policy, r *registry, question func(context.Context) (string, error)) (answer string, f *Failure) {
	defer func() {
		if v := recover(); v != nil {
			c.log.Error("an answer of a registry made its reader panic", "registry", r.host, "panic", v, "stack", string(debug.Stack()))
			answer, f = "", &Failure{Result: Unreachable, why: "what its registry answered can't be read"}
		}
	}()
	if l.slots.Acquire(ctx, 1) != nil {
		return "", &Failure{Result: Unreachable, why: "too many images are being looked at"}
	}
	defer l.slots.Release(1)
	var final *Failure
	answer, err := l.breaker(p, r.host).Execute(func() (string, error) {
		answer, err := question(ctx)
		if found, ok := errors.AsType[*Failure](err); ok && found.final() {
			final, err = found, nil // the registry did its work
		}
		return answer, err
	})
	switch {
	case err != nil:
		if c.complain.Allow() {
			c.log.Warn("a registry is of no use for image trust", "registry", r.host, "err", err)
		}
		return "", &Failure{Result: Unreachable, why: explain(ctx, err)}
	case final != nil:
		return "", final
	}
	return answer, nil
}

// about is a failure of the image as it was named this time.
func (f *Failure) about(text string) *Failure {
	if f == nil || f.Image == text {
		return f
	}
	of := *f
	of.Image = text
	return &of
}

// find reads an image's name and finds the registry to ask.
func (p *Policy) find(text string) (image, *registry, *Failure) {
	ref, err := parseReference(text)
	if err != nil {
		return ref, nil, &Failure{Malformed, text, "it is no image's name, or has a digest that is not SHA-256"}
	}
	r, ok := p.registries[ref.host()]
	if !ok {
		return ref, nil, &Failure{Unlisted, text, fmt.Sprintf("registry %s is not one that may be asked for signatures", ref.host())}
	}
	return ref, r, nil
}
