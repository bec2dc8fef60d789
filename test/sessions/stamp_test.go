package sessions

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	registration "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

func TestWhoDebugsIsRecorded(t *testing.T) {
	webhookUp(t)
	ns := namespace(t)
	pod := create(t, env.admin, newPod(ns, "camera"))
	anna := as(t, "anna", "video-team")
	got, err := debug(t.Context(), anna, pod, debugger("debugger-abcde", append(
		vars(session.TTLVar, "3h", session.ReasonVar, "frames are lost"),
		vars(session.UserVar, "root", session.GroupsVar, "system:masters", session.RequestVar, "x", session.SinceVar, "2020-01-01T00:00:00Z", session.UntilVar, "never")...)...))
	if err != nil {
		t.Fatal(err)
	}
	s := only(t, got)
	if s.User != "anna" || !slices.Equal(s.Groups, []string{"video-team", "system:masters", "system:authenticated"}) && !slices.Equal(s.Groups, []string{"video-team", "system:masters"}) ||
		len(s.Request) != 36 || s.TTL != 2*time.Hour || time.Since(s.Since).Abs() > time.Minute || s.Until != s.Since.Add(2*time.Hour) || s.Reason != "frames are lost" {
		t.Errorf("got %+v", s)
	}
	// A second one, by somebody else, leaves the first as it is; and so does what is
	// no debugging.
	if got, err = debug(t.Context(), as(t, "ben"), pod, debugger("debugger-plain")); err != nil {
		t.Fatal(err)
	}
	all := session.Of(got, time.Now())
	if len(all) != 2 || all[0].User != "anna" || !all[0].Since.Equal(s.Since) || all[1].User != "ben" || all[1].TTL != 0 || !all[1].Until.IsZero() {
		t.Errorf("got %+v", all)
	}
}

func TestPodsOfWindowsAndCopiesAreRecordedToo(t *testing.T) {
	webhookUp(t)
	ns := namespace(t)
	windows := newPod(ns, "windows")
	windows.Spec.OS = &corev1.PodOS{Name: corev1.Windows}
	windows = create(t, env.admin, windows)
	got, err := debug(t.Context(), as(t, "anna"), windows, debugger("debugger-abcde", vars(session.TTLVar, "1h")...))
	if err != nil {
		t.Fatal(err)
	}
	if s := only(t, got); s.User != "anna" {
		t.Errorf("Windows: %+v", s)
	}
	copied := create(t, as(t, "anna"), newCopy(ns, "camera-copy", vars(session.TTLVar, "0s", session.UserVar, "root")...))
	if s := only(t, copied); s.User != "anna" || !s.IsCopy || s.TTL != 2*time.Hour || s.Until.IsZero() {
		t.Errorf("copy: %+v", s)
	}
}

func TestExcludedNamespacesAreNotRecorded(t *testing.T) {
	webhookUp(t)
	ns := namespaceNamed(t, "left-alone")
	pod := create(t, env.admin, newPod(ns, "camera"))
	got, err := debug(t.Context(), as(t, "anna"), pod, debugger("debugger-abcde", vars(session.TTLVar, "1h")...))
	if err != nil {
		t.Fatal(err)
	}
	if s := only(t, got); s.Recorded() {
		t.Errorf("got %+v", s)
	}
	_, err = debug(t.Context(), as(t, "anna"), pod, debugger("debugger-forge", vars(session.UserVar, "root")...))
	if !apierrors.IsForbidden(err) {
		t.Errorf("a forged record there: %v", err)
	}
}

// Another webhook changes the container afterwards, so that ours is asked again,
// with another UID; the record says the first one's, as the audit log does.
func TestARecordStaysWhenTheWebhookIsAskedAgain(t *testing.T) {
	webhookUp(t)
	ns := namespace(t)
	asked, seen := 0, []string{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var review admissionv1.AdmissionReview
		var pod corev1.Pod
		if json.NewDecoder(req.Body).Decode(&review) != nil || json.Unmarshal(review.Request.Object.Raw, &pod) != nil {
			http.Error(w, "not a pod", http.StatusBadRequest)
			return
		}
		asked++
		seen = append(seen, session.Of(&pod, time.Now())[0].Request)
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		if asked == 1 {
			time.Sleep(1100 * time.Millisecond) // so that another time would be seen
			review.Response.PatchType = new(admissionv1.PatchTypeJSONPatch)
			review.Response.Patch = []byte(`[{"op":"add","path":"/spec/ephemeralContainers/0/env/-","value":{"name":"PROXY","value":"x"}}]`)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review)
	}))
	defer server.Close()
	hooks := env.admin.AdmissionregistrationV1().MutatingWebhookConfigurations()
	_, err := hooks.Create(t.Context(), &registration.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "zz-proxy"},
		Webhooks: []registration.MutatingWebhook{{
			Name: "proxy.example.com",
			ClientConfig: registration.WebhookClientConfig{
				URL: new(server.URL), CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			},
			Rules: []registration.RuleWithOperations{{
				Operations: []registration.OperationType{registration.Update},
				Rule:       registration.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods/ephemeralcontainers"}},
			}},
			FailurePolicy: new(registration.Fail), SideEffects: new(registration.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer hooks.Delete(t.Context(), "zz-proxy", metav1.DeleteOptions{}) //nolint:errcheck // the cluster is thrown away
	reviews := func() float64 {
		n, err := env.installation.Running()[0].Metric(`debugsidecar_admission_seconds_count{code="200",path="/mutate"}`)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	var before float64
	var got *corev1.Pod
	eventually(t, "the other webhook is asked", func() error {
		before = reviews()
		name := fmt.Sprintf("debugger-%05d", time.Now().UnixNano()%100000)
		fresh := create(t, env.admin, newPod(ns, name))
		if got, err = debug(t.Context(), as(t, "anna"), fresh, debugger("debugger-abcde", vars(session.TTLVar, "1h")...)); err != nil {
			t.Fatal(err)
		}
		if asked == 0 {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	s := only(t, got)
	if n := reviews() - before; n != 2 {
		t.Errorf("ours was asked %v times, want twice: the test shows nothing", n)
	}
	if s.Request != seen[0] || s.Until != s.Since.Add(time.Hour) || time.Since(s.Since) < time.Second {
		t.Errorf("the record was written anew: %+v, at first %s", s, seen)
	}
}

// What the policy denies while the webhook is away, and what it lets through. With
// the webhook there, all of it is replaced instead.
func TestNobodyForgesARecordWhileTheWebhookIsAway(t *testing.T) {
	ns := namespace(t)
	const uid, since, until = "7e7a9a51-26a5-4b2a-8a3c-3a4b3e1b1b11", "2026-11-26T12:00:00Z", "2026-11-26T13:00:00Z"
	own := func(change ...string) []corev1.EnvVar {
		all := vars(session.TTLVar, "1h", session.UserVar, "anna", session.GroupsVar, "dev", session.RequestVar, uid, session.SinceVar, since, session.UntilVar, until)
		for i := 0; i < len(change); i += 2 {
			for j := range all {
				if all[j].Name == change[i] {
					all[j].Value = change[i+1]
				}
			}
		}
		return all
	}
	without := func(name string) []corev1.EnvVar {
		return slices.DeleteFunc(own(), func(e corev1.EnvVar) bool { return e.Name == name })
	}
	from := corev1.EnvVar{Name: session.UserVar, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}}
	cases := map[string]struct {
		env    []corev1.EnvVar
		denied string
	}{
		"nothing":             {nil, ""},
		"what the user says":  {vars(session.TTLVar, "1h", session.ReasonVar, "x"), ""},
		"somebody else":       {own(session.UserVar, "root"), "another user than you, anna"},
		"somebody else alone": {vars(session.UserVar, "root"), "another user than you, anna"},
		"nobody":              {without(session.UserVar), "not whose it is"},
		"an empty name":       {own(session.UserVar, ""), "comes from elsewhere"},
		"from elsewhere":      {append(without(session.UserVar), from), "comes from elsewhere"},
		"two users":           {append(own(), vars(session.UserVar, "anna")...), "twice"},
		"a foreign group":     {own(session.GroupsVar, "dev,system:admins"), "group that you are not in"},
		"no request":          {own(session.RequestVar, "x"), "request or a time that is none"},
		"no time":             {own(session.SinceVar, "yesterday"), "request or a time that is none"},
		"longer than it may":  {own(session.UntilVar, "2027-11-26T13:00:00Z"), "another time than its TTL"},
		"an end alone":        {without(session.SinceVar), "another time than its TTL"},
		"the user's own":      {own(), ""},
	}
	anna := as(t, "anna", "dev")
	for _, up := range []bool{false, true} {
		if up {
			webhookUp(t)
		} else {
			webhookDown(t)
		}
		number := 0
		for name, c := range cases {
			number++
			pod := create(t, env.admin, newPod(ns, fmt.Sprintf("camera-%v-%d", up, number)))
			got, err := debug(t.Context(), anna, pod, debugger("debugger-abcde", c.env...))
			copied, copyErr := anna.CoreV1().Pods(ns).Create(t.Context(), newCopy(ns, fmt.Sprintf("copy-%v-%d", up, number), c.env...), metav1.CreateOptions{})
			for kind, result := range map[string]struct {
				pod *corev1.Pod
				err error
			}{"ephemeral container": {got, err}, "copy": {copied, copyErr}} {
				switch {
				case up && result.err != nil:
					t.Errorf("webhook up, %s, %s: %v", name, kind, result.err)
				case up && (c.env != nil || kind != "copy"):
					if s := only(t, result.pod); s.User != "anna" || s.Request == uid || s.Since.Format(time.RFC3339) == since {
						t.Errorf("webhook up, %s, %s: %+v", name, kind, s)
					}
				case up:
				case c.denied == "" && result.err != nil:
					t.Errorf("%s, %s: %v", name, kind, result.err)
				case c.denied != "" && (!apierrors.IsForbidden(result.err) || !strings.Contains(result.err.Error(), c.denied)):
					t.Errorf("%s, %s: %v, want a denial with %q", name, kind, result.err, c.denied)
				}
			}
		}
	}
}

// Whether a pod is a copy is said at its creation: or somebody could have another
// one's pod deleted, or hide a copy from who cleans up.
func TestTheLabelOfACopyStays(t *testing.T) {
	webhookUp(t)
	ns := namespace(t)
	pod := create(t, env.admin, newPod(ns, "camera"))
	copied := create(t, env.admin, newCopy(ns, "camera-copy", vars(session.TTLVar, "1h")...))
	for name, change := range map[string]func() error{
		"added": func() error { return label(t, pod, "", `"x"`) }, "added by its status": func() error { return label(t, pod, "status", `"x"`) },
		"changed": func() error { return label(t, copied, "", `"x"`) }, "changed by its status": func() error { return label(t, copied, "status", `"x"`) },
		"removed": func() error { return label(t, copied, "", "null") }, "removed by its status": func() error { return label(t, copied, "status", "null") },
	} {
		if err := change(); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "stays as it is") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := env.admin.CoreV1().Pods(ns).Patch(t.Context(), copied.Name, "application/merge-patch+json", []byte(`{"metadata":{"labels":{"other":"x"}}}`), metav1.PatchOptions{}); err != nil {
		t.Errorf("another label of a copy: %v", err)
	}
}

func label(t *testing.T, pod *corev1.Pod, subresource, value string) error {
	t.Helper()
	var sub []string
	if subresource != "" {
		sub = append(sub, subresource)
	}
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:%s}}}`, session.CopyOfLabel, value)
	_, err := env.admin.CoreV1().Pods(pod.Namespace).Patch(t.Context(), pod.Name, "application/merge-patch+json", []byte(patch), metav1.PatchOptions{}, sub...)
	return err
}
