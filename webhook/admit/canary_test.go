package admit

import (
	"net/http"
	"strings"
	"testing"

	"github.com/debugsidecar/debugsidecar/policies/facts"
	"github.com/debugsidecar/debugsidecar/webhook/config"
)

// withCanary is a configuration whose canary is another revision.
func withCanary(t *testing.T, granted bool) *config.Snapshot {
	t.Helper()
	c := *revision(t, "1", granted)
	c.Canary, c.CanaryID, c.File.Canary.Percent = revision(t, "2", granted).Profiles, "a", 100
	return &c
}

func TestWhateverAReplicaThinksOfTheCanaryNoPodIsDenied(t *testing.T) {
	labelled := strings.Replace(wanting, "video-probe", "own", 1)
	for _, granted := range []bool{true, false} {
		c := withCanary(t, granted)
		deps := newDeps(t, enforcing("baseline"))
		deps.Config = func() *config.Snapshot { return c }
		deps.Recent = func() []*config.Snapshot { return []*config.Snapshot{c} }
		for _, injects := range []bool{true, false} {
			deps.CanaryRuns = func(id string) bool { return injects && id == "a" }
			resp := answered(t, send(Mutate(deps), http.MethodPost, labelled))
			pod := apply(t, `{"metadata":{"name":"p","labels":{"debugsidecar.io/inject":"own"}},`+plain+`}`, resp.Patch)
			if got := strings.Contains(strings.Join(resp.Warnings, " "), ", canary"); got != injects {
				t.Errorf("grant %v, canary %v: the warnings are %q", granted, injects, resp.Warnings)
			}
			for _, runs := range []func(string) bool{nil, func(string) bool { return false }, func(string) bool { return true }} {
				deps.CanaryRuns = runs
				judged := answered(t, send(Validate(deps), http.MethodPost, head+`"object":`+pod+`}}`))
				if !judged.Allowed || len(judged.Warnings) > 0 {
					t.Errorf("grant %v, canary %v: %+v, warnings %q", granted, injects, judged.Result, judged.Warnings)
				}
			}
		}
		// The grant is that of now, for the canary, too.
		deps.CanaryRuns = func(string) bool { return true }
		resp := answered(t, send(Mutate(deps), http.MethodPost, labelled))
		pod := apply(t, `{"metadata":{"name":"p","labels":{"debugsidecar.io/inject":"own"}},`+plain+`}`, resp.Patch)
		taken := withCanary(t, false)
		deps.Config = func() *config.Snapshot { return taken }
		deps.Recent = func() []*config.Snapshot { return []*config.Snapshot{taken, c} }
		if judged := answered(t, send(Validate(deps), http.MethodPost, head+`"object":`+pod+`}}`)); judged.Allowed == granted {
			t.Errorf("the grant was taken back (there was one: %v): allowed %v", granted, judged.Allowed)
		}
	}
}

func TestAnOwnerIsTheControllerElseWhatNamesThePod(t *testing.T) {
	yes, no := true, false
	for want, meta := range map[string]facts.Metadata{
		"uid":    {Name: "a-1", GenerateName: "a-", OwnerReferences: []facts.Owner{{UID: "other", Controller: &no}, {UID: "none"}, {UID: "uid", Controller: &yes}}},
		"ns/a-":  {Name: "a-1", GenerateName: "a-", OwnerReferences: []facts.Owner{{UID: "other"}}},
		"ns/a-1": {Name: "a-1"},
	} {
		r := &request{}
		r.Namespace = "ns"
		r.pod.Pod = &facts.Pod{Metadata: meta}
		if got := ownerOf(r); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
