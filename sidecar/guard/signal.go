package guard

import (
	"os"
	"os/signal"
	"syscall"
)

// handler waits for signals until it is told to quit.
type handler struct {
	signals chan os.Signal
	quit    chan struct{}
	ended   chan struct{}
}

// Register begins to wait for the signals: the first one stops the program, a
// second one exits at once with 128 and its number. It does nothing if they are
// waited for already, or the program is stopped.
func (g *Guard) Register() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if state, _ := g.State(); g.handler != nil || state == Stopped {
		return
	}
	h := &handler{signals: make(chan os.Signal, 2), quit: make(chan struct{}), ended: make(chan struct{})}
	signal.Notify(h.signals, g.options.Signals...)
	g.handler = h
	go g.handle(h)
}

// Unregister gives the signals back to what they did before, and waits until
// nothing of the handler is left. Stop does so at its end.
func (g *Guard) Unregister() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.handler == nil {
		return
	}
	signal.Stop(g.handler.signals)
	close(g.handler.quit)
	<-g.handler.ended
	g.handler = nil
}

func (g *Guard) handle(h *handler) {
	defer close(h.ended)
	for {
		select {
		case <-h.quit:
			return
		case s := <-h.signals:
			if g.signals.Add(1) == 1 {
				// Elsewhere, so that the second signal finds somebody waiting.
				go g.Stop("signal: " + s.String())
				continue
			}
			status := 128
			if number, ok := s.(syscall.Signal); ok {
				status += int(number)
			}
			g.options.Exit(status)
		}
	}
}
