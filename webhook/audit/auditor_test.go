package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/admit"
	"github.com/debugsidecar/debugsidecar/webhook/config"
)

// namespaces are those of the cache: by name, their enforce level.
type namespaces map[string]string

func (n namespaces) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("not needed")
}

func (n namespaces) List(_ context.Context, into client.ObjectList, _ ...client.ListOption) error {
	list := into.(*corev1.NamespaceList)
	for _, name := range slices.Sorted(maps.Keys(n)) {
		labels := map[string]string{"kubernetes.io/metadata.name": name}
		if n[name] != "" {
			labels[policies.EnforceLabel] = n[name]
		}
		list.Items = append(list.Items, corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})
	}
	return nil
}

// auditor has a log that can be read.
func auditor(t *testing.T, s *server, n namespaces) (*Auditor, *strings.Builder) {
	t.Helper()
	snapshot, err := config.Load(config.Paths{})
	if err != nil {
		t.Fatal(err)
	}
	log := &strings.Builder{}
	c := s.fast(t)
	a := &Auditor{
		Every: time.Hour, Client: c, Judge: real(t, enforced), Namespaces: n,
		Config: func() *config.Snapshot { return snapshot }, Webhook: "debugsidecar",
		Reports: &Reports{Client: c, Name: "debugsidecar", Owner: "debugsidecar-audit"},
		Log:     slog.New(slog.NewTextHandler(log, nil)), states: map[string]*state{},
	}
	a.Register(prometheus.NewRegistry())
	return a, log
}

// due makes all namespaces due, and what was asked seldom be asked again.
func (a *Auditor) due() {
	for _, s := range a.states {
		s.due = time.Time{}
	}
	a.judged, a.reportedAt, a.pruned = nil, time.Time{}, time.Time{}
}

func (a *Auditor) mustRound(t *testing.T) {
	t.Helper()
	for again := true; again; again = a.more {
		if err := a.round(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAReportSaysWhatWasFound(t *testing.T) {
	s := newServer(t, 3)
	s.pod = func(w io.Writer, ns string, i int) {
		if i == 1 {
			privilegedPod(w, ns, i)
		} else {
			goodPod(w, ns, i)
		}
	}
	a, _ := auditor(t, s, namespaces{"apps": "baseline", "free": "", "loose": "off", "kube-system": "baseline"})
	a.mustRound(t)
	r := s.report(t, "apps")
	if r == nil || len(s.reports) != 1 {
		t.Fatalf("the reports are %v", s.reports)
	}
	if r.Summary != (Summary{Pass: 2, Fail: 2}) || len(r.Results) != 2 || r.Kind != "PolicyReport" || r.APIVersion != "wgpolicyk8s.io/v1alpha2" {
		t.Errorf("%+v", r)
	}
	got := r.Results[1]
	if got.Rule != "privileged" || got.Result != "fail" || !got.Scored || got.Policy != "baseline" || got.Severity != "high" ||
		got.Resources[0] != (Object{"v1", "Pod", "apps", "pod-00001", "uid-1"}) || got.Properties["containers"] != "app,more" ||
		!strings.Contains(got.Message, "to pass:") || !strings.Contains(got.Message, "and 1 more") {
		t.Errorf("%+v", got)
	}
	if len(r.OwnerReferences) != 1 || r.OwnerReferences[0].UID != "owner-1" || r.OwnerReferences[0].Kind != "ClusterRole" {
		t.Errorf("owned by %+v", r.OwnerReferences)
	}
	if told, ok := r.Told(); !ok || told.Pods != 3 || told.Findings != 2 || told.Cut != 0 {
		t.Errorf("%+v", told)
	}
}

func TestAReportIsWrittenOnlyWhenItChanged(t *testing.T) {
	s := newServer(t, 2)
	s.pod = privilegedPod
	a, _ := auditor(t, s, namespaces{"apps": "baseline"})
	a.mustRound(t)
	first := s.report(t, "apps")
	s.mu.Lock()
	old := s.reports["apps/debugsidecar"]
	for _, result := range old["results"].([]any) { // found long ago
		result.(map[string]any)["timestamp"] = map[string]any{"seconds": 1000, "nanos": 0}
	}
	old["metadata"].(map[string]any)["labels"].(map[string]any)["theirs"] = "stays"
	s.mu.Unlock()

	a.mustRound(t)
	if s.lists != 1 {
		t.Errorf("it was read again before it was due")
	}
	a.due()
	a.mustRound(t)
	if s.lists != 2 || s.count("PUT") != 0 || s.count("POST") != 1 {
		t.Errorf("%d lists, %d POST, %d PUT", s.lists, s.count("POST"), s.count("PUT"))
	}

	s.mu.Lock()
	s.pods = 3
	s.mu.Unlock()
	a.due()
	a.mustRound(t)
	r := s.report(t, "apps")
	if s.count("PUT") != 1 || r.Summary.Fail != 6 {
		t.Errorf("%d PUT, %+v", s.count("PUT"), r.Summary)
	}
	for _, result := range r.Results {
		if known := result.Resources[0].Name != "pod-00002"; known != (result.Timestamp.Seconds == 1000) {
			t.Errorf("%s has the time %d", result.Resources[0].Name, result.Timestamp.Seconds)
		}
	}
	if r.Labels["theirs"] != "stays" || first.ResourceVersion == r.ResourceVersion {
		t.Errorf("%+v", r.ObjectMeta)
	}
	if n := testutil.ToFloat64(a.metrics.reports.WithLabelValues("unchanged")); n != 1 {
		t.Errorf("%v unchanged", n)
	}
}

func TestWhatSomebodyChangedInAReportIsMadeRight(t *testing.T) {
	s := newServer(t, 2)
	s.pod = privilegedPod
	a, _ := auditor(t, s, namespaces{"apps": "baseline"})
	a.mustRound(t)
	for name, tamper := range map[string]func(r map[string]any){
		"a result taken out": func(r map[string]any) { r["results"] = r["results"].([]any)[1:] },
		"a summary":          func(r map[string]any) { r["summary"] = map[string]any{"pass": 100} },
		"no annotation":      func(r map[string]any) { delete(r["metadata"].(map[string]any), "annotations") },
		"no owner":           func(r map[string]any) { delete(r["metadata"].(map[string]any), "ownerReferences") },
		"a message": func(r map[string]any) {
			r["results"].([]any)[0].(map[string]any)["message"] = "all is well"
		},
	} {
		s.mu.Lock()
		tamper(s.reports["apps/debugsidecar"])
		s.mu.Unlock()
		a.due()
		a.mustRound(t)
		r := s.report(t, "apps")
		if told, ok := r.Told(); r.Summary.Fail != 4 || len(r.Results) != 4 || !ok || told.Findings != 4 || len(r.OwnerReferences) != 1 || r.Results[0].Message == "all is well" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestAReportOfSomebodyElseIsLeftAlone(t *testing.T) {
	s := newServer(t, 1)
	s.reports["apps/debugsidecar"] = map[string]any{"metadata": map[string]any{"name": "debugsidecar", "namespace": "apps", "resourceVersion": "1"}}
	a, _ := auditor(t, s, namespaces{"apps": "baseline", "other": "baseline"})
	err := a.round(t.Context())
	if err == nil || !strings.Contains(err.Error(), "not ours") || s.count("PUT") != 0 {
		t.Errorf("%v", err)
	}
	if s.report(t, "other") == nil {
		t.Error("the other namespace has no report")
	}
}

func TestAConflictIsTriedAgain(t *testing.T) {
	s := newServer(t, 1)
	s.pod = privilegedPod
	a, _ := auditor(t, s, namespaces{"apps": "baseline"})
	a.mustRound(t)
	s.pods = 2
	var once atomic.Bool
	s.before = func(w http.ResponseWriter, r *http.Request, _ bool) bool {
		if r.Method == "PUT" && once.CompareAndSwap(false, true) {
			refuse(w, http.StatusConflict, metav1.StatusReasonConflict, "")
			return true
		}
		return false
	}
	a.due()
	a.mustRound(t)
	if r := s.report(t, "apps"); r.Summary.Fail != 4 || !once.Load() {
		t.Errorf("%+v", r.Summary)
	}
}

func TestReportsGoWhereTheLevelGoes(t *testing.T) {
	s := newServer(t, 1)
	n := namespaces{"apps": "baseline", "other": "baseline"}
	a, _ := auditor(t, s, n)
	a.mustRound(t)
	n["apps"] = "off"
	a.mustRound(t)
	if s.report(t, "apps") != nil || s.report(t, "other") == nil {
		t.Errorf("the reports are %v", sortedKeys(s.reports))
	}
	if got := testutil.CollectAndCount(a.metrics, "debugsidecar_audit_namespaces"); got != 2 {
		t.Errorf("%d series", got)
	}
}

func TestALeaderRemovesWhatAnotherOneLeft(t *testing.T) {
	s := newServer(t, 1)
	first, _ := auditor(t, s, namespaces{"apps": "baseline", "other": "baseline"})
	first.mustRound(t)
	second, _ := auditor(t, s, namespaces{"other": "baseline"})
	second.mustRound(t)
	if s.report(t, "apps") != nil || s.report(t, "other") == nil {
		t.Errorf("the reports are %v", sortedKeys(s.reports))
	}
}

func TestChangedLevelsAndConfigurationAreAuditedAtOnce(t *testing.T) {
	s := newServer(t, 1)
	n := namespaces{"apps": "baseline", "other": "baseline"}
	a, _ := auditor(t, s, n)
	a.mustRound(t)
	n["apps"] = "restricted"
	a.mustRound(t)
	if s.count("GET /api/v1/namespaces/apps/pods") != 2 || s.count("GET /api/v1/namespaces/other/pods") != 1 {
		t.Errorf("after a level changed: %v", s.requests)
	}
	changed, err := config.Load(config.Paths{})
	if err != nil {
		t.Fatal(err)
	}
	a.Config = func() *config.Snapshot { return changed }
	a.mustRound(t)
	if s.count("GET /api/v1/namespaces/apps/pods") != 3 || s.count("GET /api/v1/namespaces/other/pods") != 2 {
		t.Errorf("after the configuration changed: %v", s.requests)
	}
}

func TestChangedLevelsComeFirst(t *testing.T) {
	a, _ := auditor(t, newServer(t, 1), nil)
	off := policies.Modes{Enforce: policies.Off, Warn: policies.Off, Audit: policies.Off}
	baseline := policies.Modes{Enforce: policies.Baseline}
	current, later := a.Config(), time.Now().Add(time.Hour)
	a.states = map[string]*state{"a-due": {baseline, current, time.Time{}}, "b-later": {baseline, current, later}, "c-changed": {off, current, later}, "d-older": {baseline, nil, later}}
	levels := map[string]policies.Modes{"a-due": baseline, "b-later": baseline, "c-changed": baseline, "d-older": baseline, "e-new": baseline}
	if got := a.dueOf(levels, current); !slices.Equal(got, []string{"c-changed", "a-due", "d-older", "e-new"}) {
		t.Errorf("got %v", got)
	}
}

func TestWithoutTheCRDThereAreMetricsAndAWord(t *testing.T) {
	s := newServer(t, 2)
	s.noCRD, s.pod = true, privilegedPod
	a, log := auditor(t, s, namespaces{"apps": "baseline"})
	a.mustRound(t)
	a.reportedAt = time.Now().Add(-2 * again)
	a.mustRound(t)
	if n := strings.Count(log.String(), "policyreports.wgpolicyk8s.io"); n != 1 {
		t.Errorf("said %d times: %s", n, log)
	}
	if err := testutil.CollectAndCompare(a.metrics, strings.NewReader(`
# HELP debugsidecar_audit_findings Pods that break a rule, by rule, the lowest level that refuses it, and their namespace; namespaces beyond the 100 with the most are added up under the empty name. Of the leader only.
# TYPE debugsidecar_audit_findings gauge
debugsidecar_audit_findings{audited_namespace="apps",level="baseline",rule="host-namespaces"} 2
debugsidecar_audit_findings{audited_namespace="apps",level="baseline",rule="privileged"} 2
`), "debugsidecar_audit_findings"); err != nil {
		t.Error(err)
	}
	s.mu.Lock()
	s.noCRD = false
	s.mu.Unlock()
	a.reportedAt = time.Now().Add(-2 * again)
	a.mustRound(t)
	if r := s.report(t, "apps"); r == nil || r.Summary.Fail != 4 {
		t.Errorf("the report is %+v after the CRD came", r)
	}
}

func TestAForbiddenNamespaceDoesNotKeepTheOthersFromTheirs(t *testing.T) {
	s := newServer(t, 1)
	s.before = func(w http.ResponseWriter, r *http.Request, list bool) bool {
		if list && strings.Contains(r.URL.Path, "/apps/") {
			refuse(w, http.StatusForbidden, metav1.StatusReasonForbidden, "")
			return true
		}
		return false
	}
	a, _ := auditor(t, s, namespaces{"apps": "baseline", "other": "baseline"})
	err := a.round(t.Context())
	if err == nil || !strings.Contains(err.Error(), "namespace apps") || s.report(t, "other") == nil || s.report(t, "apps") != nil {
		t.Errorf("%v, %v", err, sortedKeys(s.reports))
	}
	if wait := time.Until(a.states["apps"].due); wait > again {
		t.Errorf("it is tried again in %s", wait)
	}
}

func TestALeaderThatIsKilledInTheMiddleLeavesNothingThatTheNextOneDoesNotMakeRight(t *testing.T) {
	s := newServer(t, 60)
	s.pod = privilegedPod
	n := namespaces{"a": "baseline", "b": "baseline", "c": "baseline"}
	ctx, kill := context.WithCancel(t.Context())
	first, _ := auditor(t, s, n)
	judge := first.Judge
	first.Judge = func(ctx context.Context, ns string, pod []byte) (admit.Running, error) {
		if ns == "b" && strings.Contains(string(pod), "pod-00030") {
			kill()
		}
		return judge(ctx, ns, pod)
	}
	if err := first.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if s.report(t, "a") == nil || s.report(t, "b") != nil || s.report(t, "c") != nil {
		t.Fatalf("the first leader left %v", sortedKeys(s.reports))
	}
	s.pods = 30 // meanwhile, some are repaired
	second, _ := auditor(t, s, n)
	second.mustRound(t)
	for ns := range n {
		if r := s.report(t, ns); r == nil || r.Summary.Fail != 60 {
			t.Errorf("namespace %s: %+v", ns, r)
		}
	}
}

func TestSeriesAreBoundedHoweverManyNamespacesThereAre(t *testing.T) {
	r := prometheus.NewRegistry()
	m := newMetrics(r)
	for i := range 1000 {
		f := newFindings(fmt.Sprintf("ns-%d", i), MaxResults)
		f.Pods = i + 1
		f.Counts[Kind{"privileged", policies.Baseline, policies.Deny}] = i
		f.Counts[Kind{"privileged", policies.Baseline, policies.Warn}] = 1
		m.found(f, time.Unix(int64(5000+i), 0))
	}
	if n := testutil.CollectAndCount(m, "debugsidecar_audit_findings"); n != maxNamespaces+1 {
		t.Errorf("%d series", n)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum, oldest := 0.0, 0.0
	for _, family := range families {
		for _, metric := range family.Metric {
			switch family.GetName() {
			case "debugsidecar_audit_findings":
				sum += metric.GetGauge().GetValue()
			case "debugsidecar_audit_oldest_timestamp_seconds":
				oldest = metric.GetGauge().GetValue()
			}
		}
	}
	if sum != 999*1000/2+1000 || oldest != 5000 {
		t.Errorf("the sum is %v, the oldest %v", sum, oldest)
	}
}

func TestTheRateIsBounded(t *testing.T) {
	// The first QPS requests may come at once, each further one takes its time.
	s := newServer(t, 250*(QPS+3))
	begin := time.Now()
	if _, err := Scan(t.Context(), s.client(t), counted, "apps", 1); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 2*time.Second/QPS {
		t.Errorf("%d requests took %s", s.lists, took)
	}
}
