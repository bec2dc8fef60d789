package push

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAWebhookGetsEachAlertOnceAndInOrder(t *testing.T) {
	r := newReceiver(t)
	p, _ := running(t, Options{Receivers: []Receiver{{Name: "hook", Kind: Webhook, URL: r.URL}}})
	now := time.Now()
	for _, kind := range []warn.Kind{warn.StallPredicted, warn.StallPredicted, warn.Stalled, warn.Clear, warn.StallPredicted} {
		p.Alert(raised(now, 0, kind, 2*time.Second))
	}
	want := []string{"stall-predicted", "stall", "clear", "stall-predicted"}
	eventually(t, "all are there", func() bool { return len(r.kinds(t)) >= len(want) })
	if got := r.kinds(t); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := p.outcome("hook", "suppressed"); n != 1 {
		t.Errorf("%v were suppressed, want 1", n)
	}
}

func TestLinesAreTheAlertsOwn(t *testing.T) {
	r := newReceiver(t)
	p, _ := running(t, Options{Labels: map[string]string{"pod": "ingest-0"}, Receivers: []Receiver{{Name: "hook", Kind: WebhookLines, URL: r.URL}}})
	a := raised(time.Unix(1767225600, 0), 0, warn.StallPredicted, 2*time.Second)
	p.Alert(a)
	eventually(t, "it is there", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.bodies) == 1 })
	want, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.headers[0].Get("Debugsidecar-Pod"); got != "ingest-0" {
		t.Errorf("the pod is %q", got)
	}
	if r.bodies[0] != string(want)+"\n" || r.headers[0].Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("got %q, want %q", r.bodies[0], want)
	}
}

// Alertmanager knows an alert by its labels: those of its start and of its end
// must be the same, whatever its cause and figures became meanwhile.
func TestAClearEndsWhatItClears(t *testing.T) {
	r := newReceiver(t)
	p, _ := running(t, Options{Receivers: []Receiver{{Name: "am", URL: r.URL + "/prefix/"}}, Labels: map[string]string{"pod": "ingest-0"}})
	began := time.Now()
	p.Alert(raised(began, 0, warn.StallPredicted, 2*time.Second))
	p.Alert(raised(began, 0, warn.StallPredicted, 4*time.Second))
	eventually(t, "both are there", func() bool { return len(r.posted(t)) == 2 })
	later := raised(began.Add(time.Second), 0, warn.StallPredicted, 2*time.Second)
	later.Cause = warn.Node
	p.Alert(later)
	eventually(t, "the change is there", func() bool { return len(r.posted(t)) == 3 })
	ended := began.Add(2 * time.Second)
	p.Alert(raised(ended, 0, warn.Clear, 2*time.Second))
	eventually(t, "the end is there", func() bool { return len(r.posted(t)) == 4 })
	all := r.posted(t)
	first, end := all[0], all[3]
	if !end.EndsAt.Equal(ended) || !end.StartsAt.Equal(began) {
		t.Errorf("it lasts from %v to %v, want %v to %v", end.StartsAt, end.EndsAt, began, ended)
	}
	for k, v := range first.Labels {
		if end.Labels[k] != v {
			t.Errorf("label %s is %q at the end, %q at the start", k, end.Labels[k], v)
		}
	}
	if first.Labels["pod"] != "ingest-0" || first.Labels["alertname"] != "VideoStallPredicted" || first.Labels["buffer_s"] != "2" {
		t.Errorf("labels %v", first.Labels)
	}
	if all[2].Annotations["cause"] != "node" || first.Annotations["cause"] != "network" {
		t.Errorf("causes %q, %q", first.Annotations["cause"], all[2].Annotations["cause"])
	}
	if all[1].EndsAt.Before(time.Now()) {
		t.Error("an alert that is on ends by itself too early")
	}
}

func TestAStreamsEndEndsItsAlerts(t *testing.T) {
	r := newReceiver(t)
	p, _ := running(t, Options{Receivers: []Receiver{{Name: "am", URL: r.URL}}})
	now := time.Now().Add(-time.Second)
	p.Alert(raised(now, 0, warn.Degraded, 0))
	p.Alert(raised(now, 1, warn.Degraded, 0))
	eventually(t, "both are there", func() bool { return len(r.posted(t)) == 2 })
	p.Ended(stream(1))
	eventually(t, "one ends", func() bool { return len(r.posted(t)) == 3 })
	if end := r.posted(t)[2]; end.Labels["stream"] != stream(1).String() || end.EndsAt.After(time.Now()) {
		t.Errorf("ended: %v at %v", end.Labels, end.EndsAt)
	}
}

// A dead receiver, one that never answers and one that refuses must not delay the
// one that works, nor who raises the alert.
func TestOneReceiverNeverDelaysAnother(t *testing.T) {
	hanging, refusing, good := newReceiver(t), newReceiver(t), newReceiver(t)
	hanging.hang = make(chan struct{})
	defer close(hanging.hang)
	refusing.statuses = slices.Repeat([]int{http.StatusBadRequest}, 1000)
	p, _ := running(t, Options{Drain: time.Millisecond, Receivers: []Receiver{
		{Name: "dead", Kind: Webhook, URL: dead}, {Name: "hanging", Kind: Webhook, URL: hanging.URL},
		{Name: "refusing", Kind: Webhook, URL: refusing.URL}, {Name: "good", Kind: Webhook, URL: good.URL},
	}})
	const n = 200
	now := time.Now()
	for i := range n {
		p.Alert(raised(now, i, warn.Stalled, 2*time.Second))
	}
	eventually(t, "the good one has all", func() bool { return len(good.kinds(t)) == n })
	eventually(t, "those refused are counted", func() bool { return p.outcome("refusing", "failed") == n })
	for _, name := range []string{"dead", "hanging"} {
		if got := p.outcome(name, "pushed"); got != 0 {
			t.Errorf("%s took %v", name, got)
		}
	}
}

// Some servers say 200 and never end their answer.
func TestAnAnswerThatNeverEndsDelaysNoAlert(t *testing.T) {
	var posts atomic.Int32
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		posts.Add(1)
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer endless.Close()
	p, _ := running(t, Options{Receivers: []Receiver{{Name: "hook", Kind: Webhook, URL: endless.URL, Timeout: 60}}})
	for i := range 5 {
		p.Alert(raised(time.Now(), i, warn.Stalled, time.Second))
		eventually(t, "it is posted", func() bool { return posts.Load() == int32(i+1) })
	}
	eventually(t, "all are counted", func() bool { return p.outcome("hook", "pushed") == 5 })
}

func TestAReceiverThatComesBackGetsWhatWaits(t *testing.T) {
	r := newReceiver(t)
	r.statuses = []int{503, 429, 401, 500}
	p, _ := running(t, Options{Receivers: []Receiver{{Name: "hook", Kind: Webhook, URL: r.URL}}})
	p.Alert(raised(time.Now(), 0, warn.Stalled, time.Second))
	eventually(t, "it is there", func() bool { return len(r.kinds(t)) == 1 })
	// The answer is counted after the receiver has the request.
	eventually(t, "it is counted as pushed", func() bool { return p.outcome("hook", "pushed") == 1 })
	if n := p.outcome("hook", "failed"); n != 0 {
		t.Errorf("%v are counted as failed", n)
	}
}

// At the stop what waits is sent, and Alertmanager hears that what is on ends.
func TestNothingIsLostAtTheStop(t *testing.T) {
	hook, am := newReceiver(t), newReceiver(t)
	hook.statuses = []int{503, 503}
	p, stop := running(t, Options{Drain: 30 * time.Second, Receivers: []Receiver{{Name: "hook", Kind: Webhook, URL: hook.URL}, {Name: "am", URL: am.URL}}})
	began := time.Now()
	for i := range 100 {
		p.Alert(raised(began, i, warn.Stalled, 2*time.Second))
	}
	stop()
	if got := len(hook.kinds(t)); got != 100 {
		t.Errorf("the webhook got %d of 100", got)
	}
	last := map[string]postable{}
	for _, a := range am.posted(t) {
		last[a.Labels["stream"]] = a
	}
	if len(last) != 100 {
		t.Errorf("Alertmanager got %d of 100", len(last))
	}
	for name, a := range last {
		if a.EndsAt.After(time.Now()) {
			t.Errorf("%s ends %v after the stop", name, time.Until(a.EndsAt))
		}
	}
}

func TestTheStopHasADeadline(t *testing.T) {
	r := newReceiver(t)
	r.hang = make(chan struct{})
	defer close(r.hang)
	p, stop := running(t, Options{Drain: 50 * time.Millisecond, Receivers: []Receiver{{Name: "hook", Kind: Webhook, URL: r.URL}}})
	p.Alert(raised(time.Now(), 0, warn.Stalled, time.Second))
	stop() // hangs if there is none
	if n := p.outcome("hook", "dropped"); n != 1 {
		t.Errorf("%v are counted as dropped", n)
	}
}
