package probe

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/capture"
)

// player runs one capture at a time, and replaces it on request: by one that
// opens the stream again, or another source of it.
type player struct {
	options capture.Options
	orders  chan order

	mu      sync.Mutex
	current *capture.Capture
	wants   bool
	alert   bool
	marks   capture.Marks
}

// order replaces the capture.
type order struct {
	source string
	after  time.Duration // how long nothing is played before
}

func newPlayer(o capture.Options) (*player, error) {
	c, err := capture.New(o)
	if err != nil {
		return nil, err
	}
	return &player{options: o, current: c, orders: make(chan order, 1)}, nil
}

// run plays until ctx ends.
func (p *player) run(ctx context.Context) error {
	for ctx.Err() == nil {
		session, cancel := context.WithCancel(ctx)
		ended := make(chan error, 1)
		c := p.capture()
		go func() { ended <- c.Run(session) }()
		var next order
		select {
		case err := <-ended:
			cancel()
			return err
		case next = <-p.orders:
		}
		cancel()
		if err := <-ended; err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(next.after):
		}
		if err := p.replace(next.source); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) replace(source string) error {
	p.options.Source = source
	c, err := capture.New(p.options)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = c
	c.WantPictures(p.wants)
	c.Alert(p.alert)
	c.Mark(p.marks)
	return nil
}

// ask replaces the capture soon. While one order waits, another is not taken.
func (p *player) ask(o order) bool {
	select {
	case p.orders <- o:
		return true
	default:
		return false
	}
}

func (p *player) capture() *capture.Capture {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current
}

// WantPictures and Picture serve the live picture.
func (p *player) WantPictures(want bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wants = want
	p.current.WantPictures(want)
}

func (p *player) Picture(after uint64) (jpeg []byte, number uint64, ok bool) {
	return p.capture().Picture(after)
}

// tell says whether an alert is on, and what to draw.
func (p *player) tell(alert bool, marks capture.Marks) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if alert != p.alert {
		p.alert = alert
		p.current.Alert(alert)
	}
	if marks.Verdict != p.marks.Verdict || !slices.Equal(marks.Boxes, p.marks.Boxes) {
		p.marks = marks
		p.current.Mark(marks)
	}
}
