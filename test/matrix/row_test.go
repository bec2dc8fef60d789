package matrix

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Where a clause can be broken.
const (
	inPod       = "pod"
	inInit      = "initContainers"
	inSidecar   = "native sidecars"
	inOrdinary  = "containers"
	inEphemeral = "ephemeralContainers"
)

var places = []string{inPod, inOrdinary, inInit, inSidecar, inEphemeral}

// injectedName is the container that the webhook injects for injectedProfile.
const (
	injectedProfile = "video-probe"
	injectedName    = "debugsidecar-" + injectedProfile
)

// row is a clause broken in one place.
type row struct {
	clause
	example
	place     string
	number    int
	namespace string
	// clean is a pod that is there and breaks nothing, bad one that broke the
	// clause before the rules came; nil if the API admits none.
	clean, bad *corev1.Pod
}

// rows are all places of all clauses.
func rows(t *testing.T) []*row {
	t.Helper()
	var all []*row
	clauses, _ := readClauses(t)
	for _, c := range clauses {
		e := examples[c]
		for _, place := range places {
			switch {
			case e.granted && place != inSidecar:
			case !e.granted && place == inPod && e.pod == nil:
			case !e.granted && place != inPod && e.container == nil:
			default:
				r := &row{clause: c, example: e, place: place, number: len(all), namespace: "matrix-" + c.level}
				if e.granted {
					r.namespace = granted
				}
				all = append(all, r)
			}
		}
	}
	return all
}

// base is the row's pod before it breaks the clause.
func (r *row) base(kind string) *corev1.Pod {
	p := clean()
	if r.prepare != nil {
		r.prepare(p)
	}
	p.Namespace, p.Name = r.namespace, fmt.Sprintf("%s-%d", kind, r.number)
	return p
}

// broken returns the pod with the clause broken.
func (r *row) broken(p *corev1.Pod) *corev1.Pod {
	p = p.DeepCopy()
	switch {
	case r.granted:
		p.Labels = map[string]string{"debugsidecar.io/inject": injectedProfile}
	case r.place == inPod:
		r.pod(p)
	case r.place == inEphemeral:
		c := secure("shell")
		if p.Spec.OS != nil {
			c.SecurityContext = nil
		}
		r.container(&c)
		p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, corev1.EphemeralContainer{
			EphemeralContainerCommon: corev1.EphemeralContainerCommon(c), TargetContainerName: "app",
		})
	default:
		r.container(r.at(p))
	}
	return p
}

// at is the container of the place, or the app where there is none.
func (r *row) at(p *corev1.Pod) *corev1.Container {
	switch {
	case r.granted:
		if i := slices.IndexFunc(p.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == injectedName }); i >= 0 {
			return &p.Spec.InitContainers[i]
		}
	case r.place == inInit:
		return &p.Spec.InitContainers[0]
	case r.place == inSidecar:
		return &p.Spec.InitContainers[1]
	}
	return &p.Spec.Containers[0]
}

// evidence is what a denial or a warning says that is about this row.
func (r *row) evidence() *regexp.Regexp {
	about := "pod: "
	switch {
	case r.about != "":
		about = r.about
	case r.granted:
		about = `container "` + injectedName + `": `
	case r.place == inEphemeral:
		p := r.broken(r.base("x"))
		about = `container "` + p.Spec.EphemeralContainers[0].Name + `": `
	case r.place != inPod:
		about = `container "` + r.at(r.broken(r.base("x"))).Name + `": `
	}
	return regexp.MustCompile(regexp.QuoteMeta(about) + `[^;]*; rule ` + r.rule + ` \(` + r.level + `\)`)
}

// newAPI returns a client whose warnings go to who listens in the context.
func newAPI(t *testing.T) client.Client {
	t.Helper()
	config := patient(env.cluster.Config)
	config.WarningHandlerWithContext = warnings{}
	api, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

type warnings struct{}

type heard struct {
	mu   sync.Mutex
	text []string
}

type heardKey struct{}

func (warnings) HandleWarningHeaderWithContext(ctx context.Context, _ int, _, text string) {
	if h, ok := ctx.Value(heardKey{}).(*heard); ok {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.text = append(h.text, text)
	}
}

// listen returns a context and what is warned about in it.
func listen(ctx context.Context) (context.Context, func() string) {
	h := &heard{}
	return context.WithValue(ctx, heardKey{}, h), func() string {
		h.mu.Lock()
		defer h.mu.Unlock()
		return strings.Join(h.text, "\n")
	}
}

// makeRows makes the namespaces and each row's pods, and then has the rules
// enforced there.
func makeRows(t *testing.T, api client.Client, all []*row) {
	t.Helper()
	makeNamespace(t, "matrix-baseline", nil)
	makeNamespace(t, "matrix-restricted", nil)
	makeWorkloads(t, api)
	parallel(len(all), func(i int) {
		r := all[i]
		r.clean = r.base("clean")
		if err := api.Create(t.Context(), r.clean); err != nil {
			t.Errorf("%s: the pod that breaks nothing is refused: %v", r.clause, err)
			return
		}
		bad := r.base("bad")
		bad.Finalizers = []string{"example.com/hold"}
		if r.place != inEphemeral {
			bad = r.broken(bad)
		}
		if r.granted {
			injected, err := injectedPod(t.Context(), api, nil)
			if err != nil {
				t.Error(err)
				return
			}
			bad.Spec, bad.Annotations = injected.Spec, injected.Annotations
		}
		if err := api.Create(t.Context(), bad); err != nil {
			return // why is seen when it is tried once more
		}
		if r.place == inEphemeral {
			if err := api.SubResource("ephemeralcontainers").Update(t.Context(), r.broken(bad)); err != nil {
				return
			}
			if err := api.Get(t.Context(), client.ObjectKeyFromObject(bad), bad); err != nil {
				t.Error(err)
				return
			}
		}
		r.bad = bad
	})
	for _, level := range []string{"baseline", "restricted"} {
		enforce(t, api, "matrix-"+level, level)
	}
}

// enforce has a level enforced in a namespace, and returns when it is.
func enforce(t *testing.T, api client.Client, namespace, level string) {
	t.Helper()
	label(t, namespace, map[string]string{"policy.debugsidecar.io/enforce": level})
	eventually(t, level+" is enforced in "+namespace, func() error {
		pod := clean()
		pod.Namespace, pod.Name = namespace, "probe"
		pod.Spec.HostIPC = true
		if err := api.Create(t.Context(), pod, client.DryRunAll); err == nil || !strings.Contains(err.Error(), "debugsidecar: level "+level) {
			return fmt.Errorf("a pod was not denied: %w", err)
		}
		return nil
	})
}

var byTheWebhook = regexp.MustCompile(`admission webhook "[a-z.-]+\.debugsidecar\.io" denied the request: debugsidecar: `)

// isOurs says whether a refusal came from the webhook.
func isOurs(err error) bool { return err != nil && byTheWebhook.MatchString(err.Error()) }

func opts() *client.SubResourceUpdateOptions {
	return &client.SubResourceUpdateOptions{UpdateOptions: client.UpdateOptions{DryRun: []string{metav1.DryRunAll}}}
}

// enter asks for an exec or attach, without the upgrade of the connection that
// would follow: there is no node.
func enter(ctx context.Context, as kubernetes.Interface, way string, pod *corev1.Pod, container string) error {
	request := as.CoreV1().RESTClient().Post().Namespace(pod.Namespace).Resource("pods").Name(pod.Name).SubResource(way).
		Param("stdout", "true").Param("container", container)
	if way == "exec" {
		request.Param("command", "true")
	}
	return request.Do(ctx).Error()
}

// admitted says whether a request to enter got past admission.
func admitted(err error) bool {
	return err != nil && strings.Contains(err.Error(), "does not have a host assigned")
}
