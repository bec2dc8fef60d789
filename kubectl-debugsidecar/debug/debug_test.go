package debug

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug/shape"
	"github.com/debugsidecar/debugsidecar/webhook/session"
)

func TestWhatIsNamedIsAPodOrHasPods(t *testing.T) {
	for text, want := range map[string]string{
		"web-0": "pod web-0", "pod/web-0": "pod web-0", "po/web-0": "pod web-0", "deploy/web": "deployment web", "Deployment.apps/web": "deployment web",
		"sts/db": "statefulset db", "svc/web": "service web", "node/n": "error", "deploy/": "error", "a/b/c": "error",
	} {
		n, err := parseNamed(text)
		got := "pod " + n.pod
		switch {
		case err != nil:
			got = "error"
		case n.workload != nil:
			got = n.workload.kind + " " + n.name
		}
		if got != want {
			t.Errorf("%s: %s, not %s", text, got, want)
		}
	}
}

func TestASelectorIsReadInEachForm(t *testing.T) {
	for object, want := range map[string]string{
		`{"spec":{"selector":{"app":"web"}}}`:                                                                          "app=web",
		`{"spec":{"selector":{"matchLabels":{"app":"web"}}}}`:                                                          "app=web",
		`{"spec":{"selector":{"matchExpressions":[{"key":"a","operator":"In","values":["b"]}]}}}`:                      "a in (b)",
		`{"spec":{"selector":{"matchLabels":{"x":"y"},"matchExpressions":[{"key":"a","operator":"NotIn-nonsense"}]}}}`: "error",
		`{"spec":{"selector":{}}}`: "error", `{"spec":{}}`: "error", `[]`: "error",
	} {
		got, err := selectorOf([]byte(object))
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%s: %s, not %s", object, got, want)
		}
	}
}

func TestTheSameImageIsTheSameWithItsDigest(t *testing.T) {
	const digest = "@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	for _, c := range []struct {
		asked, has string
		want       bool
	}{
		{"debugsidecar/debug:1", "debugsidecar/debug:1", true},
		{"debugsidecar/debug:1", "docker.io/debugsidecar/debug:1" + digest, true},
		{"debugsidecar/debug:1", "debugsidecar/debug:2", false},
		{"debugsidecar/debug:1", "elsewhere.example/debugsidecar/debug:1", false},
		{"busybox", "busybox:latest", true},
		{"busybox" + digest, "busybox:1" + digest, true},
		{"busybox" + digest, "busybox:1", false},
		{"busybox", "NOT AN IMAGE", false},
	} {
		if got := sameImage(c.asked, c.has); got != c.want {
			t.Errorf("%s and %s: %t", c.asked, c.has, got)
		}
	}
	if !sameRepository("debugsidecar/debug:9", "docker.io/debugsidecar/debug") || sameRepository("evil/debug:1", "debugsidecar/debug:1") {
		t.Error("repositories are mistaken")
	}
}

func TestSettingsAreReadAndBrokenOnesAreTold(t *testing.T) {
	s, err := parseSettings("ConfigMap a/b", map[string]string{"image": "r.example/debug:1", "ttl": "30m", "maxTTL": "8h", "profile": "baseline"})
	if err != nil || s.image != "r.example/debug:1" || s.ttl != 30*time.Minute || s.maxTTL != 8*time.Hour || s.highest != shape.Baseline {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err = parseSettings("x", nil); err != nil || s.image != defaultImage || s.ttl != session.DefaultTTL {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range []string{"soon", "-1h", "1h\x1b[2J"} {
		if _, err = parseSettings("ConfigMap a/b", map[string]string{"ttl": bad}); err == nil || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestAHighestProfileThatIsNoneIsTold(t *testing.T) {
	for _, bad := range []string{"sysadmin", "root", "General"} {
		if _, err := parseSettings("ConfigMap a/b", map[string]string{"profile": bad}); err == nil || !strings.Contains(err.Error(), "general baseline restricted") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func podWith(state corev1.ContainerState) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "web", UID: "1"}, Spec: corev1.PodSpec{NodeName: "node"}}
	p.Spec.Containers = []corev1.Container{{Name: "app"}}
	p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debugger-abcde", Image: "debugsidecar/debug:1"}}}
	p.Status.Phase = corev1.PodRunning
	if state != (corev1.ContainerState{}) {
		p.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{{Name: "debugger-abcde", State: state}}
	}
	return p
}

func waitingPod(reason, message string) *corev1.Pod {
	return podWith(corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}})
}

func TestWhatADebugContainerWaitsForIsTold(t *testing.T) {
	gone := waitingPod("", "")
	gone.DeletionTimestamp = &metav1.Time{}
	over := podWith(corev1.ContainerState{})
	over.Status.Phase, over.Status.Reason = corev1.PodFailed, "Evicted"
	homeless := podWith(corev1.ContainerState{})
	homeless.Spec.NodeName = ""
	homeless.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/3 nodes are available"}}
	prepares := waitingPod("PodInitializing", "")
	prepares.Spec.InitContainers = []corev1.Container{{Name: "first", Image: "a/b:1"}}
	prepares.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "first", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no"}}}}
	for name, c := range map[string]struct {
		pod       *corev1.Pod
		phase     phase
		text, fix string
	}{
		"nothing yet":       {podWith(corev1.ContainerState{}), waiting, "the kubelet of node node", ""},
		"creating":          {waitingPod("ContainerCreating", ""), waiting, "its start", ""},
		"pull fails once":   {waitingPod("ErrImagePull", "i/o timeout"), waiting, "i/o timeout", ""},
		"no such image":     {waitingPod("ErrImagePull", "manifest unknown"), stuck, "image debugsidecar/debug:1 can't be pulled: manifest unknown", "check its name"},
		"pull fails again":  {waitingPod("ImagePullBackOff", "i/o timeout"), stuck, "i/o timeout", "imagePullSecrets"},
		"no name":           {waitingPod("InvalidImageName", "x"), stuck, "is no name of an image", "--image"},
		"never pulled":      {waitingPod("ErrImageNeverPull", ""), stuck, "must not be pulled", "--image-pull-policy"},
		"root":              {waitingPod("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"), stuck, "can't be made", "--profile=restricted"},
		"no program":        {waitingPod("RunContainerError", `exec: "x": executable file not found in $PATH`), stuck, "can't start it", "no such program"},
		"another error":     {waitingPod("CreateContainerError", "\x1b]0;evil\x07"), stuck, "can't start it", "another image or profile"},
		"runs":              {podWith(corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}), running, "", ""},
		"ended":             {podWith(corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}), ended, "", ""},
		"the pod goes":      {gone, stuck, "is being deleted", "replaces"},
		"the pod ended":     {over, stuck, "pod web ended meanwhile (Failed: Evicted)", "--allow-terminated"},
		"no node":           {homeless, waiting, "0/3 nodes are available", ""},
		"what is before it": {prepares, stuck, "container first: image a/b:1 can't be pulled", "check its name"},
	} {
		s := standingOf(c.pod, "debugger-abcde")
		if s.phase != c.phase || !strings.Contains(s.text, c.text) || !strings.Contains(s.fix, c.fix) || strings.ContainsAny(s.text, "\x1b\x07") {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestNothingIsShownTwiceOrLostWhereALogEndsAndAConnectionBegins(t *testing.T) {
	for _, c := range []struct{ before, held, want string }{
		{"", "$ ", "$ "},
		{"hello\r\n", "$ ", "hello\r\n$ "},
		{"hello\r\nyou\r\n", "you\r\n$ ", "hello\r\nyou\r\n$ "},
		{"hello\r\n", "lo\r\n$ ", "hello\r\n$ "},
		{"a\n", "a\na\n", "a\na\n"},
		{"a\n", "", "a\n"},
	} {
		var out bytes.Buffer
		s := newScreen(&out, true)
		io.WriteString(s, c.held)   //nolint:errcheck
		s.open([]byte(c.before))    //nolint:errcheck
		io.WriteString(s, "more\n") //nolint:errcheck
		if got := strings.TrimSuffix(out.String(), "more\n"); got != c.want {
			t.Errorf("%q and %q: %q, not %q", c.before, c.held, got, c.want)
		}
	}
	var out bytes.Buffer
	s := newScreen(&out, true)
	for range 3 {
		s.Write(make([]byte, maxHeld/2)) //nolint:errcheck
	}
	if out.Len() != 3*(maxHeld/2) {
		t.Errorf("%d bytes are held back", 3*(maxHeld/2)-out.Len())
	}
}

func TestKeysAreForTheConnectionThatIsThere(t *testing.T) {
	in, typed := io.Pipe()
	defer typed.Close()
	k := newKeyboard(in)
	first, end := context.WithCancel(t.Context())
	read := make(chan string)
	go func() {
		text, _ := io.ReadAll(k.during(first))
		read <- string(text)
	}()
	io.WriteString(typed, "one") //nolint:errcheck
	time.Sleep(50 * time.Millisecond)
	end()
	if got := <-read; got != "one" {
		t.Errorf("the first connection got %q", got)
	}
	go io.WriteString(typed, "two") //nolint:errcheck
	p := make([]byte, 2)
	second := k.during(t.Context())
	if n, _ := second.Read(p); string(p[:n]) != "tw" {
		t.Errorf("the second connection got %q", p[:n])
	}
	if n, _ := second.Read(p); string(p[:n]) != "o" {
		t.Errorf("then it got %q", p[:n])
	}
}

var pods = schema.GroupResource{Resource: "pods"}

func TestWhoRefusedIsTold(t *testing.T) {
	rbac := apierrors.NewForbidden(pods, "web", errors.New(`User "a" cannot update resource "pods/ephemeralcontainers" in API group "" in the namespace "n"`))
	psa := apierrors.NewForbidden(pods, "web", errors.New(`violates PodSecurity "restricted:latest": x`))
	other := &apierrors.StatusError{ErrStatus: metav1.Status{Status: "Failure", Code: 400, Reason: metav1.StatusReasonBadRequest, Message: `admission webhook "x.example" denied the request: no`}}
	for name, c := range map[string]struct {
		err             error
		denied, lacking bool
	}{
		"rights": {rbac, false, true}, "Pod Security": {psa, true, false}, "another webhook": {other, true, false},
		"a conflict": {apierrors.NewConflict(pods, "web", errors.New("x")), false, false}, "the network": {errors.New("EOF"), false, false},
	} {
		if isDenied(c.err) != c.denied || lacksRight(c.err) != c.lacking {
			t.Errorf("%s: denied %t, lacks a right %t", name, isDenied(c.err), lacksRight(c.err))
		}
	}
}

// ladderOf has rungs of these profiles; those that pass say so.
func ladderOf(asked *[]string, pass func(shape.Profile) bool, known map[shape.Profile]string, profiles ...shape.Profile) []rung {
	var out []rung
	for _, p := range profiles {
		r := rung{profile: p, leavesOut: []string{"what " + string(p) + " lacks"}}
		if k := known[p]; k != "" {
			r.known = []string{k}
		}
		r.put = func(dry bool) (*corev1.Pod, error) {
			word := string(p)
			if dry {
				word += " dry"
			}
			*asked = append(*asked, word)
			if !pass(p) {
				return nil, apierrors.NewForbidden(pods, "web", errors.New("policy says no to "+string(p)))
			}
			return &corev1.Pod{}, nil
		}
		out = append(out, r)
	}
	return out
}

func TestTheHighestProfileThatIsPermittedIsTaken(t *testing.T) {
	c := &client{warnings: &warnings{}}
	only := func(ok ...shape.Profile) func(shape.Profile) bool {
		return func(p shape.Profile) bool { return slices.Contains(ok, p) }
	}
	var asked []string
	a, err := c.climb(ladderOf(&asked, only(shape.Restricted), nil, shape.General, shape.Baseline, shape.Restricted), false, false)
	if err != nil || a.profile != shape.Restricted || len(a.lower) != 2 || !slices.Equal(asked, []string{"general", "baseline", "restricted"}) {
		t.Errorf("%+v, %v, asked %v", a, err, asked)
	}
	// What is known is not asked about where there is another way.
	asked = nil
	known := map[shape.Profile]string{shape.General: "known"}
	a, err = c.climb(ladderOf(&asked, only(shape.Baseline), known, shape.General, shape.Baseline), false, false)
	if err != nil || a.profile != shape.Baseline || !slices.Equal(asked, []string{"baseline"}) {
		t.Errorf("%+v, %v, asked %v", a, err, asked)
	}
	// Where one was named, a dry run is: the cluster may exempt this user.
	asked = nil
	a, err = c.climb(ladderOf(&asked, only(shape.General), known, shape.General), true, false)
	if err != nil || a.profile != shape.General || !slices.Equal(asked, []string{"general dry", "general"}) {
		t.Errorf("%+v, %v, asked %v", a, err, asked)
	}
	// Denied: nothing but dry runs, and what would pass.
	asked = nil
	_, err = c.climb(ladderOf(&asked, only(), known, shape.General), true, false)
	d, ok := errors.AsType[*denied](err)
	if !ok || !slices.Equal(asked, []string{"general dry"}) {
		t.Fatalf("%v, asked %v", err, asked)
	}
	d.what, d.asked = "nothing was added to pod web", shape.General
	asked = nil
	if err := d.passing(ladderOf(&asked, only(shape.Restricted), nil, shape.General, shape.Baseline, shape.Restricted)); err != nil {
		t.Fatal(err)
	}
	for _, w := range []string{"nothing was added to pod web: profile general is denied", "known", "--profile=restricted", "without: what restricted lacks"} {
		if !strings.Contains(d.Error(), w) {
			t.Errorf("it does not say %q: %s", w, d)
		}
	}
	if !slices.Equal(asked, []string{"baseline dry", "restricted dry"}) {
		t.Errorf("asked %v", asked)
	}
}

func TestTheSameRequestFindsItsDebugContainer(t *testing.T) {
	r := &request{shape: shape.Options{Target: "app", Image: "debugsidecar/debug:1", Stdin: true, TTY: true, Command: []string{"sh"}}}
	pod := podWith(corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})
	e := &pod.Spec.EphemeralContainers[0]
	e.TargetContainerName, e.Stdin, e.TTY = "app", true, true
	e.Args = []string{"debug", "--", "sh"}
	e.Env = []corev1.EnvVar{{Name: session.TTLVar, Value: "1h0m0s"}, {Name: profileVar, Value: "general"}}
	now := time.Now()
	if s := r.same(pod, now); s == nil || s.Container != "debugger-abcde" {
		t.Fatalf("%+v", s)
	}
	for name, change := range map[string]func(*corev1.Pod, *corev1.EphemeralContainer, *request){
		"another target":  func(_ *corev1.Pod, e *corev1.EphemeralContainer, _ *request) { e.TargetContainerName = "db" },
		"another image":   func(_ *corev1.Pod, e *corev1.EphemeralContainer, _ *request) { e.Image = "debugsidecar/debug:2" },
		"another command": func(_ *corev1.Pod, e *corev1.EphemeralContainer, _ *request) { e.Args = []string{"debug"} },
		"another profile": func(_ *corev1.Pod, _ *corev1.EphemeralContainer, r *request) { r.shape.Profile = shape.Baseline },
		"no terminal":     func(_ *corev1.Pod, e *corev1.EphemeralContainer, _ *request) { e.TTY = false },
		"not ours":        func(_ *corev1.Pod, e *corev1.EphemeralContainer, _ *request) { e.Env = nil },
		"it ended": func(p *corev1.Pod, _ *corev1.EphemeralContainer, _ *request) {
			p.Status.EphemeralContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
		},
		"its time is over": func(_ *corev1.Pod, e *corev1.EphemeralContainer, _ *request) {
			e.Env = append(e.Env, corev1.EnvVar{Name: session.UntilVar, Value: now.Add(-time.Minute).UTC().Format(time.RFC3339)})
		},
	} {
		p, other := pod.DeepCopy(), *r
		change(p, &p.Spec.EphemeralContainers[0], &other)
		if s := other.same(p, now); s != nil {
			t.Errorf("%s: %+v is taken for it", name, s)
		}
	}
}

func TestNoTextOfAPodReachesTheTerminalAsACommand(t *testing.T) {
	var out bytes.Buffer
	note(&out, "without: %s is not mounted\nmore", "/a\x1b]0;evil\x07\u202e")
	if got := out.String(); strings.ContainsAny(got, "\x1b\x07\u202e") || strings.Count(got, "\n") != 2 {
		t.Errorf("%q", got)
	}
	if got := (failure{errors.New("a\x1b[2J\nb")}).Error(); strings.Contains(got, "\x1b") || !strings.Contains(got, "\nb") {
		t.Errorf("%q", got)
	}
}
