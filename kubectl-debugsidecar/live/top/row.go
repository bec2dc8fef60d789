package top

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/ask"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/reading"
	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// Kinds of rows.
const (
	kindStream      = "stream"
	kindIdle        = "no-stream"   // the probe watches none
	kindUnreachable = "unreachable" // it was not heard of, or not for long
	kindWaiting     = "waiting"     // its container does not run, or it was not asked yet
	kindMore        = "more-streams"
)

// figure is a number, if it is known.
type figure = reading.Figure

// row is a stream, or a probe of which there is something else to say.
type row struct {
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	Kind      string `json:"kind"`
	Stream    string `json:"stream,omitempty"`
	Src       string `json:"src,omitempty"`
	SSRC      string `json:"ssrc,omitempty"`
	Health    string `json:"health,omitempty"`
	Cause     string `json:"cause,omitempty"`
	// Why is for people: why there is no stream.
	Why string `json:"why,omitempty"`
	// Waiting is the deepest buffer, in seconds, whose viewers see a stall now;
	// StallSeconds the time until those with StallBuffer see one: the smallest
	// buffer that a stall is foreseen for.
	Waiting      figure `json:"waitingBufferSeconds"`
	StallSeconds figure `json:"stallSeconds"`
	StallBuffer  figure `json:"stallBufferSeconds"`
	// Drops are of the last ten seconds.
	Drops         drops  `json:"drops"`
	LossRatio     figure `json:"lossRatio"`
	BitsPerSecond figure `json:"bitsPerSecond"`
	AgeSeconds    figure `json:"ageSeconds"`

	detail *detail
}

// drops are packets that did not reach the app, by who lost them.
type drops struct {
	// Socket had no room, Kernel is all other reasons on this node. Where several
	// streams of a pod have drops of both kinds, they are upper bounds.
	Socket figure `json:"socket"`
	Kernel figure `json:"kernel"`
	Bound  bool   `json:"upperBounds,omitempty"`
	// Wire is packets that never came, less those that the kernel dropped.
	Wire figure `json:"wire"`
}

// detail is what the view of one row shows beside it.
type detail struct {
	probe  *state
	stream *reading.Stream
}

// key tells rows apart.
func (r *row) key() string {
	return strings.Join([]string{r.Namespace, r.Pod, r.Kind, r.Stream, r.Src, r.SSRC}, "\x00")
}

// old is how old an answer may be before the probe counts as unreachable.
func old(interval time.Duration) time.Duration { return max(5*time.Second, 3*interval) }

// rows are those of all probes, the worst first.
func rows(all []state, interval time.Duration, now time.Time) []row {
	var out []row
	for i := range all {
		out = append(out, rowsOf(&all[i], interval, now)...)
	}
	slices.SortFunc(out, func(a, b row) int {
		return cmp.Or(
			-cmp.Compare(a.trouble(), b.trouble()),
			cmp.Compare(or(a.StallSeconds, math.Inf(1)), or(b.StallSeconds, math.Inf(1))),
			-cmp.Compare(or(a.Waiting, 0), or(b.Waiting, 0)),
			strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Pod, b.Pod),
			strings.Compare(a.Stream, b.Stream), strings.Compare(a.Src, b.Src), strings.Compare(a.SSRC, b.SSRC))
	})
	return out
}

func or(f figure, otherwise float64) float64 {
	if f == nil {
		return otherwise
	}
	return *f
}

// trouble orders rows.
func (r *row) trouble() int {
	switch {
	case r.Kind == kindMore:
		return 0
	case r.Kind == kindUnreachable:
		return 5
	case r.Kind == kindWaiting:
		return 2
	case r.Kind == kindIdle:
		return 1
	case r.Waiting != nil:
		return 9
	case r.StallSeconds != nil:
		return 8
	}
	return map[string]int{"unusable": 7, "poor": 6, "fair": 4}[r.Health] // excellent, unknown: last
}

// inTrouble says whether somebody should look.
func (r *row) inTrouble() bool { return r.trouble() >= 4 }

func rowsOf(s *state, interval time.Duration, now time.Time) []row {
	base := row{Namespace: session.Text(s.Namespace), Pod: session.Text(s.Pod), detail: &detail{probe: s}}
	one := func(kind, why string) []row {
		base.Kind, base.Why = kind, why
		return []row{base}
	}
	if s.Waits != "" {
		return one(kindWaiting, s.Waits)
	}
	if len(s.answers) == 0 {
		if s.err != nil {
			return one(kindUnreachable, s.err.Error())
		}
		return one(kindWaiting, "it is being asked")
	}
	last := &s.answers[len(s.answers)-1]
	age := now.Sub(last.Received) + last.Stale
	base.AgeSeconds = ptr(math.Round(max(age, 0).Seconds()*10) / 10)
	if age > old(interval) {
		why := "its status is old: the probe hangs"
		if s.err != nil {
			why = s.err.Error()
		}
		return one(kindUnreachable, why)
	}
	if len(last.Streams) == 0 {
		why := "the probe sees none here"
		if last.State != "Ready" && last.State != "" {
			why += "; it is " + last.State
		}
		return one(kindIdle, why)
	}
	var out []row
	shared := sharedDrops(s.answers)
	for i := range last.Streams {
		stream := &last.Streams[i]
		r := base
		r.Kind = kindStream
		r.Stream, r.Src, r.SSRC = stream.Stream, stream.Src, stream.SSRC
		r.Health, r.Cause = stream.Health, stream.Cause
		r.detail = &detail{probe: s, stream: stream}
		if w := stream.Waits(); w != nil {
			r.Waiting = ptr(w.BufferSeconds)
		}
		if f := stream.NextStall(); f != nil {
			r.StallSeconds, r.StallBuffer = ptr(*f.StallSeconds), ptr(f.BufferSeconds)
		}
		r.LossRatio = stream.LossRatio
		r.BitsPerSecond = bitRate(s.answers, stream)
		r.Drops = shared.of(s.answers, stream, last.Tier)
		out = append(out, r)
	}
	if more := last.Total - len(last.Streams); more > 0 {
		base.Kind, base.Why = kindMore, fmt.Sprintf("%d more streams, none worse than those shown", more)
		out = append(out, base)
	}
	return out
}

func ptr(v float64) figure { return &v }

// before finds a stream in the oldest answer that has it; nil if only the last has.
func before(answers []ask.Answer, id reading.ID) (*reading.Stream, *ask.Answer) {
	for i := range answers[:len(answers)-1] {
		for j := range answers[i].Streams {
			if s := &answers[i].Streams[j]; s.ID == id {
				return s, &answers[i]
			}
		}
	}
	return nil, nil
}

// grown is by how much a counter grew; not known if it began anew.
func grown(was, is figure) figure {
	if was == nil || is == nil || *is < *was {
		return nil
	}
	return ptr(*is - *was)
}

func bitRate(answers []ask.Answer, s *reading.Stream) figure {
	was, at := before(answers, s.ID)
	if was == nil {
		return nil
	}
	last := &answers[len(answers)-1]
	passed := last.At.Sub(at.At) // by the probe's own clock
	if last.At.IsZero() || at.At.IsZero() {
		passed = last.Received.Sub(at.Received)
	}
	bytes := grown(was.Bytes, s.Bytes)
	if bytes == nil || passed < 100*time.Millisecond {
		return nil
	}
	return ptr(*bytes * 8 / passed.Seconds())
}

// podDrops are a pod's in the last ten seconds, and how many streams have some.
type podDrops struct {
	socket, other figure
	streams       int
}

// receiveBuffer is the kernel's reason for a datagram that its socket had no room
// for.
const receiveBuffer = "SOCKET_RCVBUFF"

func sharedDrops(answers []ask.Answer) podDrops {
	var out podDrops
	last, first := &answers[len(answers)-1], &answers[0]
	if len(answers) == 1 || last.Tier != "kernel" {
		return out
	}
	count := func(r *ask.Answer, socket bool) figure {
		sum := 0.0
		for _, d := range r.Drops {
			if d.Loss && (d.Reason == receiveBuffer) == socket {
				sum += d.Count
			}
		}
		return &sum
	}
	out.socket, out.other = grown(count(first, true), count(last, true)), grown(count(first, false), count(last, false))
	for i := range last.Streams {
		s := &last.Streams[i]
		if was, _ := before(answers, s.ID); was != nil && or(grown(was.KernelDrops, s.KernelDrops), 0) > 0 {
			out.streams++
		}
	}
	return out
}

// of divides a stream's drops. The kernel's reasons are known by pod; so they are
// a stream's own only if no other has drops, or all are of one kind.
func (p podDrops) of(answers []ask.Answer, s *reading.Stream, tier string) drops {
	was, _ := before(answers, s.ID)
	if was == nil {
		return drops{}
	}
	var d drops
	here := grown(was.KernelDrops, s.KernelDrops)
	if tier == "kernel" && here != nil && p.socket != nil && p.other != nil {
		switch socket := min(*here, *p.socket); {
		case p.streams < 2 || *p.other == 0:
			d.Socket, d.Kernel = ptr(socket), ptr(*here-socket)
		case *p.socket == 0:
			d.Socket, d.Kernel = ptr(0), here
		default:
			d.Socket, d.Kernel, d.Bound = ptr(socket), ptr(min(*here, *p.other)), true
		}
	}
	if s.LossRatio != nil { // else nobody counts what is missing
		if lost := grown(was.Lost, s.Lost); lost != nil {
			d.Wire = ptr(max(*lost-or(d.Kernel, 0), 0))
		}
	}
	return d
}
