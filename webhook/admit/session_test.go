package admit

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
	"github.com/debugsidecar/debugsidecar/webhook/session"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// recorder returns a handler of /mutate that stamps, and its clock.
func recorder(t testing.TB, ns *inject.Namespace, most time.Duration) (h *handler, d Deps, clock *time.Time) {
	d = newDeps(t, ns)
	d.Config().File.Sessions = config.Sessions{Enabled: true, MaxTTL: metav1.Duration{Duration: most}}
	h = Mutate(d).(*handler)
	now := noon
	d.stamps = &stamps{now: func() time.Time { return now }}
	h.judge = d.mutate
	return h, d, &now
}

type ask struct {
	uid, user string
	groups    []string
	old, pod  *corev1.Pod
	dryRun    bool
}

func (a ask) review(t testing.TB) string {
	request := map[string]any{
		"uid": a.uid, "namespace": "cameras", "name": "camera", "operation": "CREATE", "dryRun": a.dryRun,
		"resource": map[string]string{"group": "", "version": "v1", "resource": "pods"},
		"userInfo": map[string]any{"username": a.user, "groups": a.groups},
		"object":   a.pod,
	}
	if a.old != nil {
		request["operation"], request["subResource"], request["oldObject"] = "UPDATE", "ephemeralcontainers", a.old
	}
	body, err := json.Marshal(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// result is the answer to a request, and the pod with its patch.
func (a ask) result(t testing.TB, h http.Handler) (answer response, pod *corev1.Pod) {
	t.Helper()
	w := send(h, http.MethodPost, a.review(t))
	var review struct {
		Response response `json:"response"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &review); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	before, err := json.Marshal(a.pod)
	if err != nil {
		t.Fatal(err)
	}
	if len(review.Response.Patch) > 0 {
		patch, err := jsonpatch.DecodePatch(review.Response.Patch)
		if err != nil {
			t.Fatal(err)
		}
		if before, err = patch.Apply(before); err != nil {
			t.Fatalf("%v: %s", err, review.Response.Patch)
		}
	}
	pod = &corev1.Pod{}
	if err := json.Unmarshal(before, pod); err != nil {
		t.Fatal(err)
	}
	return review.Response, pod
}

func vars(pairs ...string) []corev1.EnvVar {
	var out []corev1.EnvVar
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, corev1.EnvVar{Name: pairs[i], Value: pairs[i+1]})
	}
	return out
}

func debuggable(debug ...corev1.EphemeralContainerCommon) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "camera", Namespace: "cameras"}}
	pod.Spec.Containers = []corev1.Container{{Name: "app", Image: "i:1"}}
	for _, c := range debug {
		pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: c})
	}
	return pod
}

func TestANewEphemeralContainerIsStampedAndNoOther(t *testing.T) {
	h, d, _ := recorder(t, &inject.Namespace{Name: "cameras"}, 0)
	old := corev1.EphemeralContainerCommon{Name: "debugger-older", Image: "i", Env: vars("A", "b")}
	answer, pod := ask{
		uid: "u-1", user: "anna", groups: []string{"dev", "with,comma", "system:authenticated"},
		old: debuggable(old),
		pod: debuggable(old, corev1.EphemeralContainerCommon{Name: "debugger-abcde", Image: "i", Env: append(
			vars(session.TTLVar, "1h", session.ReasonVar, "frames are lost\n", session.UserVar, "root", "MINE", "x", session.UserVar, "again"),
			corev1.EnvVar{Name: session.RequestVar, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
		)}),
	}.result(t, h)
	want := vars(session.TTLVar, "1h0m0s", session.UserVar, "anna", session.GroupsVar, "dev,system:authenticated", session.RequestVar, "u-1",
		session.SinceVar, "2026-11-26T12:00:00Z", session.UntilVar, "2026-11-26T13:00:00Z",
		session.ReasonVar, "frames are lost\n", "MINE", "x")
	if diff := cmp.Diff(want, pod.Spec.EphemeralContainers[1].Env); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(old, pod.Spec.EphemeralContainers[0].EphemeralContainerCommon); diff != "" {
		t.Error(diff)
	}
	const said = `container "debugger-abcde", request u-1, since 2026-11-26T12:00:00Z, TTL 1h0m0s, reason "frames are lost` + "\ufffd" + `"`
	if answer.AuditAnnotations["session"] != said || len(answer.Warnings) != 0 {
		t.Errorf("audit %q, warnings %q", answer.AuditAnnotations["session"], answer.Warnings)
	}
	if n := testutil.ToFloat64(d.Metrics.sessions); n != 1 {
		t.Errorf("%v sessions were counted", n)
	}
}

func TestPlainKubectlDebugHasNoTTL(t *testing.T) {
	h, _, _ := recorder(t, &inject.Namespace{Name: "cameras"}, time.Hour)
	_, pod := ask{uid: "u", user: "anna", old: debuggable(), pod: debuggable(corev1.EphemeralContainerCommon{Name: "debugger-1", Image: "busybox"})}.result(t, h)
	got := session.Of(pod, noon)
	if len(got) != 1 || got[0].User != "anna" || got[0].TTL != 0 || !got[0].Until.IsZero() || got[0].Since != noon {
		t.Errorf("got %+v", got)
	}
}

func TestTTL(t *testing.T) {
	h, d, _ := recorder(t, &inject.Namespace{Name: "cameras"}, 2*time.Hour)
	for asked, want := range map[string]string{
		"30m": "30m0s", "1h": "1h0m0s", "3h": "2h0m0s", "0s": "0s", "": "1h0m0s", "soon": "1h0m0s", "-1h": "1h0m0s", "1e9h": "1h0m0s",
	} {
		d.stamps.ring = [remembered]issued{}
		answer, pod := ask{uid: "u", user: "anna", old: debuggable(), pod: debuggable(corev1.EphemeralContainerCommon{Name: "d", Env: vars(session.TTLVar, asked)})}.result(t, h)
		env := pod.Spec.EphemeralContainers[0].Env
		if env[0] != vars(session.TTLVar, want)[0] {
			t.Errorf("%q became %v, want %s", asked, env[0], want)
		}
		var until string
		for _, e := range env {
			if e.Name == session.UntilVar {
				until = e.Value
			}
		}
		ttl, _ := time.ParseDuration(want)
		if ttl == 0 && until != "" || ttl > 0 && until != noon.Add(ttl).Format(time.RFC3339) {
			t.Errorf("%q: until %q", asked, until)
		}
		given, err := time.ParseDuration(asked)
		if warned := len(answer.Warnings) == 1; warned != (err != nil || given.String() != want) {
			t.Errorf("%q: warnings %q", asked, answer.Warnings)
		}
	}
}

func TestACopyIsStampedAtItsCreation(t *testing.T) {
	for name, ns := range map[string]*inject.Namespace{
		"nobody asks": {Name: "cameras"},
		"a sidecar":   {Name: "cameras", Labels: map[string]string{inject.Label: "debug"}},
	} {
		h, _, _ := recorder(t, ns, time.Hour)
		pod := debuggable()
		pod.Labels = map[string]string{session.CopyOfLabel: "uid"}
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "debugger-abcde", Image: "i", Env: vars(session.TTLVar, "0s")})
		_, got := ask{uid: "u", user: "anna", pod: pod}.result(t, h)
		sessions := session.Of(got, noon)
		if len(sessions) != 1 || sessions[0].Container != "debugger-abcde" || sessions[0].User != "anna" || sessions[0].Until != noon.Add(time.Hour) {
			t.Errorf("%s: got %+v", name, sessions)
		}
		if injected := len(got.Spec.InitContainers) > 0; injected != (name == "a sidecar") {
			t.Errorf("%s: %d init containers", name, len(got.Spec.InitContainers))
		}
		if i := slices.IndexFunc(got.Spec.Containers, func(c corev1.Container) bool { return c.Name == "app" }); got.Spec.Containers[i].Env != nil {
			t.Errorf("%s: the application has %v", name, got.Spec.Containers[i].Env)
		}
		pod.Labels = nil
		if _, got := (ask{uid: "u", user: "anna", pod: pod}).result(t, h); len(got.Spec.Containers[1].Env) != 1 {
			t.Errorf("%s: a pod that is no copy was stamped: %v", name, got.Spec.Containers[1].Env)
		}
	}
}

func TestWithoutSessionsNothingIsStamped(t *testing.T) {
	h, d, _ := recorder(t, &inject.Namespace{Name: "cameras"}, 0)
	d.Config().File.Sessions.Enabled = false
	answer, _ := ask{uid: "u", user: "anna", old: debuggable(), pod: debuggable(corev1.EphemeralContainerCommon{Name: "d"})}.result(t, h)
	if answer.Patch != nil || answer.AuditAnnotations != nil {
		t.Errorf("got %+v", answer)
	}
}

// An API server asks again with another UID, if another mutation came between.
func TestAStampStaysWhenTheRequestComesAgain(t *testing.T) {
	h, d, clock := recorder(t, &inject.Namespace{Name: "cameras"}, 0)
	_, first := ask{uid: "u-1", user: "anna", old: debuggable(), pod: debuggable(corev1.EphemeralContainerCommon{Name: "d", Env: vars(session.TTLVar, "1h")})}.result(t, h)
	*clock = noon.Add(3 * time.Second)
	again := first.DeepCopy()
	again.Spec.EphemeralContainers[0].Env = append(again.Spec.EphemeralContainers[0].Env, vars("PROXY", "by another webhook")...)
	answer, second := ask{uid: "u-2", user: "anna", old: debuggable(), pod: again}.result(t, h)
	if answer.Patch != nil || session.Of(second, noon)[0].Since != noon {
		t.Errorf("patch %s", answer.Patch)
	}

	// Whoever takes a stamp for another request gets a new one.
	for name, a := range map[string]ask{
		"another user":      {uid: "u-3", user: "mallory", old: debuggable(), pod: first},
		"another container": {uid: "u-3", user: "anna", old: debuggable(), pod: renamed(first)},
		"another time":      {uid: "u-3", user: "anna", old: debuggable(), pod: changed(first, session.SinceVar, "2026-11-26T11:00:00Z")},
		"for longer":        {uid: "u-3", user: "anna", old: debuggable(), pod: changed(first, session.TTLVar, "9h")},
		"twice":             {uid: "u-3", user: "anna", old: debuggable(), pod: twice(first)},
	} {
		_, got := a.result(t, h)
		if s := session.Of(got, noon)[0]; s.User != a.user || s.Request != "u-3" || !s.Since.Equal(*clock) {
			t.Errorf("%s: %+v", name, s)
		}
	}
	*clock = noon.Add(rememberFor)
	if _, got := (ask{uid: "u-4", user: "anna", old: debuggable(), pod: first}).result(t, h); session.Of(got, noon)[0].Request != "u-4" {
		t.Error("a stamp counts for longer than a request takes")
	}
	other, _, _ := recorder(t, &inject.Namespace{Name: "cameras"}, 0)
	if _, got := (ask{uid: "u-4", user: "anna", old: debuggable(), pod: first}).result(t, other); session.Of(got, noon)[0].Request != "u-4" {
		t.Error("a replica takes a stamp for its own that it did not write")
	}
	for i := range 2 * remembered {
		d.stamps.remember(stampKey{pod: "x"}, &stamped{request: string(rune('a' + i))})
	}
	if len(d.stamps.ring) != remembered {
		t.Error("not bounded")
	}
}

func renamed(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	pod.Spec.EphemeralContainers[0].Name = "e"
	return pod
}

func changed(pod *corev1.Pod, name, value string) *corev1.Pod {
	pod = pod.DeepCopy()
	for i := range pod.Spec.EphemeralContainers[0].Env {
		if e := &pod.Spec.EphemeralContainers[0].Env[i]; e.Name == name {
			e.Value = value
		}
	}
	return pod
}

func twice(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	c := &pod.Spec.EphemeralContainers[0]
	c.Env = append(c.Env, c.Env...)
	return pod
}

func TestANameThatFitsNoEnvironmentIsNotRecorded(t *testing.T) {
	h, _, _ := recorder(t, &inject.Namespace{Name: "cameras"}, 0)
	for _, user := range []string{"", "a\x00b", "a\nb", strings.Repeat("a", maxIdentity+1)} {
		answer, pod := ask{uid: "u", user: user, old: debuggable(), pod: debuggable(corev1.EphemeralContainerCommon{Name: "d", Env: vars(session.TTLVar, "1h", session.UserVar, "anna")})}.result(t, h)
		if got := session.Of(pod, noon); len(got) != 1 || got[0].Recorded() || got[0].Request != "" || len(answer.Warnings) != 1 {
			t.Errorf("%q: %+v, warnings %q", user, got, answer.Warnings)
		}
	}
}

// Whatever a request says of the session itself, what comes out is who asked.
func TestNobodyForgesAStamp(t *testing.T) {
	names := []string{session.UserVar, session.GroupsVar, session.RequestVar, session.SinceVar, session.UntilVar, session.TTLVar, session.ReasonVar, "OTHER"}
	h, d, _ := recorder(t, &inject.Namespace{Name: "cameras"}, 2*time.Hour)
	rapid.Check(t, func(rt *rapid.T) {
		d.stamps.ring = [remembered]issued{}
		var env []corev1.EnvVar
		for range rapid.IntRange(0, 12).Draw(rt, "variables") {
			e := corev1.EnvVar{Name: rapid.SampledFrom(names).Draw(rt, "name")}
			if rapid.Bool().Draw(rt, "from") {
				e.ValueFrom = &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}
			} else {
				e.Value = rapid.SampledFrom([]string{"", "root", "1h", "0s", "2030-01-01T00:00:00Z", "u-0"}).Draw(rt, "value")
			}
			env = append(env, e)
		}
		_, pod := ask{uid: "u-1", user: "anna", groups: []string{"dev"}, old: debuggable(), pod: debuggable(corev1.EphemeralContainerCommon{Name: "d", Env: env})}.result(t, h)
		s := session.Of(pod, noon)[0]
		if s.User != "anna" || !slices.Equal(s.Groups, []string{"dev"}) || s.Request != "u-1" || s.Since != noon || s.TTL > 2*time.Hour ||
			(s.TTL > 0) != !s.Until.IsZero() || s.TTL > 0 && s.Until != noon.Add(s.TTL) {
			rt.Errorf("from %+v: %+v", env, s)
		}
		seen := map[string]int{}
		for _, e := range pod.Spec.EphemeralContainers[0].Env {
			seen[e.Name]++
		}
		for _, name := range names[:6] {
			if seen[name] > 1 {
				rt.Errorf("%s is there %d times", name, seen[name])
			}
		}
	})
}
