// Package answer says what to do about trouble, by its cause. Each answer is off
// unless the configuration turns it on, is given at most once in a while, and is
// recorded. Advice is always given: it changes nothing.
//
// It is pure: it decides, somebody else acts.
package answer

import (
	"fmt"
	"math"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// Policy says which answers may be given. The zero value gives none.
type Policy struct {
	// LowerSource opens another source, of less resolution, while the network
	// can't carry the first one.
	LowerSource bool
	// ReturnAfter is how long there has to be no trouble with the lower source until
	// the first one is tried again. 0: it stays with the lower one.
	ReturnAfter time.Duration
	// Reopen closes and opens the probe's session when the camera sends nothing.
	Reopen bool
	// Break stops opening the stream for a while when the node is short of CPU or
	// memory: the probe must not be what breaks it.
	Break bool
	// Every is the least time between two answers of a kind for a stream. Default
	// 1 minute.
	Every time.Duration
}

// Kind is what is to be done.
type Kind string

const (
	LowerSource   Kind = "lower-source"
	MainSource    Kind = "main-source"
	Reopen        Kind = "reopen"
	Break         Kind = "break"
	ReceiveBuffer Kind = "receive-buffer"
)

// Answer is one that is given.
type Answer struct {
	At     clock.Ktime
	Stream string
	Kind   Kind
	// Text tells a person what is done and why, or what to do.
	Text string
	// Advice changes nothing by itself.
	Advice bool
}

// Answerer remembers what was answered. It is not safe for concurrent use.
type Answerer struct {
	policy Policy
	given  map[asked]clock.Ktime
	way    *way
	blamed map[string]blame
}

// blame is what an alert of a stream said last.
type blame struct {
	at    clock.Ktime
	cause warn.Cause
}

// blamedFor is how long an alert's cause stands in where the verdict has none: what
// made the alert is often over a tenth of a second later, and the trouble is not.
const blamedFor = 10 * time.Second

type asked struct {
	stream string
	kind   Kind
}

// New returns an Answerer that has given none.
func New(p Policy) *Answerer {
	if p.Every <= 0 {
		p.Every = time.Minute
	}
	return &Answerer{policy: p, given: map[asked]clock.Ktime{}, blamed: map[string]blame{}, way: newWay(p.ReturnAfter)}
}

// Session takes note of the probe's own session, at each tick, and returns
// whether it is time to play the source again instead of the lower one. That is
// asked for until it is so.
func (a *Answerer) Session(stream sample.Stream, s Session) (Answer, bool) {
	why := a.way.step(s)
	return Answer{At: s.At, Stream: stream.String(), Kind: MainSource, Text: why}, why != ""
}

// Way returns how things stand between the two sources.
func (a *Answerer) Way() Way { return a.way.Way }

// Heard takes note of an alert.
func (a *Answerer) Heard(alert warn.Alert, now clock.Ktime) {
	if alert.Kind != warn.Clear && alert.Cause != warn.Unclear {
		a.blamed[alert.Stream.Key()] = blame{now, alert.Cause}
	}
}

// Step returns what to do about a stream now; mostly nothing. own says whether it
// is the probe's own session: nothing is done to others. bytesPerSecond is the
// stream's, if it is known.
func (a *Answerer) Step(stream sample.Stream, own bool, s *sample.Sample, v *warn.Verdict, bytesPerSecond sample.Figure) []Answer {
	if v.Health != warn.Poor && v.Health != warn.Unusable {
		return nil
	}
	var answers []Answer
	give := func(kind Kind, advice bool, text string) {
		key := asked{stream.Key(), kind}
		last, before := a.given[key]
		if before && time.Duration(s.At-last) < a.policy.Every {
			return
		}
		a.given[key] = s.At
		answers = append(answers, Answer{At: s.At, Stream: stream.String(), Kind: kind, Text: text, Advice: advice})
	}
	cause := v.Cause
	if said, ok := a.blamed[stream.Key()]; ok && cause == warn.Unclear && time.Duration(s.At-said.at) < blamedFor {
		cause = said.cause
	}
	switch cause {
	case warn.Network:
		if a.policy.LowerSource && own && a.way.mayLower(s.At) {
			give(LowerSource, false, "the network does not carry the stream: opening the source of lower resolution")
		}
	case warn.Camera:
		if a.policy.Reopen && own {
			give(Reopen, false, "the camera sends too little or nothing: opening the stream again")
		}
	case warn.Node:
		if s.Socket.Drops > 0 || s.Kernel.Reason == "SOCKET_RCVBUFF" {
			give(ReceiveBuffer, true, receiveBuffer(stream, bytesPerSecond))
		}
		if a.policy.Break && own {
			give(Break, false, "the node is short of CPU or memory: the probe's own session is closed for a while")
		}
	}
	return answers
}

// Forget drops what is known of a stream that ended.
func (a *Answerer) Forget(stream sample.Stream) {
	delete(a.blamed, stream.Key())
	for _, kind := range []Kind{LowerSource, Reopen, Break, ReceiveBuffer} {
		delete(a.given, asked{stream.Key(), kind})
	}
}

// burst is how much of a stream a receive buffer should hold: half a second
// covers a key frame that comes at once and a reader that is late by a slice of
// the scheduler.
const burst = 500 * time.Millisecond

// receiveBuffer names the socket and a size. The kernel doubles what is asked
// for (socket(7)) and counts its own overhead, about as much again for packets
// of an MTU; net.core.rmem_max limits it.
func receiveBuffer(stream sample.Stream, bytesPerSecond sample.Figure) string {
	size := 4 << 20
	rate, known := bytesPerSecond.Get()
	if known && rate > 0 {
		size = 1 << int(math.Ceil(math.Log2(max(rate*burst.Seconds(), 256<<10))))
	}
	text := fmt.Sprintf("the socket at port %d drops datagrams, because it is not read in time: set SO_RCVBUF to %d KiB or more", stream.Dst.Port(), size>>10)
	if known {
		text += fmt.Sprintf(" (half a second of its %.1f Mbit/s)", rate*8/1e6)
	}
	return text + ", and the node's net.core.rmem_max at least to that"
}
