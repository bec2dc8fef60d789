package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/admit"
	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

// labelled has the same labels for every namespace.
type labelled map[string]string

func (l labelled) Namespace(_ context.Context, name string) inject.Namespace {
	return inject.Namespace{Name: name, Labels: l}
}
func (l labelled) Labels(context.Context, string) (map[string]string, bool) { return l, true }

var evaluator = sync.OnceValues(func() (*policies.Evaluator, error) { return policies.New(context.Background()) })

// real is the judgement of /validate.
func real(t testing.TB, labels map[string]string) Judge {
	t.Helper()
	e, err := evaluator()
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := config.Load(config.Paths{})
	if err != nil {
		t.Fatal(err)
	}
	deps := admit.Deps{
		Config: func() *config.Snapshot { return snapshot }, Recent: func() []*config.Snapshot { return []*config.Snapshot{snapshot} },
		Namespaces: labelled(labels), Policies: e, NativeSidecars: true, OwnNamespace: "system", Log: slog.New(slog.DiscardHandler),
	}
	return deps.JudgeRunning
}

// counted finds nothing: for tests of what is read.
func counted(context.Context, string, []byte) (admit.Running, error) { return admit.Running{}, nil }

var enforced = map[string]string{policies.EnforceLabel: "baseline"}

func scan(t *testing.T, s *server, judge Judge) (*Findings, error) {
	t.Helper()
	return Scan(t.Context(), s.fast(t), judge, "apps", MaxResults)
}

func TestEachOfTenThousandPodsIsJudgedOnceInPages(t *testing.T) {
	s := newServer(t, 10_000)
	seen := map[string]int{}
	f, err := scan(t, s, func(_ context.Context, ns string, pod []byte) (admit.Running, error) {
		name := string(pod[bytes.Index(pod, []byte("pod-")):][:9])
		seen[name]++
		return admit.Running{Name: name}, nil
	})
	if err != nil || f.Pods != 10_000 || f.Clean != 10_000 || len(seen) != 10_000 {
		t.Fatalf("judged %d pods, %d of them different, %d clean: %v", f.Pods, len(seen), f.Clean, err)
	}
	if s.lists != 40 {
		t.Errorf("%d pages for 10,000 pods", s.lists)
	}
	for _, limit := range s.limits {
		if limit != "250" {
			t.Errorf("a page of %s pods", limit)
		}
	}
}

func TestATokenThatExpiresInTheMiddle(t *testing.T) {
	tests := []struct {
		name  string
		token func(asked string) string // that comes with the 410
		times int
		lists int
		fails bool
	}{
		// The request with the expired token is not counted as a list.
		{"goes on where it was", func(asked string) string { return asked }, 1, 8, false},
		{"starts anew without another token", func(string) string { return "" }, 1, 4 + 8, false},
		{"gives up when it never gets through", func(string) string { return "" }, 100, 12, true},
		{"gives up when each token has expired", func(asked string) string { return asked }, 100, 12, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, 2000)
			left := test.times
			s.before = func(w http.ResponseWriter, r *http.Request, list bool) bool {
				if asked := r.URL.Query().Get("continue"); list && asked == "1000" && left > 0 {
					left--
					refuse(w, http.StatusGone, metav1.StatusReasonExpired, test.token(asked))
					return true
				}
				return false
			}
			f, err := scan(t, s, counted)
			if (err != nil) != test.fails || s.lists != test.lists {
				t.Fatalf("%d lists, %v", s.lists, err)
			}
			if err == nil && f.Pods != 2000 {
				t.Errorf("judged %d pods", f.Pods)
			}
			if err != nil && !errors.Is(err, errExpired) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestPodsThatVanishBetweenPagesAreNotCounted(t *testing.T) {
	s := newServer(t, 2000)
	s.gone = func(_ string, i int) bool { return i >= 500 && i%2 == 1 }
	f, err := scan(t, s, counted)
	if err != nil || f.Pods != 1250 {
		t.Fatalf("judged %v pods: %v", f, err)
	}
}

func TestAPodOnItsWayOutIsNotJudged(t *testing.T) {
	s := newServer(t, 2)
	s.pod = func(w io.Writer, ns string, i int) {
		fmt.Fprint(w, `{"metadata":{"name":"p","deletionTimestamp":"2026-11-26T12:00:00Z"},"spec":{"hostPID":true,"containers":[{"name":"a"}]}}`)
	}
	f, err := scan(t, s, real(t, enforced))
	if err != nil || f.Pods != 0 || f.Total("") != 0 {
		t.Fatalf("%+v, %v", f, err)
	}
}

func TestForbiddenIsSaidAtOnce(t *testing.T) {
	s := newServer(t, 10)
	s.before = func(w http.ResponseWriter, _ *http.Request, list bool) bool {
		if list {
			refuse(w, http.StatusForbidden, metav1.StatusReasonForbidden, "")
		}
		return list
	}
	_, err := scan(t, s, counted)
	if !apierrors.IsForbidden(err) || s.count("GET") != 1 {
		t.Fatalf("%d requests, %v", s.count("GET"), err)
	}
}

func TestAListThatBreaksOffIsReadAgain(t *testing.T) {
	s := newServer(t, 600)
	var broken atomic.Bool
	s.pod = func(w io.Writer, ns string, i int) {
		if i == 400 && broken.CompareAndSwap(false, true) {
			panic(http.ErrAbortHandler)
		}
		goodPod(w, ns, i)
	}
	f, err := scan(t, s, counted)
	if err != nil || f.Pods != 600 || !broken.Load() {
		t.Fatalf("%+v, %v", f, err)
	}
}

func TestWhatIsNoListIsAnError(t *testing.T) {
	for _, body := range []string{"", "{", "[]", `{"items":7}`, `{"items":[{}`, `{"items":[{}]`, `{"metadata":[],"items":[]}`, "<html>"} {
		if _, err := items(strings.NewReader(body), func(json.RawMessage) error { return nil }); err == nil {
			t.Errorf("%q passes", body)
		}
	}
}

func TestTheSamePageAgainIsNotReadForever(t *testing.T) {
	s := newServer(t, 10)
	s.before = func(w http.ResponseWriter, _ *http.Request, list bool) bool {
		if list {
			io.WriteString(w, `{"metadata":{"continue":"x"},"items":[]}`) //nolint:errcheck // a test
		}
		return list
	}
	if _, err := scan(t, s, counted); err == nil || !strings.Contains(err.Error(), "same page") {
		t.Fatal(err)
	}
}

func TestAPodThatCannotBeJudgedDoesNotEndTheAudit(t *testing.T) {
	s := newServer(t, 30)
	judge := real(t, enforced)
	f, err := scan(t, s, func(ctx context.Context, ns string, pod []byte) (admit.Running, error) {
		switch {
		case bytes.Contains(pod, []byte("pod-00003")):
			panic("what a pod")
		case bytes.Contains(pod, []byte("pod-00004")):
			return admit.Running{}, errors.New("no")
		}
		return judge(ctx, ns, pod)
	})
	if err != nil || f.Pods != 28 || f.Undecided != 2 || !strings.Contains(f.Why, "what a pod") {
		t.Fatalf("%+v, %v", f, err)
	}
	if r := reportOf(f, time.Now()); r.Summary.Error != 2 || r.Summary.Pass != 28 {
		t.Errorf("%+v", r.Summary)
	}
}

func TestAllIsCountedAndTheFirstFewAreKept(t *testing.T) {
	s := newServer(t, 300)
	s.pod = privilegedPod
	f, err := scan(t, s, real(t, enforced))
	if err != nil {
		t.Fatal(err)
	}
	kept, cut := f.Kept()
	if f.Pods != 300 || f.Clean != 0 || f.Total(policies.Deny) != 600 || len(kept) != MaxResults || cut != 500 {
		t.Fatalf("%d pods, %d clean, %d findings, %d kept, %d cut", f.Pods, f.Clean, f.Total(policies.Deny), len(kept), cut)
	}
	first := kept[1]
	if first.Pod != "pod-00000" || first.Rule != "privileged" || first.UID != "uid-0" || first.More != 1 || len(first.Containers) != 2 {
		t.Errorf("%+v", first)
	}
}

// hostilePod is as large as etcd takes one, and breaks rules wherever it can.
func hostilePod(size int) func(io.Writer, string, int) {
	var b bytes.Buffer
	b.WriteString(`"spec":{"hostPID":true,"hostIPC":true,"hostNetwork":true,"containers":[`)
	for n := 0; b.Len() < size; n++ {
		if n > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"name":"container-%040d","image":"app:1","ports":[{"hostPort":%d}],"securityContext":{"privileged":true,"capabilities":{"add":["C%d"]}},"command":["%s"]}`, n, n%60000+1, n, strings.Repeat("x", 2000))
	}
	b.WriteString("]}}")
	return func(w io.Writer, ns string, i int) {
		fmt.Fprintf(w, `{"metadata":{"name":"pod-%05d","namespace":%q,"uid":"uid-%d"},%s`, i, ns, i, b.Bytes())
	}
}

func TestMemoryDoesNotGrowWithTheNumberOfPods(t *testing.T) {
	// What is read of a pod must be gone when the next one is.
	long := strings.Repeat("x", 64<<10)
	peak := func(pods int) uint64 {
		s := newServer(t, pods)
		s.pod = func(w io.Writer, ns string, i int) {
			fmt.Fprintf(w, `{"metadata":{"name":"pod-%05d","namespace":%q,"annotations":{"a":"%s"}},"spec":{"hostPID":true,"containers":[{"name":"app","image":"app:1"}]}}`, i, ns, long)
		}
		judge := real(t, enforced)
		var most uint64
		judged := 0
		_, err := scan(t, s, func(ctx context.Context, ns string, pod []byte) (admit.Running, error) {
			r, err := judge(ctx, ns, pod)
			if judged++; judged%10 == 0 {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
			return r, err
		})
		if err != nil {
			t.Fatal(err)
		}
		return most
	}
	few, many := peak(20), peak(120)
	t.Logf("live heap at most: %d KiB for 20 pods of 64 KiB, %d KiB for 120", few>>10, many>>10)
	if many > few+3<<20 {
		t.Errorf("100 more pods of 64 KiB took %d KiB more", (many-few)>>10)
	}
}

func TestAReportIsSmallWhateverPodsHold(t *testing.T) {
	s := newServer(t, 40)
	s.pod = hostilePod(32 << 10)
	f, err := scan(t, s, real(t, enforced))
	if err != nil {
		t.Fatal(err)
	}
	r := reportOf(f, time.Now())
	text := r.says("")
	if len(r.Results) == 0 || len(r.Results) > MaxResults || len(text) > maxReport+4096 {
		t.Errorf("%d results, %d bytes", len(r.Results), len(text))
	}
	told, ok := r.Told()
	if !ok || told.Cut != told.Findings-len(r.Results) || r.Summary.Fail != told.Findings || told.Pods != 40 {
		t.Errorf("%+v, %+v", told, r.Summary)
	}
	t.Logf("%d results of %d findings, %d bytes", len(r.Results), told.Findings, len(text))
}

func TestAnObjectThatIsTooLongIsAnError(t *testing.T) {
	body := io.MultiReader(strings.NewReader(`{"items":[{"a":"`), io.LimitReader(endless{}, 64<<20))
	if _, err := items(body, func(json.RawMessage) error { return nil }); err == nil || !strings.Contains(err.Error(), "8 MiB") {
		t.Fatal(err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}
