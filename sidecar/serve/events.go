package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

const (
	// eventsKept is how many alerts a client that comes back can still get.
	eventsKept = 1024
	// maxListeners is how many clients listen at a time.
	maxListeners = 32
	// heartbeat keeps proxies from closing what seems dead.
	heartbeat = 15 * time.Second
	// slowAfter is how long a client may take for what it is sent.
	slowAfter = 5 * time.Second
)

// event is an alert as it was sent.
type event struct {
	number uint64
	at     time.Time
	line   json.RawMessage
}

// events are the last alerts, numbered from 1. Clients read from here at their
// own speed: there is no queue for each.
type events struct {
	boot string // tells numbers of this process from those of one before it

	mu        sync.Mutex
	ring      [eventsKept]event
	last      uint64        // the newest event's number
	more      chan struct{} // closed when there is a newer one
	listeners int
	dropped   uint64 // clients that were too slow
}

func newEvents() *events {
	return &events{boot: strconv.FormatInt(time.Now().UnixNano(), 36), more: make(chan struct{})}
}

func (e *events) add(a warn.Alert) {
	line, err := json.Marshal(a)
	if err != nil {
		return // an alert without its figures (NaN) says nothing
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	e.ring[e.last%eventsKept] = event{e.last, a.At, line}
	close(e.more)
	e.more = make(chan struct{})
}

// after returns the events above number, how many of them are gone, and what is
// closed when there are more.
func (e *events) after(number uint64) (list []event, gone uint64, more <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if oldest := e.last - min(e.last, eventsKept); number < oldest {
		gone, number = oldest-number, oldest
	}
	for n := number + 1; n <= e.last; n++ {
		list = append(list, e.ring[n%eventsKept])
	}
	return list, gone, e.more
}

// since returns the events from t on, and the id after which to go on.
func (e *events) since(t time.Time) (list []event, last string) {
	all, _, _ := e.after(0)
	list = []event{} // in JSON, none is not null
	for _, ev := range all {
		if !ev.at.Before(t) {
			list = append(list, ev)
		}
	}
	number := uint64(0)
	if len(all) > 0 {
		number = all[len(all)-1].number
	}
	return list, e.id(number)
}

func (e *events) id(number uint64) string { return e.boot + "-" + strconv.FormatUint(number, 10) }

// start is the number after which a client wants events: what its last one had,
// 0 if that was another process's, or the newest for who never heard any.
func (e *events) start(r *http.Request) uint64 {
	id := r.Header.Get("Last-Event-ID")
	if id == "" {
		id = r.URL.Query().Get("after")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if id == "" {
		return e.last
	}
	boot, text, _ := strings.Cut(id, "-")
	number, err := strconv.ParseUint(text, 10, 64)
	if boot != e.boot || err != nil || number > e.last {
		return 0
	}
	return number
}

func (e *events) enter() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.listeners == maxListeners {
		return false
	}
	e.listeners++
	return true
}

func (e *events) leave(slow bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.listeners--
	if slow {
		e.dropped++
	}
}

func (e *events) counts() (listeners int, dropped uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.listeners, e.dropped
}

// ServeHTTP sends alerts as they come: as server-sent events (WHATWG HTML, 9.2),
// or as JSON lines to who accepts application/x-ndjson.
func (e *events) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !e.enter() {
		w.Header().Set("Retry-After", "5")
		http.Error(w, fmt.Sprintf("%d clients listen already", maxListeners), http.StatusServiceUnavailable)
		return
	}
	err := e.stream(w, r)
	e.leave(errors.Is(err, os.ErrDeadlineExceeded))
}

func (e *events) stream(w http.ResponseWriter, r *http.Request) error {
	form := eventStream
	if strings.Contains(r.Header.Get("Accept"), jsonLines.contentType) {
		form = jsonLines
	}
	out := http.NewResponseController(w)
	write := func(text string) error {
		return errors.Join(out.SetWriteDeadline(time.Now().Add(slowAfter)), second(io.WriteString(w, text)), out.Flush())
	}
	w.Header().Set("Content-Type", form.contentType)
	if r.Method == http.MethodHead {
		return nil
	}
	number := e.start(r)
	if err := write(form.start); err != nil {
		return err
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		list, gone, more := e.after(number)
		var text strings.Builder
		if gone > 0 {
			fmt.Fprintf(&text, form.gone, gone)
		}
		for _, ev := range list {
			text.WriteString(form.event(e.id(ev.number), ev.line))
			number = ev.number
		}
		if text.Len() > 0 {
			if err := write(text.String()); err != nil {
				return err
			}
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-more:
		case <-beat.C:
			if err := write(form.beat); err != nil {
				return err
			}
		}
	}
}

// form is how alerts are written.
type form struct {
	contentType, start, beat string
	gone                     string // with the number of alerts
	event                    func(id string, line []byte) string
}

var (
	eventStream = form{
		contentType: "text/event-stream", start: "retry: 1000\n\n", beat: ": still here\n\n",
		gone: "event: gone\ndata: {\"alerts\":%d}\n\n",
		event: func(id string, line []byte) string {
			return fmt.Sprintf("id: %s\nevent: alert\ndata: %s\n\n", id, line)
		},
	}
	jsonLines = form{
		contentType: "application/x-ndjson", beat: "\n", gone: "{\"gone\":%d}\n",
		event: func(_ string, line []byte) string { return string(line) + "\n" },
	}
)

func second(_ int, err error) error { return err }
