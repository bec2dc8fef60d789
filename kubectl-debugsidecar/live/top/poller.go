package top

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/ask"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/probes"
)

const (
	// askers is how many probes are asked at the same time. Who takes longer than
	// patience no longer counts: so slow ones delay nobody.
	askers   = 32
	patience = 500 * time.Millisecond
	// slowAskers bounds those.
	slowAskers = 256
	// longestPause is how seldom a probe is asked that never answers.
	longestPause = 15 * time.Second
	// window is what rates and drops are counted over, as the probe's own figures.
	window = 10 * time.Second
	// mostAnswers bounds what is remembered of a probe.
	mostAnswers = 12
)

// state is what is known of a probe.
type state struct {
	probes.Probe
	// answers of the last ten seconds, the oldest first. They are never changed.
	answers []ask.Answer
	// err says why the last question had no answer; nil if it had one.
	err   error
	asked int // questions that were answered, or failed
}

// poller asks each probe once an interval.
type poller struct {
	interval time.Duration
	ask      func(context.Context, *probes.Probe) (ask.Answer, error)
	fast     chan struct{}
	slow     chan struct{}

	mu     sync.Mutex
	states map[string]*asked
	all    sync.WaitGroup
}

// asked is a probe with a goroutine of its own.
type asked struct {
	state
	stop context.CancelFunc
}

func newPoller(interval time.Duration, question func(context.Context, *probes.Probe) (ask.Answer, error)) *poller {
	return &poller{
		interval: interval, ask: question, states: map[string]*asked{},
		fast: make(chan struct{}, askers), slow: make(chan struct{}, slowAskers),
	}
}

// set says which probes there are now.
func (p *poller) set(ctx context.Context, list []probes.Probe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	there := make(map[string]bool, len(list))
	for i := range list {
		one := &list[i]
		there[one.Name()] = true
		if s := p.states[one.Name()]; s != nil {
			if s.UID == one.UID {
				s.Probe = *one
				continue
			}
			s.stop() // another pod of that name
		}
		s := &asked{state: state{Probe: *one}}
		var own context.Context
		own, s.stop = context.WithCancel(ctx)
		p.states[one.Name()] = s
		p.all.Go(func() { p.follow(own, s) })
	}
	for name, s := range p.states {
		if !there[name] {
			s.stop()
			delete(p.states, name)
		}
	}
}

// wait returns when no goroutine is left; the context of set has to end first.
func (p *poller) wait() { p.all.Wait() }

// snapshot is what is known now.
func (p *poller) snapshot() []state {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]state, 0, len(p.states))
	for _, s := range p.states {
		list = append(list, s.state)
	}
	return list
}

// follow asks one probe until ctx ends.
func (p *poller) follow(ctx context.Context, s *asked) {
	pause := time.Duration(rand.Int64N(int64(min(p.interval, time.Second)/4) + 1)) // not all at once
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		began := time.Now()
		p.mu.Lock()
		probe := s.Probe
		p.mu.Unlock()
		if probe.Waits != "" {
			pause = p.interval
			continue
		}
		a, err := p.question(ctx, &probe)
		if ctx.Err() != nil {
			return
		}
		p.mu.Lock()
		s.asked++
		if s.err = err; err == nil {
			s.answers = recent(s.answers, a)
		}
		p.mu.Unlock()
		if err == nil {
			failures, pause = 0, max(p.interval-time.Since(began), p.interval/10)
			continue
		}
		failures++
		pause = min(p.interval<<min(failures, 6), max(longestPause, p.interval))
	}
}

// question takes a place among those that ask, and leaves it to another if the
// answer is slow.
func (p *poller) question(ctx context.Context, probe *probes.Probe) (ask.Answer, error) {
	select {
	case p.fast <- struct{}{}:
	case <-ctx.Done():
		return ask.Answer{}, ctx.Err()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		ask.Answer
		err error
	}
	answered := make(chan result, 1)
	go func() {
		a, err := p.ask(ctx, probe)
		answered <- result{a, err}
	}()
	var r result
	select {
	case r = <-answered:
		<-p.fast
		return r.Answer, r.err
	case <-time.After(patience):
	}
	<-p.fast
	select {
	case p.slow <- struct{}{}:
		defer func() { <-p.slow }()
	default:
		cancel() // too many are slow: this one is asked again later
	}
	r = <-answered
	return r.Answer, r.err
}

// recent adds an answer, and leaves out the old ones and, of those before, what
// comes too often.
func recent(all []ask.Answer, a ask.Answer) []ask.Answer {
	const least = window / (mostAnswers - 2)
	out := make([]ask.Answer, 0, mostAnswers)
	for i := range all {
		old := &all[i]
		if a.Received.Sub(old.Received) > window {
			continue
		}
		// The newest but one stays only if it is apart from the one before it.
		if i == len(all)-1 && len(out) > 0 && old.Received.Sub(out[len(out)-1].Received) < least {
			continue
		}
		out = append(out, *old)
	}
	if len(out) == mostAnswers {
		out = out[1:]
	}
	return append(out, a)
}
