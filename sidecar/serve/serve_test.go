package serve

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/status"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// contextEnded lets a stream end after its first look.
func contextEnded(r *http.Request) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.Context())
	cancel()
	return ctx, cancel
}

// dial asks the running server's loopback.
func dial(t *testing.T, s *Server, path string, header ...string) *http.Response {
	t.Helper()
	_, addr := s.Addrs()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr.String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

func probe(s *Server, path string) (int, string) {
	w := httptest.NewRecorder()
	s.handlers[0].ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestHealthzFollowsTheSampling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := unbound(t, Options{})
		expect := func(when string, want int) {
			t.Helper()
			if code, body := probe(s, "/healthz"); code != want {
				t.Errorf("%s: %d %s", when, code, body)
			}
		}
		time.Sleep(30 * time.Second)
		expect("while it starts", http.StatusOK)
		time.Sleep(time.Minute)
		expect("when it never started", http.StatusServiceUnavailable)
		st := scripted(time.Now(), 1, 3, .5)
		st.State, st.Health = "Degraded", warn.Unusable
		s.Publish(st)
		expect("while streams are in trouble", http.StatusOK)
		time.Sleep(11 * time.Second)
		expect("when sampling hangs", http.StatusServiceUnavailable)
		s.Publish(st)
		expect("when it goes on", http.StatusOK)
	})
}

// A sidecar that is not ready takes its pod out of service, so a probe that does
// less is ready still.
func TestReadyzSaysTheStateAndWhy(t *testing.T) {
	s := unbound(t, Options{})
	if code, body := probe(s, "/readyz"); code != http.StatusServiceUnavailable || body != "initializing: no status yet\n" {
		t.Errorf("before a status: %d %q", code, body)
	}
	for state, want := range map[string]int{"Initializing": 503, "Ready": 200, "Degraded": 200, "Recovering": 200, "Stopping": 503, "Stopped": 503} {
		s.Publish(&status.Status{State: state, Why: "the capture is down"})
		if code, body := probe(s, "/readyz"); code != want || body != strings.ToLower(state)+": the capture is down\n" {
			t.Errorf("%s: %d %q", state, code, body)
		}
	}
}

func TestTheStatusShowsTheWorstFirst(t *testing.T) {
	s := unbound(t, Options{})
	st := scripted(time.Now(), 30, .02, 0)
	st.Streams[7].Verdict.Health, st.Streams[9].Verdict.Health = warn.Unusable, warn.Poor
	s.Publish(st)
	var got status.Status
	total := struct{ TotalStreams int }{}
	body, _ := io.ReadAll(local(s, request("/api/v1/status?limit=3", nil)).Body)
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &total); err != nil {
		t.Fatal(err)
	}
	if len(got.Streams) != 3 || got.Streams[0].Key != st.Streams[7].Key || got.Streams[1].Key != st.Streams[9].Key || total.TotalStreams != 30 {
		t.Errorf("%d of %d, the first %s", len(got.Streams), total.TotalStreams, got.Streams[0].Name)
	}
	if st.Streams[0].Verdict.Health != warn.Excellent {
		t.Error("what was published has changed")
	}
}

// events reads server-sent events.
func readEvents(body io.Reader, n int) (ids, kinds []string) {
	lines := bufio.NewScanner(body)
	for len(kinds) < n && lines.Scan() {
		if id, found := strings.CutPrefix(lines.Text(), "id: "); found {
			ids = append(ids, id)
		}
		if data, found := strings.CutPrefix(lines.Text(), "data: "); found {
			var a struct{ Kind string }
			if json.Unmarshal([]byte(data), &a) != nil {
				a.Kind = data
			}
			kinds = append(kinds, a.Kind)
		}
	}
	return ids, kinds
}

func TestAClientThatComesBackMissesNoAlert(t *testing.T) {
	s := serving(t, Options{})
	raise := func(kind warn.Kind) { s.Alert(scriptedAlert(time.Now(), kind, time.Second, sample.Figure{})) }
	first := dial(t, s, "/api/v1/alerts")
	raise(warn.StallPredicted)
	ids, kinds := readEvents(first.Body, 1)
	first.Body.Close()
	raise(warn.Stalled)
	raise(warn.Clear)
	_, more := readEvents(dial(t, s, "/api/v1/alerts", "Last-Event-ID", ids[0]).Body, 2)
	if got := fmt.Sprint(kinds, more); got != "[stall-predicted] [stall clear]" {
		t.Errorf("got %s", got)
	}
	// What another process counted says nothing here: all is sent.
	if _, all := readEvents(dial(t, s, "/api/v1/alerts", "Last-Event-ID", "other-2").Body, 3); len(all) != 3 {
		t.Errorf("after a restart: %v", all)
	}
}

func TestAlertsAreJSONLinesForWhoWantsThem(t *testing.T) {
	s := serving(t, Options{})
	answer := dial(t, s, "/api/v1/alerts", "Accept", "application/x-ndjson")
	want := scriptedAlert(time.Unix(1767225600, 0), warn.StallPredicted, 2*time.Second, sample.Of(1.8))
	s.Alert(want)
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() && lines.Text() == "" {
	}
	line, err := json.Marshal(want)
	if err != nil || lines.Text() != string(line) {
		t.Errorf("got %s, want %s (%v)", lines.Text(), line, err)
	}
}

func TestAClientHearsHowManyAlertsAreGone(t *testing.T) {
	e := newEvents()
	for range eventsKept + 10 {
		e.add(scriptedAlert(time.Now(), warn.Degraded, 0, sample.Figure{}))
	}
	list, gone, _ := e.after(4)
	if gone != 6 || len(list) != eventsKept || list[0].number != 11 {
		t.Errorf("%d gone, %d left, the first is %d", gone, len(list), list[0].number)
	}
}

// A client that reads nothing costs nobody anything, and is thrown out.
func TestASlowClientIsDropped(t *testing.T) {
	t.Parallel() // it waits
	s := serving(t, Options{})
	_, addr := s.Addrs()
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(1024)
	fmt.Fprintf(conn, "GET /api/v1/alerts HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", addr, token)
	listening := func() int { n, _ := s.events.counts(); return n }
	eventually(t, "it listens", func() bool { return listening() == 1 })
	a := scriptedAlert(time.Now(), warn.Degraded, 0, sample.Figure{})
	a.Stream.Source = strings.Repeat("long", 1000)
	eventually(t, "it is dropped and counted", func() bool {
		for range 200 {
			s.Alert(a)
		}
		n, dropped := s.events.counts()
		return n == 0 && dropped == 1
	})
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never true: %s", what)
		}
	}
}

func TestListenersAreBounded(t *testing.T) {
	s := serving(t, Options{})
	for range maxListeners {
		dial(t, s, "/api/v1/alerts")
	}
	if got := dial(t, s, "/api/v1/alerts"); got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
		t.Errorf("one more: %s", got.Status)
	}
}

func TestMarksStayInThePicture(t *testing.T) {
	s := unbound(t, Options{})
	now := time.Now()
	s.Publish(scripted(now, 1, .02, 0))
	s.Mark(Mark{At: now.Add(-time.Hour), Label: "old"})
	s.Mark(Mark{At: now, Box: [4]float64{.8, -1, .5, .5}, Label: "artefacts"})
	s.Alert(scriptedAlert(now, warn.Stalled, 2*time.Second, sample.Figure{}))
	var got []Mark
	if err := json.NewDecoder(local(s, request("/api/v1/marks", nil)).Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Box[0] != .8 || got[0].Box[1] != 0 || got[0].Box[2] > .2000001 || got[1].Box != [4]float64{0, 0, 1, 1} {
		t.Errorf("%+v", got)
	}
}
