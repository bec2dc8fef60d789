package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"
)

// MaxMessage is the longest message in bytes, in both directions.
const MaxMessage = 32 << 10

// Order is what the parent wants of the child. What is nil stays as it is. A
// child ends when the socket does.
type Order struct {
	// Open is the first order and comes once.
	Open *Open `json:"open,omitempty"`
	// Pictures turns them on or off.
	Pictures *bool `json:"pictures,omitempty"`
	// Marks is what to draw into pictures from now on.
	Marks *Marks `json:"marks,omitempty"`
}

// Open says what to play.
type Open struct {
	// Source has the password in it: it must reach neither arguments nor
	// environment nor log.
	Source string `json:"source"`
	// Local lets the source be a file or a camera of this machine.
	Local bool `json:"local,omitempty"`
	// Transport of RTSP: tcp or udp.
	Transport string `json:"transport,omitempty"`
	// CA says that the authorities which are trusted come as a third file; Insecure
	// that no certificate is verified.
	CA       bool `json:"ca,omitempty"`
	Insecure bool `json:"insecure,omitempty"`
	// Timeout is how long the source may be silent before reading from it fails.
	Timeout time.Duration `json:"timeout"`
	// Late is how far a frame may lag behind before it is dropped.
	Late time.Duration `json:"late"`
	// CheckEvery is how often a frame's picture is looked at.
	CheckEvery time.Duration `json:"checkEvery"`
	// PictureEvery is the least time between two pictures.
	PictureEvery time.Duration `json:"pictureEvery"`
	// PictureWidth is the most that a picture is wide, in pixels.
	PictureWidth int `json:"pictureWidth"`
}

// Marks are drawn into the picture.
type Marks struct {
	// Verdict is one line of text.
	Verdict string `json:"verdict,omitempty"`
	Boxes   []Box  `json:"boxes,omitempty"`
}

// Box is a part of the picture; its sides are shares of the picture's, from the
// upper left corner.
type Box struct {
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
	Label  string  `json:"label,omitempty"`
}

// State is how far the child is.
type State string

const (
	Opening State = "opening"
	Playing State = "playing"
	// Ended: the source ended the stream, or a file is over.
	Ended State = "ended"
	// Failed: Why says what failed, Cause whose fault it is.
	Failed State = "failed"
)

// Beat is how often a child says that it is alive, by the message Alive.
const Beat = 250 * time.Millisecond

// Alive is the message that says no more than that the child runs.
var Alive = []byte{'A'}

// IsAlive tells it from others.
func IsAlive(b []byte) bool { return len(b) == 1 && b[0] == Alive[0] }

// Cause is whose fault it is that there are no frames.
type Cause string

const (
	NoCause Cause = ""
	// Camera is the source, or the program that serves it.
	Camera  Cause = "camera"
	Network Cause = "network"
	// Decoder is the child itself: it crashed, hung or grew too large.
	Decoder     Cause = "decoder"
	Credentials Cause = "credentials"
	// Refused: the source's address or scheme is not allowed here.
	Refused Cause = "refused"
)

// Report is what the child says besides frames.
type Report struct {
	State State  `json:"state"`
	Cause Cause  `json:"cause,omitempty"`
	Why   string `json:"why,omitempty"`
}

// maxWhy is the longest Why, in bytes.
const maxWhy = 500

var (
	errReport = errors.New("the report says nothing that is known")
	errOrder  = errors.New("the order asks for something out of range")
)

// MarshalReport returns the report's message.
func MarshalReport(r Report) ([]byte, error) {
	if len(r.Why) > maxWhy {
		r.Why = r.Why[:maxWhy]
	}
	return json.Marshal(r)
}

// ParseReport reads a report of a child that may be hostile.
func ParseReport(b []byte) (Report, error) {
	if len(b) > MaxMessage {
		return Report{}, fmt.Errorf("the report has %d bytes, more than %d", len(b), MaxMessage)
	}
	var r Report
	if err := json.Unmarshal(b, &r); err != nil {
		return Report{}, fmt.Errorf("reading a report: %w", err)
	}
	switch r.State {
	case Opening, Playing, Ended, Failed:
	default:
		return Report{}, errReport
	}
	switch r.Cause {
	case NoCause, Camera, Network, Decoder, Credentials, Refused:
	default:
		return Report{}, errReport
	}
	r.Why = printable(r.Why)
	return r, nil
}

// printable cuts text to maxWhy bytes and takes out what could harm a terminal.
func printable(s string) string {
	out := make([]byte, 0, min(len(s), maxWhy))
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == utf8.RuneError || (r >= 0x80 && r < 0xa0) {
			r = ' '
		}
		if len(out)+utf8.RuneLen(r) > maxWhy {
			break
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}

// MarshalOrder returns the order's message. Marks that don't fit are cut.
func MarshalOrder(o Order) ([]byte, error) {
	if o.Marks != nil {
		m := o.Marks.bounded()
		o.Marks = &m
	}
	b, err := json.Marshal(o)
	if err == nil && len(b) > MaxMessage {
		err = fmt.Errorf("the order has %d bytes, more than %d", len(b), MaxMessage)
	}
	return b, err
}

// ParseOrder reads an order of the parent.
func ParseOrder(b []byte) (Order, error) {
	var o Order
	if err := json.Unmarshal(b, &o); err != nil {
		return Order{}, fmt.Errorf("reading an order: %w", err)
	}
	if open := o.Open; open != nil {
		if open.Timeout <= 0 || open.Late <= 0 || open.CheckEvery <= 0 || open.PictureEvery < 0 ||
			open.PictureWidth < 16 || open.PictureWidth > maxSide {
			return Order{}, errOrder
		}
	}
	if o.Marks != nil {
		m := o.Marks.bounded()
		o.Marks = &m
	}
	return o, nil
}

const (
	maxBoxes = 32
	maxText  = 120 // bytes, of a label or a verdict
)

// bounded returns the marks as they can be drawn: inside of the picture.
func (m Marks) bounded() Marks {
	out := Marks{Verdict: cut(m.Verdict)}
	for _, b := range m.Boxes {
		if len(out.Boxes) == maxBoxes {
			break
		}
		b.X, b.Y = share(b.X), share(b.Y)
		b.Width, b.Height = min(share(b.Width), 1-b.X), min(share(b.Height), 1-b.Y)
		b.Label = cut(b.Label)
		out.Boxes = append(out.Boxes, b)
	}
	return out
}

func share(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return min(max(v, 0), 1)
}

func cut(s string) string {
	s = printable(s)
	for len(s) > maxText {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}
