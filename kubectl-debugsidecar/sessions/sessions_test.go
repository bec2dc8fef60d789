package sessions

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func vars(pairs ...string) []corev1.EnvVar {
	var out []corev1.EnvVar
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, corev1.EnvVar{Name: pairs[i], Value: pairs[i+1]})
	}
	return out
}

func pod(ns, name string, env ...corev1.EnvVar) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, CreationTimestamp: metav1.NewTime(noon)}}
	if env != nil {
		p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{TargetContainerName: "app", EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debugger-abcde", Image: "debug:1", Env: env}}}
	}
	return p
}

func runs(p *corev1.Pod) *corev1.Pod {
	p.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{{Name: "debugger-abcde", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(noon.Add(time.Minute))}}}}
	return p
}

func ended(p *corev1.Pod) *corev1.Pod {
	p.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{{Name: "debugger-abcde", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 3}}}}
	return p
}

// served is an API server that gives pods, two at a time.
func served(t *testing.T, pods ...*corev1.Pod) client.CoreV1Interface {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list := corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}}
		from, _ := strconv.Atoi(r.URL.Query().Get("continue"))
		for i := from; i < len(pods); i++ {
			if i == from+2 {
				list.Continue = strconv.Itoa(i)
				break
			}
			if strings.HasSuffix(r.URL.Path, "/namespaces/"+pods[i].Namespace+"/pods") || r.URL.Path == "/api/v1/pods" {
				list.Items = append(list.Items, *pods[i])
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(list)
	}))
	t.Cleanup(server.Close)
	api, err := client.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// listed runs the command's inside over pods.
func listed(t *testing.T, change func(*options)) (out, errOut string) {
	t.Helper()
	copied := pod("labs", "copy")
	copied.Labels, copied.Annotations = map[string]string{session.CopyOfLabel: "u"}, map[string]string{session.CopiedFromAnnotation: "crashes\x1b[2J"}
	copied.Spec.Containers = []corev1.Container{{Name: "debugger-abcde", Image: "debug:1", Env: vars(session.TTLVar, "1h")}}
	api := served(t,
		pod("cameras", "quiet"),
		runs(pod("cameras", "camera", vars(session.TTLVar, "1h", session.UserVar, "anna", session.GroupsVar, "dev,ops", session.RequestVar, "u-1",
			session.SinceVar, "2026-11-26T12:00:00Z", session.UntilVar, "2026-11-26T13:00:00Z", session.ReasonVar, "frames are lost", session.TicketVar, "OPS-1")...)),
		runs(pod("cameras", "unseen", vars(session.TTLVar, "1h", session.ReasonVar, "\x1b[31mred\nline")...)),
		ended(pod("cameras", "yesterday", vars(session.UserVar, "ben")...)),
		copied,
	)
	var stdout, stderr bytes.Buffer
	o := &options{streams: genericiooptions.IOStreams{Out: &stdout, ErrOut: &stderr}, now: func() time.Time { return noon.Add(10 * time.Minute) }}
	change(o)
	namespace := "cameras"
	if o.everywhere {
		namespace = ""
	}
	found, err := o.list(t.Context(), api.Pods(namespace))
	if err != nil {
		t.Fatal(err)
	}
	if err := o.print(found, namespace); err != nil {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String()
}

func TestTable(t *testing.T) {
	got, _ := listed(t, func(*options) {})
	const want = `POD      TARGET   USER           STATE     SINCE     UNTIL    REASON            TICKET
camera   app      anna           Running   10m ago   in 50m   frames are lost   OPS-1
unseen   app      not recorded   Running   9m ago    -        ` + "\ufffd[31mred\ufffdline" + `     -
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	got, _ = listed(t, func(o *options) { o.everywhere, o.over, o.output = true, true, "wide" })
	for _, part := range []string{"NAMESPACE", "dev,ops", "u-1", "Error, exit code 3", "copy of crashes\ufffd[2J", "in 50m"} {
		if !strings.Contains(got, part) {
			t.Errorf("%q is not in\n%s", part, got)
		}
	}
	if lines := strings.Count(got, "\n"); lines != 5 {
		t.Errorf("%d lines:\n%s", lines, got)
	}
}

func TestJSON(t *testing.T) {
	got, _ := listed(t, func(o *options) { o.output = "json" })
	var list struct {
		APIVersion, Kind string
		Items            []Session
	}
	if err := json.Unmarshal([]byte(got), &list); err != nil {
		t.Fatal(err)
	}
	if list.Kind != "DebugSessions" || len(list.Items) != 2 || !list.Items[0].Recorded || list.Items[0].User != "anna" || *list.Items[0].Until != noon.Add(time.Hour) ||
		list.Items[1].Recorded || list.Items[1].Since != nil || list.Items[1].Until != nil {
		t.Errorf("got %s", got)
	}
}

func TestNobody(t *testing.T) {
	for want, change := range map[string]func(*options){
		"nobody debugs anything in namespace empty":  func(*options) {},
		"there is no debug session in any namespace": func(o *options) { o.over, o.everywhere = true, true },
	} {
		var stderr bytes.Buffer
		o := &options{streams: genericiooptions.IOStreams{ErrOut: &stderr}, now: time.Now}
		change(o)
		if err := o.print(nil, "empty"); err != nil || strings.TrimSpace(stderr.String()) != want {
			t.Errorf("%q, %v", stderr.String(), err)
		}
	}
}
