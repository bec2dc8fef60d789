package matrix

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

// configuration is the webhook's, as far as it matters to who is ours.
var configuration = sync.OnceValues(func() (*config.Snapshot, error) {
	snapshot, err := config.Load(config.Paths{})
	if err == nil {
		snapshot.File.Grants = []inject.Grant{{Namespace: granted, Profiles: []string{injectedProfile, "full"}}}
	}
	return snapshot, err
})

// identify asks the function that tells what is ours.
func identify(t *testing.T, pod *corev1.Pod) map[string]policies.Identity {
	t.Helper()
	snapshot, err := configuration()
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	read := &facts.Pod{}
	if err := json.Unmarshal(data, read); err != nil {
		t.Fatal(err)
	}
	return inject.Identify(inject.Facts{
		Pod: read, Namespace: inject.Namespace{Name: granted}, Profiles: snapshot.Profiles,
		Cluster: snapshot.Cluster(true, "debugsidecar-system"),
		Full:    func() (*corev1.Pod, error) { return pod.DeepCopy(), nil },
	})
}

// sidecarOf is the container that the webhook injected.
func sidecarOf(pod *corev1.Pod) *corev1.Container {
	i := slices.IndexFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == injectedName })
	if i < 0 {
		return nil
	}
	return &pod.Spec.InitContainers[i]
}

// hasGrantedCapability says whether a container of the pod has what a grant gives.
func hasGrantedCapability(pod *corev1.Pod) bool {
	has := false
	visit(pod, func(c *corev1.Container) {
		if c.SecurityContext != nil && c.SecurityContext.Capabilities != nil {
			for _, name := range profile.KernelCapabilities() {
				has = has || slices.Contains(c.SecurityContext.Capabilities.Add, name)
			}
		}
	})
	return has
}

// mayDiffer are the changes of the container that leave it ours: what the API
// server itself does.
var mayDiffer = map[string]string{
	"resources.limits with cpu":                 "a LimitRange's default",
	"resources.limits with ephemeral-storage":   "a LimitRange's default",
	"resources.requests with cpu":               "a LimitRange's default",
	"resources.requests with ephemeral-storage": "a LimitRange's default",
	"volumeMounts shorter":                      "no token of the service account",
	"volumeMounts reordered":                    "where the token's mount stands",
}

// Each field of the container, one by one, by a webhook that runs after ours:
// with any change that is not listed, nothing is lifted for it.
func TestOnlyWhatIsListedMayDifferInAContainerWithAGrant(t *testing.T) {
	api := newAPI(t)
	needGranted(t)
	startMutator(t, api)
	base, err := injectedPod(t.Context(), api, nil)
	if err != nil {
		t.Fatal(err)
	}
	if id := identify(t, base)[injectedName]; !id.Ours || len(id.Capabilities) == 0 {
		t.Fatalf("what was injected is not ours: %s", id.Why)
	}
	all := mutations(sidecarOf(base))
	var byUs, byAPI, judged, left atomic.Int32
	seen := make([]bool, len(all))
	parallel(len(all), func(i int) {
		m := all[i]
		forged := base.DeepCopy()
		m.apply(sidecarOf(forged))
		reason, listed := mayDiffer[m.path]
		ids := identify(t, forged)
		ours := ids[injectedName].Ours
		if ours != listed {
			t.Errorf("%s: ours is %t, listed as %q", m.path, ours, reason)
		}
		seen[i] = listed
		ctx, said := listen(t.Context())
		got, err := attacked(ctx, api, forged, true)
		switch {
		case err == nil && listed && !strings.Contains(said(), "reserved-names") && !strings.Contains(said(), "rule capabilities (baseline)"):
		case err == nil && !hasGrantedCapability(got) && strings.Contains(said(), "reserved-names"):
			judged.Add(1) // what it has left, it might have under any name
		case err == nil && !listed && identify(t, got)[injectedName].Ours:
			left.Add(1) // a field behind a feature gate: the API server leaves it out
		case isOurs(err) && !listed:
			byUs.Add(1)
		case err != nil && !isOurs(err) && !listed:
			byAPI.Add(1)
		default:
			t.Errorf("%s: %v, warned of %q", m.path, err, said())
		}
	})
	t.Logf("%d changes: %d denied by us, %d refused and %d left out by the API server, %d without a capability left and warned about",
		len(all), byUs.Load(), byAPI.Load(), left.Load(), judged.Load())
	if byUs.Load() < 40 {
		t.Errorf("only %d of %d changes were denied by us: this shows little", byUs.Load(), len(all))
	}
	tried := 0
	for _, is := range seen {
		if is {
			tried++
		}
	}
	if tried != len(mayDiffer) {
		t.Errorf("%d of the %d listed changes were tried", tried, len(mayDiffer))
	}
}

// saysNothing are the fields of a pod that change nothing about its sidecar,
// each with the reason. A field that the API gains has to make the sidecar
// foreign, or to be listed here.
var saysNothing = map[string]string{
	"volumes":                       "those that it mounts are compared",
	"initContainers":                "judged for themselves",
	"containers":                    "judged for themselves",
	"ephemeralContainers":           "judged for themselves, and /connect is asked who may add one that gets at it",
	"restartPolicy":                 "a native sidecar has its own",
	"terminationGracePeriodSeconds": "a time",
	"activeDeadlineSeconds":         "a time",
	"dnsPolicy":                     "where names lead",
	"dnsConfig":                     "where names lead",
	"hostAliases":                   "where names lead",
	"nodeSelector":                  "where it runs",
	"nodeName":                      "where it runs",
	"affinity":                      "where it runs",
	"schedulerName":                 "where it runs",
	"tolerations":                   "where it runs",
	"topologySpreadConstraints":     "where it runs",
	"schedulingGates":               "when it runs",
	"schedulingGroup":               "when it runs",
	"priorityClassName":             "who is evicted first",
	"priority":                      "who is evicted first",
	"preemptionPolicy":              "who is evicted first",
	"evictionResponders":            "who is evicted first",
	"serviceAccountName":            "the sidecar uses no token",
	"serviceAccount":                "the sidecar uses no token",
	"automountServiceAccountToken":  "the sidecar uses no token",
	"hostIPC":                       "rule host-namespaces",
	"securityContext":               "its rules; user, seccomp and privileges are the sidecar's own",
	"imagePullSecrets":              "the image is compared",
	"hostname":                      "a name",
	"subdomain":                     "a name",
	"setHostnameAsFQDN":             "a name",
	"hostnameOverride":              "a name",
	"readinessGates":                "when the pod counts as ready",
	"enableServiceLinks":            "variables whose names a Service can't choose freely; the sidecar's own win",
	"overhead":                      "how much",
	"os":                            "Linux; a pod for Windows is another case",
	"resourceClaims":                "devices come into a container by its own claims, which are compared",
}

// changedPod are fields for which the first other value says little.
var changedPod = map[string]func(*corev1.PodSpec){
	"hostUsers": func(s *corev1.PodSpec) { s.HostUsers = new(false) },
	"os":        func(s *corev1.PodSpec) { s.OS = &corev1.PodOS{Name: corev1.Linux} },
	"resources": func(s *corev1.PodSpec) {
		s.Resources = &corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": quantity("2"), "memory": quantity("2Gi")}}
	},
}

func TestEachFieldOfThePodIsReviewed(t *testing.T) {
	api := newAPI(t)
	needGranted(t)
	base, err := injectedPod(t.Context(), api, nil)
	if err != nil {
		t.Fatal(err)
	}
	kind := reflect.TypeFor[corev1.PodSpec]()
	for i := range kind.NumField() {
		name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
		forged := base.DeepCopy()
		if change, ok := changedPod[name]; ok {
			change(&forged.Spec)
		} else if field := reflect.ValueOf(&forged.Spec).Elem().Field(i); field.Kind() == reflect.Slice {
			field.Set(reflect.Append(field, filled(field.Type().Elem(), 0)))
		} else {
			field.Set(filled(field.Type(), 0))
		}
		reason, listed := saysNothing[name]
		// With other resources of the pod, the sidecar has to have others, too; where
		// it has them already, nothing is to be seen.
		if id := identify(t, forged)[injectedName]; id.Ours != listed && name != "resources" {
			t.Errorf("PodSpec.%s: with another value the sidecar is ours: %t (%s), listed as %q", name, id.Ours, id.Why, reason)
		}
	}
	for name := range saysNothing {
		if !slices.ContainsFunc(reflect.VisibleFields(kind), func(f reflect.StructField) bool {
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			return tag == name
		}) {
			t.Errorf("PodSpec has no field %s", name)
		}
	}
}
