package replay

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// readings are what receivers' sockets said, from a file of JSON lines.
type readings struct {
	lines   *bufio.Scanner
	number  int
	next    reading
	ended   bool
	sockets map[netip.AddrPort]*reader
	// overflows are those since the last sample.
	overflows []overflow
}

// reading is one line.
type reading struct {
	at     clock.Ktime
	stream netip.AddrPort
	queue  uint64
	drops  uint64
}

// reader is one socket.
type reader struct {
	at    clock.Ktime
	queue uint64
	drops uint64 // the total so far
	fresh uint64 // of these, since the last sample
	seen  bool
	// buffer is what is known of the socket's.
	buffer buffer
}

// fresher is how old a reading may be: without a line the queue is empty.
const fresher = clock.Ktime(sample.Interval + sample.Interval/2)

const maxLine = 1 << 16

func newReadings(r io.Reader) (*readings, error) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 4096), maxLine)
	k := &readings{lines: s, sockets: map[netip.AddrPort]*reader{}}
	return k, k.read()
}

// read reads the next line that is not empty.
func (k *readings) read() error {
	for k.lines.Scan() {
		k.number++
		line := bytes.TrimSpace(k.lines.Bytes())
		if len(line) == 0 {
			continue
		}
		next, err := parse(line)
		if err == nil && next.at < k.next.at {
			err = errors.New("earlier than the line before; sort the file by ts")
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", k.number, err)
		}
		k.next = next
		return nil
	}
	k.ended = true
	if err := k.lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", k.number+1, err)
	}
	return nil
}

func parse(line []byte) (reading, error) {
	var fields struct {
		TS     *float64 `json:"ts"`
		Stream string   `json:"stream"`
		Queue  *uint64  `json:"rx_queue"`
		Drops  *uint64  `json:"drops"`
	}
	if err := json.Unmarshal(line, &fields); err != nil {
		return reading{}, fmt.Errorf("%w; a line is like {\"ts\":1767225600.1,\"stream\":\"10.0.0.7:5004\",\"rx_queue\":0,\"drops\":0}", err)
	}
	if fields.TS == nil || *fields.TS < 0 || *fields.TS > math.MaxInt64/1e9 {
		return reading{}, errors.New("ts: seconds since 1970 are wanted")
	}
	stream, err := netip.ParseAddrPort(fields.Stream)
	if err != nil {
		return reading{}, fmt.Errorf("stream: the receiver's ip:port is wanted: %w", err)
	}
	seconds, fraction := math.Modf(*fields.TS)
	r := reading{at: clock.Ktime(seconds)*1e9 + clock.Ktime(math.Round(fraction*1e9)), stream: stream}
	if fields.Queue != nil {
		r.queue = *fields.Queue
	}
	if fields.Drops != nil {
		r.drops = *fields.Drops
	}
	return r, nil
}

// advance takes all lines up to a moment.
func (k *readings) advance(to clock.Ktime) error {
	for !k.ended && k.next.at <= to {
		s := k.sockets[k.next.stream]
		if s == nil {
			s = &reader{}
			k.sockets[k.next.stream] = s
		}
		// A total that falls is a new socket's.
		drops := k.next.drops
		if s.seen {
			drops = max(drops, s.drops) - s.drops
		}
		s.fresh += drops
		s.buffer.take(k.next.queue)
		if drops > 0 && k.next.at+remembered > to { // else its packets are forgotten
			k.overflows = append(k.overflows, s.overflow(&k.next, drops))
		}
		s.at, s.queue, s.drops, s.seen = k.next.at, k.next.queue, k.next.drops, true
		if err := k.read(); err != nil {
			return err
		}
	}
	return nil
}

// overflow is what was dropped in the interval before a reading.
func (s *reader) overflow(r *reading, drops uint64) overflow {
	o := overflow{
		socket: r.stream, from: r.at - clock.Ktime(sample.Interval), to: r.at,
		drops: int(min(drops, math.MaxInt32)), after: float64(r.queue), buffer: &s.buffer,
	}
	if s.seen && r.at < s.at+fresher {
		o.from, o.before = s.at, float64(s.queue)
	}
	return o
}

// socket returns what a receiver's socket said in the interval that ends at a
// moment.
func (k *readings) socket(receiver netip.AddrPort, at clock.Ktime) sample.Socket {
	s := k.sockets[receiver]
	if s == nil {
		return sample.Socket{Known: true}
	}
	reading := sample.Socket{Known: true, Drops: s.fresh}
	if at < s.at+fresher {
		reading.Queue = s.queue
	}
	return reading
}

// taken forgets the drops that went into samples.
func (k *readings) taken() {
	for _, s := range k.sockets {
		s.fresh = 0
	}
	k.overflows = k.overflows[:0]
}
