package admit

import (
	"context"
	"log/slog"
	"net/http"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
	"github.com/debugsidecar/debugsidecar/webhook/canary"
	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
	"github.com/debugsidecar/debugsidecar/webhook/trust"
)

// Namespaces tells what is known of a namespace.
type Namespaces interface {
	// Namespace never fails: what could not be read is marked as unknown.
	Namespace(ctx context.Context, name string) inject.Namespace
	// Labels returns the labels alone, and whether they could be read.
	Labels(ctx context.Context, name string) (map[string]string, bool)
}

// Deps is what the handlers need.
type Deps struct {
	// Config returns the configuration in force, Recent also those that were
	// replaced lately, the newest first.
	Config func() *config.Snapshot
	Recent func() []*config.Snapshot
	// CanaryRuns says whether the canary of this ID is neither rolled back nor
	// unknown. May be nil: then none runs.
	CanaryRuns func(id string) bool
	Namespaces Namespaces
	Pods       Pods
	Policies   *policies.Evaluator
	// NativeSidecars says whether the API server knows them.
	NativeSidecars bool
	OwnNamespace   string
	// Images are asked whether images are signed. May be nil: then none has to be.
	Images  *trust.Checker
	Metrics *Metrics
	Log     *slog.Logger

	stamps *stamps // of /mutate alone
}

// Mutate returns the handler of /mutate: it injects, and stamps debug containers.
func Mutate(d Deps) http.Handler {
	d.stamps = newStamps()
	return &handler{path: mutatePath, decode: decode[decidedContainer, decidedVolume], judge: d.mutate, metrics: d.Metrics, log: d.Log}
}

func (d Deps) mutate(ctx context.Context, r *request) (response, error) {
	creates := r.Operation == "CREATE" && r.SubResource == ""
	debugs := r.Operation == "UPDATE" && r.SubResource == "ephemeralcontainers"
	if !r.isPod() || r.pod.Pod == nil || !creates && !debugs {
		return d.passUnasked(mutatePath), nil
	}
	c := d.Config()
	f := d.facts(r, r.pod.Pod, d.Namespaces.Namespace(ctx, r.Namespace), c)
	// What a pod is given, it is given at its creation: the field can't change.
	if f.SELinux.Fill = f.SELinux.Fill && creates; f.SELinux.Fill {
		whole, err := decode[identifiedContainer, judgedVolume](r.body)
		if err != nil {
			return response{}, err
		}
		f.Pod = whole.pod.Pod
	}
	d.addViolations(ctx, r, &f)
	// A pod for which nobody asks is sent only to be trimmed or filled in, or because
	// it is a copy to debug, and nothing else happens to it.
	amended := f.SELinux.Fill || d.Policies.Trims(r.Namespace) || isCopy(r)
	if !creates || amended && !inject.Asked(r.pod.Pod, f.Namespace.Labels) {
		return d.carryOut(ctx, r, inject.Amend(f)), nil
	}
	if d.isCanary(r, c) {
		f.Profiles, f.Stable = c.Canary, c.Profiles
	}
	decision := d.pinSidecar(ctx, c, f, inject.Decide(f))
	if !r.DryRun {
		d.Metrics.injections.WithLabelValues(decision.Code, knownProfile(c, decision.Profile)).Inc()
	}
	return d.carryOut(ctx, r, decision), nil
}

// carryOut answers with what was decided.
func (d Deps) carryOut(ctx context.Context, r *request, decision *inject.Decision) response {
	if decision.Refused != "" {
		return deny("debugsidecar: " + decision.Refused)
	}
	resp := allow()
	resp.Warnings = decision.Warnings
	ops := append(d.stamp(r, &resp), d.pinDebug(ctx, r, &resp)...)
	if ops = append(ops, decision.Patch()...); len(ops) > 0 {
		resp.Patch, resp.PatchType = encodePatch(ops), "JSONPatch"
	}
	d.recordTrims(r, decision, &resp)
	return resp
}

// isCanary says whether a pod's owner belongs to the share that gets the canary.
func (d Deps) isCanary(r *request, c *config.Snapshot) bool {
	return c.Canary != nil && d.CanaryRuns != nil && canary.Selected(ownerOf(r), c.File.Canary.Percent) && d.CanaryRuns(c.CanaryID)
}

// ownerOf names what makes pods like this one: the controlling owner, or else
// what the pod is called after. A ReplicaSet stands for its Deployment's revision.
func ownerOf(r *request) string {
	meta := &r.pod.Pod.Metadata
	for i := range meta.OwnerReferences {
		if o := &meta.OwnerReferences[i]; o.Controller != nil && *o.Controller {
			return string(o.UID)
		}
	}
	if meta.GenerateName != "" {
		return r.Namespace + "/" + meta.GenerateName
	}
	return r.Namespace + "/" + meta.Name
}

// facts gathers what the decision about a pod depends on.
func (d Deps) facts(r *request, pod *facts.Pod, ns inject.Namespace, c *config.Snapshot) inject.Facts {
	return inject.Facts{
		Pod:       pod,
		Namespace: ns,
		Cluster:   c.Cluster(d.NativeSidecars, d.OwnNamespace),
		Profiles:  c.Profiles,
		SELinux:   c.Parameters.SELinux(r.Namespace, ns.Annotations),
		Full:      func() (*corev1.Pod, error) { return r.fullPod() },
	}
}

// knownProfile keeps what users write out of a metric's label.
func knownProfile(c *config.Snapshot, name string) string {
	if _, ok := c.Profiles.Get(name); ok {
		return name
	}
	return ""
}
