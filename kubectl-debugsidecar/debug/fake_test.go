package debug

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// server is an API server that knows one pod.
func server(t *testing.T, handlers map[string]http.HandlerFunc) *client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.URL.Path
		if r.URL.Query().Has("watch") {
			key += "?watch"
		}
		if h := handlers[key]; h != nil {
			h(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(metav1.Status{Status: "Failure", Reason: metav1.StatusReasonForbidden, Code: 403, Message: "forbidden"})
	}))
	t.Cleanup(s.Close)
	c, err := newClient(&rest.Config{Host: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func answer(w http.ResponseWriter, object any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(object)
	w.(http.Flusher).Flush()
}

const (
	podPath    = "/api/v1/namespaces/n/pods/web"
	watchPath  = "/api/v1/namespaces/n/pods?watch"
	attachPath = podPath + "/attach"
)

// watching is a watch that brings these pods, and then stays open.
func watching(kind string, states ...*corev1.Pod) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i, p := range states {
			p = p.DeepCopy()
			p.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
			what := "MODIFIED"
			if i == len(states)-1 {
				what = kind
			}
			answer(w, map[string]any{"type": what, "object": p})
		}
		<-r.Context().Done()
	}
}

func TestWaitingEndsAsThePodDoes(t *testing.T) {
	start := podWith(corev1.ContainerState{})
	for name, c := range map[string]struct {
		watch  http.HandlerFunc
		phase  phase
		reason string
	}{
		"it runs":          {watching("MODIFIED", waitingPod("ContainerCreating", ""), podWith(corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})), running, ""},
		"it ended at once": {watching("MODIFIED", podWith(corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3}})), ended, ""},
		"the pod goes":     {watching("DELETED", waitingPod("ContainerCreating", ""), start), 0, "pod web was deleted meanwhile"},
		"no such image":    {watching("MODIFIED", waitingPod("ErrImagePull", "not found")), 0, "image debugsidecar/debug:1 can't be pulled: not found"},
		"nothing comes":    {watching("MODIFIED", start), 0, "did not start within --timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			api := server(t, map[string]http.HandlerFunc{watchPath: c.watch})
			ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
			defer stop()
			var said bytes.Buffer
			b, err := api.await(ctx, &debugger{pod: start, container: "debugger-abcde"}, "1", nil, newProgress(&said))
			switch {
			case c.reason != "":
				if err == nil || !strings.Contains(err.Error(), c.reason) {
					t.Errorf("%v", err)
				}
			case err != nil || b.phase != c.phase:
				t.Errorf("%+v, %v", b, err)
			}
		})
	}
}

func TestACronJobsPodsAreThoseOfItsJobs(t *testing.T) {
	job := func(name, owner, uid, made string) map[string]any {
		return map[string]any{"metadata": map[string]any{
			"name": name, "uid": uid, "creationTimestamp": made,
			"ownerReferences": []any{map[string]any{"apiVersion": "batch/v1", "kind": "CronJob", "name": owner, "uid": owner + "-uid", "controller": true}},
		}}
	}
	jobs := []any{job("clean-1", "clean", "u1", "2026-11-26T10:00:00Z"), job("other-1", "other", "u9", "2026-11-26T10:00:00Z"), job("clean-2", "clean", "u2", "2026-11-26T11:00:00Z")}
	asked := ""
	handlers := map[string]http.HandlerFunc{
		"/apis/batch/v1/namespaces/n/cronjobs/clean": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, map[string]any{"metadata": map[string]any{"name": "clean", "uid": "clean-uid"}})
		},
		"/apis/batch/v1/namespaces/n/jobs": func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]any{"items": jobs}) },
		"/api/v1/namespaces/n/pods": func(w http.ResponseWriter, r *http.Request) {
			asked = r.URL.Query().Get("labelSelector")
			answer(w, corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, Items: []corev1.Pod{*podWith(corev1.ContainerState{})}})
		},
	}
	api := server(t, handlers)
	named, err := parseNamed("cj/clean")
	if err != nil {
		t.Fatal(err)
	}
	if pods, err := api.podsOf(t.Context(), "n", named); err != nil || len(pods) != 1 || asked != "batch.kubernetes.io/controller-uid in (u2,u1)" {
		t.Errorf("asked for %q: %v, %v", asked, pods, err)
	}
	jobs = jobs[1:2]
	if _, err := api.podsOf(t.Context(), "n", named); err == nil || !strings.Contains(err.Error(), "cronjob/clean: it has no job now") {
		t.Errorf("without a job: %v", err)
	}
	delete(handlers, "/apis/batch/v1/namespaces/n/jobs")
	if _, err := api.podsOf(t.Context(), "n", named); err == nil || !strings.Contains(err.Error(), "you may not list jobs in namespace n") {
		t.Errorf("without the right: %v", err)
	}
}

func TestWithoutTheRightToWatchItLooks(t *testing.T) {
	looks := 0
	api := server(t, map[string]http.HandlerFunc{podPath: func(w http.ResponseWriter, _ *http.Request) {
		p := waitingPod("ContainerCreating", "")
		if looks++; looks > 1 {
			p = podWith(corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})
		}
		p.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
		answer(w, p)
	}})
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	b, err := api.await(ctx, &debugger{pod: podWith(corev1.ContainerState{}), container: "debugger-abcde"}, "1", nil, newProgress(io.Discard))
	if err != nil || b.phase != running {
		t.Errorf("%+v, %v", b, err)
	}
}

// overSPDY is a kubelet that knows no WebSocket.
func overSPDY(serve func(out, errors httpstream.Stream, in io.Reader)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			http.Error(w, "no WebSocket here", http.StatusBadRequest)
			return
		}
		if _, err := httpstream.Handshake(r, w, []string{"v4.channel.k8s.io"}); err != nil {
			return
		}
		streams := make(chan httpstream.Stream, 8)
		conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error {
			streams <- s
			return nil
		})
		if conn == nil {
			return
		}
		defer conn.Close()
		got := map[string]httpstream.Stream{}
		for len(got) < 3 {
			select {
			case s := <-streams:
				got[s.Headers().Get(corev1.StreamType)] = s
			case <-time.After(5 * time.Second):
				return
			}
		}
		serve(got[corev1.StreamTypeStdout], got[corev1.StreamTypeError], got[corev1.StreamTypeStdin])
	}
}

func TestWithoutWebSocketItIsSPDY(t *testing.T) {
	api := server(t, map[string]http.HandlerFunc{attachPath: overSPDY(func(out, end httpstream.Stream, in io.Reader) {
		p := make([]byte, 4)
		_, _ = io.ReadFull(in, p)
		_, _ = out.Write(append([]byte("got "), p...))
		out.Close()
		_ = json.NewEncoder(end).Encode(metav1.Status{Status: metav1.StatusSuccess})
		end.Close()
		time.Sleep(200 * time.Millisecond)
	})})
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	var out bytes.Buffer
	err := api.attach(ctx, podWith(corev1.ContainerState{}), "debugger-abcde", streams{in: strings.NewReader("ping"), out: &out, tty: false})
	if err != nil || out.String() != "got ping" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestALostConnectionNamesTheWayBack(t *testing.T) {
	alive := podWith(corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})
	alive.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	died := podWith(corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled", Message: "last\nwords\x1b[2J"}})
	died.TypeMeta = alive.TypeMeta
	gets := func(p *corev1.Pod) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { answer(w, p) }
	}
	for name, c := range map[string]struct {
		handlers map[string]http.HandlerFunc
		streamed error
		code     int
		says     []string
	}{
		"it runs on": {map[string]http.HandlerFunc{podPath: gets(alive), watchPath: watching("MODIFIED", alive)}, errors.New("unexpected EOF"), 1,
			[]string{"the connection was lost: unexpected EOF", "debug web -n n -c debugger-abcde --attach"}},
		"it ended": {map[string]http.HandlerFunc{podPath: gets(died), watchPath: watching("MODIFIED", died)}, nil, 137,
			[]string{"debugger-abcde ended with status 137 (OOMKilled):\n  last\n  words"}},
		"the pod is gone": {map[string]http.HandlerFunc{podPath: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			_ = json.NewEncoder(w).Encode(metav1.Status{Status: "Failure", Reason: metav1.StatusReasonNotFound, Code: 404})
		}, watchPath: watching("MODIFIED")}, errors.New("x"), 1, []string{"pod web was deleted"}},
		"no API server": {map[string]http.HandlerFunc{watchPath: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }}, errors.New("x"), 1,
			[]string{"the API server is not reached", "may still run", "--attach"}},
	} {
		t.Run(name, func(t *testing.T) {
			api := server(t, c.handlers)
			var said bytes.Buffer
			o := &options{streams: genericiooptions.IOStreams{Out: io.Discard, ErrOut: &said}, terminal: &terminal{}}
			err := o.finish(t.Context(), api, &debugger{pod: alive, container: "debugger-abcde"}, c.streamed, func(*corev1.ContainerStateTerminated) {})
			coded, ok := errors.AsType[interface {
				error
				ExitCode() int
			}](err)
			if !ok || coded.ExitCode() != c.code {
				t.Errorf("%v", err)
			}
			text := said.String() + err.Error()
			for _, w := range c.says {
				if !strings.Contains(text, w) {
					t.Errorf("it does not say %q: %s", w, text)
				}
			}
			if strings.Contains(text, "\x1b") {
				t.Errorf("a program writes to the terminal: %q", text)
			}
		})
	}
}

func TestWhatALogLacksWhenItsContainerEndsComesAfterwards(t *testing.T) {
	died := podWith(corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2}})
	died.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	api := server(t, map[string]http.HandlerFunc{
		podPath: func(w http.ResponseWriter, _ *http.Request) { answer(w, died) },
		podPath + "/log": func(w http.ResponseWriter, r *http.Request) {
			text := "one\ntwo\nthree\n"
			if r.URL.Query().Get("follow") == "true" {
				text = text[:6]
			}
			_, _ = io.WriteString(w, text)
		},
	})
	var out bytes.Buffer
	o := &options{streams: genericiooptions.IOStreams{Out: &out, ErrOut: io.Discard}, terminal: &terminal{}}
	err := o.piped(t.Context(), api, &debugger{pod: died, container: "debugger-abcde"}, nil)
	if status, ok := errors.AsType[exitStatus](err); !ok || status != 2 || out.String() != "one\ntwo\nthree\n" {
		t.Errorf("%q, %v", out.String(), err)
	}

	// The runtime of a busy node stops writing for longer than a log that grows no
	// more is waited for; our entrypoint has said how much there is.
	died.Status.EphemeralContainerStatuses[0].State.Terminated.Message = "the command seq ended with status 2; 14 bytes of output\n"
	reads := 0
	api = server(t, map[string]http.HandlerFunc{
		podPath: func(w http.ResponseWriter, _ *http.Request) { answer(w, died) },
		podPath + "/log": func(w http.ResponseWriter, r *http.Request) {
			text := "one\ntwo\nthree\n"
			if reads++; reads < 6 {
				text = text[:6]
			}
			_, _ = io.WriteString(w, text)
		},
	})
	var said bytes.Buffer
	out.Reset()
	o.streams.ErrOut = &said
	err = o.piped(t.Context(), api, &debugger{pod: died, container: "debugger-abcde"}, nil)
	if status, ok := errors.AsType[exitStatus](err); !ok || status != 2 || out.String() != "one\ntwo\nthree\n" {
		t.Errorf("after %d reads %q, %v", reads, out.String(), err)
	}
	if !strings.Contains(said.String(), "the command seq ended with status 2") || strings.Contains(said.String(), "bytes") {
		t.Errorf("it says %q", said.String())
	}

	api = server(t, nil) // forbids all
	err = o.piped(t.Context(), api, &debugger{pod: died, container: "debugger-abcde"}, nil)
	if err == nil || !strings.Contains(err.Error(), "you may not read logs in namespace n") {
		t.Errorf("without the right to read logs: %v", err)
	}
}

func TestLengthOfALogIsRead(t *testing.T) {
	for message, want := range map[string]struct {
		said  string
		bytes int64
	}{
		"the command sh ended with status 3; 108894 bytes of output\n": {"the command sh ended with status 3", 108894},
		"the shell ended with status 0; 0 bytes of output":             {"the shell ended with status 0", 0},
		"the shell ended with status 0":                                {"the shell ended with status 0", unknown},
		"a; b":                                                         {"a; b", unknown},
		"x; -3 bytes of output":                                        {"x; -3 bytes of output", unknown},
		"":                                                             {"", unknown},
	} {
		if said, bytes := outputOf(message); said != want.said || bytes != want.bytes {
			t.Errorf("%q: %q, %d", message, said, bytes)
		}
	}
}
