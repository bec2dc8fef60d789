package admit

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
	"github.com/debugsidecar/debugsidecar/webhook/session"
	"github.com/debugsidecar/debugsidecar/webhook/trust"
)

// trustPath is where API servers ask whether images are signed. It is the one
// path that waits for a registry, and so has an entry with a longer timeout.
const trustPath = "/trust"

const (
	// pinTime bounds what /mutate waits for a registry, of the 2 s that it has.
	pinTime = 1500 * time.Millisecond
	// answerTime is what an answer takes to reach the API server in time.
	answerTime = 300 * time.Millisecond
	// maxImages is how many images of one request are looked at.
	maxImages = 16
	// debuggerPrefix is that of debug containers' names in a copy of a pod.
	debuggerPrefix = "debugger-"
)

// Trust returns the handler of /trust: it denies what runs an image of ours, or a
// debug container with one that the administrator names, that no trusted key
// signed. It judges digests, which /mutate has put there.
func Trust(d Deps) http.Handler {
	return &handler{path: trustPath, decode: decode[noContainer, noVolume], judge: d.trust, metrics: d.Metrics, log: d.Log}
}

// trustedPod is what is read of a pod here.
type trustedPod struct {
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     struct {
		InitContainers      []imageOf `json:"initContainers"`
		Containers          []imageOf `json:"containers"`
		EphemeralContainers []imageOf `json:"ephemeralContainers"`
	} `json:"spec"`
}

type imageOf struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

// trusting is a container that a request brings, or whose image it changes.
type trusting struct {
	list  string
	index int
	imageOf
}

// changes are the containers whose images have to be trusted. By its name it is
// what the webhook injects; debug containers are told by their images.
func (d Deps) changes(r *request, c *config.Snapshot) ([]trusting, error) {
	var review struct {
		Request struct {
			Object    *trustedPod `json:"object"`
			OldObject *trustedPod `json:"oldObject"`
		} `json:"request"`
	}
	if err := json.Unmarshal(r.body, &review); err != nil {
		return nil, fmt.Errorf("reading the pod's images: %w", err)
	}
	pod, old := review.Request.Object, review.Request.OldObject
	if pod == nil || pod.Metadata.DeletionTimestamp != nil {
		return nil, nil
	}
	if old == nil || r.Operation == "CREATE" {
		old = &trustedPod{}
	}
	_, isCopy := pod.Metadata.Labels[session.CopyOfLabel]
	var out []trusting
	add := func(list string, now, before []imageOf, is func(imageOf) bool) {
		for i, container := range now {
			if is(container) && !slices.Contains(before, container) {
				out = append(out, trusting{list, i, container})
			}
		}
	}
	injected := func(i imageOf) bool { return strings.HasPrefix(i.Name, profile.NamePrefix) }
	add("initContainers", pod.Spec.InitContainers, old.Spec.InitContainers, injected)
	add("containers", pod.Spec.Containers, old.Spec.Containers, func(i imageOf) bool {
		return injected(i) || isCopy && strings.HasPrefix(i.Name, debuggerPrefix) && needsTrust(c, i.Image)
	})
	add("ephemeralContainers", pod.Spec.EphemeralContainers, old.Spec.EphemeralContainers, func(i imageOf) bool {
		return injected(i) || needsTrust(c, i.Image)
	})
	return out, nil
}

// needsTrust says whether a debug container that uses an image needs it signed.
func needsTrust(c *config.Snapshot, image string) bool {
	return c.Trust.Names(image) || slices.ContainsFunc(c.OwnImages(), func(own string) bool { return trust.SameRepository(image, own) })
}

func (d Deps) trust(ctx context.Context, r *request) (response, error) {
	judged := r.Operation == "CREATE" && r.SubResource == "" || r.Operation == "UPDATE" && (r.SubResource == "" || r.SubResource == "ephemeralcontainers")
	if !r.isPod() || !judged {
		return d.passUnasked(trustPath), nil
	}
	c := d.Config()
	if c.Trust == nil || d.Images == nil {
		return allow(), nil // it was switched off a moment ago
	}
	containers, err := d.changes(r, c)
	if err != nil || len(containers) == 0 {
		return allow(), err
	}
	ctx, cancel := before(ctx, 0)
	defer cancel()
	failures := d.verify(ctx, c, containers)
	var said sentences
	for i, f := range failures {
		if f != nil {
			said.add(fmt.Sprintf("container %q: %s; to pass: %s", containers[i].Name, f, f.Fix()))
		}
	}
	if said.count == 0 {
		return allow(), nil
	}
	resp := allow()
	switch text := strings.Join(said.all(), "; "); {
	case c.Trust.Enforced():
		resp = deny("debugsidecar: images have to be signed here: " + text)
	default:
		for _, warning := range said.all() {
			resp.Warnings = append(resp.Warnings, "debugsidecar: "+warning)
		}
	}
	resp.audit("image-trust", said)
	return resp, nil
}

// verify asks for all images at once, for each once. Beyond the first few none is
// trusted: a request with more is no honest one.
func (d Deps) verify(ctx context.Context, c *config.Snapshot, containers []trusting) []*trust.Failure {
	var images []string
	for i := range containers {
		if !slices.Contains(images, containers[i].Image) {
			images = append(images, containers[i].Image)
		}
	}
	asked := images[:min(len(images), maxImages)]
	results := make([]*trust.Failure, len(asked))
	var wg sync.WaitGroup
	for i, image := range asked {
		wg.Go(func() { results[i] = d.Images.Verify(ctx, c.Trust, image, trust.Tenant) })
	}
	wg.Wait()
	out := make([]*trust.Failure, len(containers))
	for i := range containers {
		if at := slices.Index(images, containers[i].Image); at < len(asked) {
			out[i] = results[at]
		} else {
			out[i] = trust.TooMany(containers[i].Image, maxImages)
		}
	}
	return out
}

// before is a context that leaves time for the answer, and lasts at most as long
// as most, if that is not 0.
func before(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	deadline = deadline.Add(-answerTime)
	if end := time.Now().Add(most); !ok || most > 0 && end.Before(deadline) {
		deadline = end
	}
	return context.WithDeadline(ctx, deadline)
}

// pinSidecar gives the sidecar that was decided on the digest that its tag has, if
// that is signed. If it is not, or a registry does not say so in time, a pod gets
// no sidecar where signatures are required: no pod may be refused for what we put
// into it, and none may run what nobody vouches for.
func (d Deps) pinSidecar(ctx context.Context, c *config.Snapshot, f inject.Facts, decision *inject.Decision) *inject.Decision {
	if c.Trust == nil || d.Images == nil || !decision.Inject {
		return decision
	}
	ctx, cancel := before(ctx, pinTime)
	defer cancel()
	f.Pins = map[string]inject.Pin{}
	var warnings []string
	for i, image := range decision.Images {
		whose := trust.Administrator
		if i > 0 {
			whose = trust.Tenant // it is in the pod
		}
		pinned, failure := d.Images.Resolve(ctx, c.Trust, image, whose)
		if failure == nil {
			failure = d.Images.Verify(ctx, c.Trust, pinned, whose)
		}
		pin := inject.Pin{Image: pinned}
		switch {
		case failure != nil && c.Trust.Enforced():
			pin.Why = failure.Error()
		case failure != nil && i > 0:
			continue // the profile's own takes its place
		case failure != nil:
			warnings = append(warnings, "debugsidecar: "+failure.Error())
		}
		f.Pins[image] = pin
	}
	decision = inject.Decide(f)
	decision.Warnings = append(decision.Warnings, warnings...)
	return decision
}

// pinDebug gives new debug containers whose images have to be trusted the digests
// that their tags have. Whether these are signed, /trust says.
func (d Deps) pinDebug(ctx context.Context, r *request, resp *response) []inject.Operation {
	c := d.Config()
	if c.Trust == nil || d.Images == nil || r.SubResource != "ephemeralcontainers" && !isCopy(r) {
		return nil
	}
	containers, err := d.changes(r, c)
	if err != nil {
		d.Log.Warn("debug containers' images can't be read", "namespace", r.Namespace, "err", err)
		return nil
	}
	ctx, cancel := before(ctx, pinTime)
	defer cancel()
	var ops []inject.Operation
	for i := range containers[:min(len(containers), maxImages)] {
		container := &containers[i]
		if strings.HasPrefix(container.Name, profile.NamePrefix) && container.list != "ephemeralContainers" {
			continue // a sidecar's is decided on with it
		}
		whose := trust.Tenant
		if slices.Contains(c.OwnImages(), container.Image) {
			whose = trust.Administrator
		}
		pinned, failure := d.Images.Resolve(ctx, c.Trust, container.Image, whose)
		if failure != nil {
			resp.Warnings = append(resp.Warnings, fmt.Sprintf("debugsidecar: container %q: no digest was found: %s", container.Name, failure))
			continue
		}
		if pinned != container.Image {
			value, _ := json.Marshal(pinned) // a string can't fail
			ops = append(ops, inject.Operation{Op: "replace", Path: "/spec/" + container.list + "/" + strconv.Itoa(container.index) + "/image", Value: value})
		}
	}
	return ops
}
