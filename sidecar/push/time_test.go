package push

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// fake answers in virtual time.
type fake struct {
	answer func(n int) (*http.Response, error)
	mu     sync.Mutex
	at     []time.Time
	bodies []string
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.bodies = append(f.at, time.Now()), append(f.bodies, string(body))
	return f.answer(len(f.at))
}

func (f *fake) times() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.at)
}

func status(code int, header ...string) (*http.Response, error) {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: code, Status: http.StatusText(code), Header: h, Body: io.NopCloser(strings.NewReader(""))}, nil
}

// faked runs a pusher in virtual time whose receiver is f.
func faked(t *testing.T, kind string, f *fake) (p *Pusher, stop func()) {
	t.Helper()
	p, err := New(Options{Receivers: []Receiver{{Name: "r", Kind: kind, URL: "http://receiver"}}})
	if err != nil {
		t.Fatal(err)
	}
	p.senders[0].client.Transport = f
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { p.Run(ctx) })
	return p, func() { cancel(); all.Wait() }
}

func TestADeadReceiverIsAskedLessAndLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(int) (*http.Response, error) { return nil, errors.New("no route") }}
		p, stop := faked(t, Webhook, f)
		p.Alert(raised(time.Now(), 0, warn.Stalled, time.Second))
		time.Sleep(4 * time.Minute)
		at := f.times()
		n := len(at)
		if n < 20 || n > 60 {
			t.Errorf("%d requests in four minutes", n)
		}
		for i := 1; i < n; i++ {
			if gap := at[i].Sub(at[i-1]); gap < firstRetry/2 || gap > 2*lastRetry {
				t.Errorf("request %d came %v after the one before", i, gap)
			}
		}
		if last := at[n-1].Sub(at[n-2]); last < lastRetry/2 {
			t.Errorf("after four minutes it is asked every %v", last)
		}
		time.Sleep(2 * time.Minute)
		if p.outcome("r", "expired") != 1 {
			t.Error("an alert of six minutes ago still waits")
		}
		stop()
	})
}

// New alerts during the wait go with the next try, and cause none of their own.
func TestAlertsDuringTheWaitGoWithTheNextTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(n int) (*http.Response, error) {
			if n == 1 {
				return status(http.StatusTooManyRequests, "Retry-After", "30")
			}
			return status(http.StatusOK)
		}}
		p, stop := faked(t, Webhook, f)
		began := time.Now()
		for i := range 5 {
			p.Alert(raised(time.Now(), i, warn.Stalled, time.Second))
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		stop()
		if len(f.at) != 2 || f.at[1].Sub(began) < 30*time.Second || f.at[1].Sub(began) > 31*time.Second {
			t.Fatalf("requests at %v", f.at)
		}
		var got []any
		if err := json.Unmarshal([]byte(f.bodies[1]), &got); err != nil || len(got) != 5 {
			t.Errorf("%d alerts in the second, %v", len(got), err)
		}
	})
}

// Alertmanager ends what it does not hear of; what is on is said again in time,
// with an end that is later each time.
func TestAlertmanagerHearsInTimeOfWhatIsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(int) (*http.Response, error) { return status(http.StatusOK) }}
		p, stop := faked(t, Alertmanager, f)
		began := time.Now()
		p.Alert(raised(began, 0, warn.Stalled, time.Second))
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		at := f.times()
		if len(at) != 11 {
			t.Fatalf("%d requests in ten minutes", len(at))
		}
		for i, body := range f.bodies {
			var list []postable
			if err := json.Unmarshal([]byte(body), &list); err != nil || len(list) != 1 {
				t.Fatalf("%v %s", err, body)
			}
			if !list[0].StartsAt.Equal(began) || list[0].EndsAt.Sub(at[i]) != 4*time.Minute {
				t.Errorf("request %d: from %v for %v", i, list[0].StartsAt, list[0].EndsAt.Sub(at[i]))
			}
		}
		if h := p.metrics.latencyCount(t, "r"); h != 1 {
			t.Errorf("%d latencies are counted, one alert was new", h)
		}
		stop()
		var list []postable
		if err := json.Unmarshal([]byte(f.bodies[len(f.bodies)-1]), &list); err != nil || list[0].EndsAt.After(time.Now()) {
			t.Errorf("at the stop: %v, %v", list, err)
		}
	})
}
