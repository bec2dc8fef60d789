package serve

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/status"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

const (
	// boundary parts the pictures of /live.mjpg.
	boundary = "debugsidecar-picture"
	// pictureEvery is how often the capture is asked for a newer picture.
	pictureEvery = 20 * time.Millisecond
	// wantedFor is how long pictures stay wanted after the last viewer: a page
	// that is loaded again does not close the capture.
	wantedFor = 2 * time.Second
	// maxViewers is how many look at a time.
	maxViewers = 8
	// maxRaised is how many raised alerts are remembered.
	maxRaised = 4096
)

// live hands pictures to who looks.
type live struct {
	source Pictures

	mu      sync.Mutex
	viewers int
	leftAt  time.Time
	raised  map[raisedKey]bool
	changed chan struct{} // has a token when viewers or raised changed

	picture []byte
	number  uint64
	more    chan struct{} // closed when there is a newer picture
}

// raisedKey is what a clear ends.
type raisedKey struct {
	stream string
	buffer time.Duration
}

func newLive(source Pictures) *live {
	return &live{source: source, raised: map[raisedKey]bool{}, changed: make(chan struct{}, 1), more: make(chan struct{})}
}

func (l *live) notify() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

func (l *live) alert(a warn.Alert) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := raisedKey{a.Stream.Key(), a.Buffer}
	if a.Kind == warn.Clear {
		delete(l.raised, key)
	} else if len(l.raised) < maxRaised {
		l.raised[key] = true
	}
	l.notify()
}

// streams ends the alerts of streams that are no more.
func (l *live) streams(st *status.Status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.raised) == 0 {
		return
	}
	there := make(map[string]bool, len(st.Streams))
	for i := range st.Streams {
		there[st.Streams[i].Key] = true
	}
	for key := range l.raised {
		if !there[key.stream] {
			delete(l.raised, key)
		}
	}
	l.notify()
}

// run asks for pictures while they are wanted, and says when they are.
func (l *live) run(ctx context.Context) {
	if l.source == nil {
		return
	}
	wanted := false
	defer func() {
		if wanted {
			l.source.WantPictures(false)
		}
	}()
	tick := time.NewTicker(pictureEvery)
	tick.Stop()
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.changed:
		case <-tick.C:
		}
		looking, want := l.want(time.Now())
		if want != wanted {
			wanted = want
			l.source.WantPictures(want)
			if want {
				tick.Reset(pictureEvery)
			} else {
				tick.Stop()
			}
		}
		if looking {
			l.fetch()
		}
	}
}

func (l *live) want(now time.Time) (looking, want bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lingers := !l.leftAt.IsZero() && now.Sub(l.leftAt) < wantedFor
	return l.viewers > 0, l.viewers > 0 || lingers || len(l.raised) > 0
}

func (l *live) fetch() {
	jpeg, number, ok := l.source.Picture(l.number) // run alone writes number
	if !ok || len(jpeg) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.picture, l.number = append(l.picture[:0], jpeg...), number
	close(l.more)
	l.more = make(chan struct{})
}

// after copies the picture into buf if it is newer than number.
func (l *live) after(number uint64, buf []byte) ([]byte, uint64, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.number == number {
		return buf[:0], number, l.more
	}
	return append(buf[:0], l.picture...), l.number, l.more
}

func (l *live) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.viewers == maxViewers {
		return false
	}
	l.viewers++
	l.notify()
	return true
}

func (l *live) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.viewers--
	l.leftAt = time.Now()
	l.notify()
}

func (l *live) counts() (viewers, raised int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.viewers, len(l.raised)
}

// ServeHTTP sends pictures as they come. A viewer that is slow misses some, one
// that takes none for slowAfter loses its connection.
func (l *live) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l.source == nil {
		http.Error(w, "pictures are off: turn them on in the profile's parameters, or with --pictures", http.StatusNotFound)
		return
	}
	if r.Method == http.MethodHead {
		return
	}
	if !l.enter() {
		w.Header().Set("Retry-After", "5")
		http.Error(w, fmt.Sprintf("%d clients look already", maxViewers), http.StatusServiceUnavailable)
		return
	}
	defer l.leave()
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary="+boundary)
	fmt.Fprintf(w, "--%s\r\n", boundary)
	if out.Flush() != nil {
		return
	}
	var buf []byte
	// What an earlier viewer left behind is no live picture.
	_, number, _ := l.after(0, nil)
	for {
		picture, newest, more := l.after(number, buf)
		buf, number = picture, newest
		if len(picture) > 0 {
			_ = out.SetWriteDeadline(time.Now().Add(slowAfter))
			fmt.Fprintf(w, "Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n", len(picture))
			_, _ = w.Write(picture)
			// Browsers show a picture only once the next boundary is there.
			fmt.Fprintf(w, "\r\n--%s\r\n", boundary)
			if out.Flush() != nil {
				return
			}
			continue
		}
		select {
		case <-r.Context().Done():
			return
		case <-more:
		}
	}
}
