package inject_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/webhook/inject"
	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

// othersVersion is the embedded profiles in another revision.
var othersVersion = func() *profile.Set {
	set, err := profile.LoadSet("", profile.Settings{
		Images: map[string]string{"sidecar": "registry.example/sidecar:2", "debug": "registry.example/debug:2"},
		Alerts: profile.Alerts{Webhooks: []string{"https://hooks.example/a"}},
	})
	if err != nil {
		panic(err)
	}
	return set
}()

// checkMutation is what holds for each pod in each world. It returns the mutated
// pod.
func checkMutation(t tb, w world, pod *corev1.Pod) ([]byte, *inject.Decision) {
	t.Helper()
	before := encode(t, pod)
	after, d := w.mutate(t, before)
	checkExplained(t, d)
	if again := w.decide(t, before); !reflect.DeepEqual(d, again) {
		t.Fatalf("the same pod gave two decisions:\n%+v\n%+v", d, again)
	}
	checkUnchanged(t, w, after)
	mutated := decode(t, after)
	checkOthersAreUntouched(t, pod, mutated)
	checkOurs(t, d, mutated)
	return after, d
}

// checkUnchanged fails if a further mutation would change the pod.
func checkUnchanged(t tb, w world, pod []byte) {
	t.Helper()
	again, d := w.mutate(t, pod)
	if len(d.Patch()) != 0 || string(again) != string(pod) {
		t.Fatalf("a second mutation changes the pod: %s\nof %s", mustJSON(t, d.Patch()), pod)
	}
}

// checkOurs fails unless the pod has exactly what the decision says.
func checkOurs(t tb, d *inject.Decision, pod *corev1.Pod) {
	t.Helper()
	found := ours(pod)
	switch {
	case d.Refused != "", d.Code == "unreadable":
		return
	case d.Inject && (len(found) != 1 || found[0].Name != profile.NamePrefix+d.Profile):
		t.Fatalf("want one container of profile %s, got %v", d.Profile, names(found))
	case !d.Inject && len(found) != 0:
		t.Fatalf("not injected (%s), but there are %v", d.Reason, names(found))
	}
}

func names(containers []corev1.Container) (out []string) {
	for _, c := range containers {
		out = append(out, c.Name)
	}
	return out
}

// checkOthersAreUntouched fails if what is not ours differs.
func checkOthersAreUntouched(t tb, before, after *corev1.Pod) {
	t.Helper()
	if was, is := encode(t, withoutOurs(before)), encode(t, withoutOurs(after)); string(was) != string(is) {
		t.Fatalf("what is the owner's was changed:\nfrom %s\nto   %s", was, is)
	}
}

// withoutOurs is the pod without all that is under our reserved names.
func withoutOurs(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	reserved := func(name string) bool { return strings.HasPrefix(name, profile.NamePrefix) }
	notOurs := func(list []corev1.Container) []corev1.Container {
		list = slices.DeleteFunc(list, func(c corev1.Container) bool { return reserved(c.Name) })
		return append([]corev1.Container(nil), list...) // none, if it is empty
	}
	pod.Spec.InitContainers = notOurs(pod.Spec.InitContainers)
	pod.Spec.Containers = notOurs(pod.Spec.Containers)
	pod.Spec.Volumes = slices.DeleteFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
		return reserved(v.Name) && v.Name != "debugsidecar-other" // which no profile has
	})
	delete(pod.Annotations, inject.StatusAnnotation)
	return pod
}

func TestMutationIsIdempotentAndTouchesNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkMutation(t, genWorld.Draw(t, "world"), genPod.Draw(t, "pod")) })
}

func TestMutationIsIdempotentAfterTheAPIServersDefaults(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, pod := genWorld.Draw(t, "world"), genPod.Draw(t, "pod")
		setDefaults(pod)
		after, d := checkMutation(t, w, pod)
		mutated := decode(t, after)
		setDefaults(mutated)
		admitted(t, mutated)
		if d.Inject {
			checkUnchanged(t, w, encode(t, mutated))
		}
	})
}

// admitted does what the API server's own plug-ins do to each container.
func admitted(t *rapid.T, pod *corev1.Pod) {
	token := rapid.Bool().Draw(t, "token")
	pull := rapid.Bool().Draw(t, "alwaysPull")
	storage := rapid.Bool().Draw(t, "limitRange")
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			c := &list[i]
			if token {
				c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{
					Name: "kube-api-access-abcde", ReadOnly: true, MountPath: "/var/run/secrets/kubernetes.io/serviceaccount",
				})
			}
			if pull {
				c.ImagePullPolicy = corev1.PullAlways
			}
			if storage {
				if c.Resources.Requests == nil {
					c.Resources.Requests = corev1.ResourceList{}
				}
				c.Resources.Requests["ephemeral-storage"] = resource.MustParse("1Gi")
			}
		}
	}
	if token {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "kube-api-access-abcde", VolumeSource: tokenVolume()})
	}
}

// tokenVolume is what the plug-in ServiceAccount makes.
func tokenVolume() (v corev1.VolumeSource) {
	err := json.Unmarshal([]byte(`{"projected": {"defaultMode": 420, "sources": [
		{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
		{"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
		{"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}
	]}}`), &v)
	if err != nil {
		panic(err)
	}
	return v
}

func TestMutationIsIdempotentAmongOtherMutators(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, pod := genWorld.Draw(t, "world"), genPod.Draw(t, "pod")
		after, _ := checkMutation(t, w, pod)
		mutated := decode(t, after)
		insert := func(list []corev1.Container, prefix string) []corev1.Container {
			for i := range rapid.IntRange(0, 3).Draw(t, prefix) {
				at := rapid.IntRange(0, len(list)).Draw(t, "at")
				list = slices.Insert(list, at, genContainer(t, prefix+string(rune('a'+i))))
			}
			return list
		}
		mutated.Spec.InitContainers = insert(mutated.Spec.InitContainers, "other-init-")
		mutated.Spec.Containers = insert(mutated.Spec.Containers, "other-")
		if rapid.Bool().Draw(t, "volume") {
			mutated.Spec.Volumes = append([]corev1.Volume{genVolume(t, "other-volume")}, mutated.Spec.Volumes...)
		}
		checkMutation(t, w, mutated)
	})
}

// A pod is restored from a backup, or made again by a controller from a live
// one, into another namespace, another cluster, after another revision.
func TestRestoredPodGetsWhatAFreshOneGets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, now := genWorld.Draw(t, "old"), genWorld.Draw(t, "now")
		if rapid.Bool().Draw(t, "revision") {
			now.profiles = othersVersion
		}
		pod := withoutOurs(genPod.Draw(t, "pod"))
		for i := range pod.Spec.Containers {
			pod.Spec.Containers[i].VolumeMounts = nil // of volumes that only the sidecar brings
		}
		for i := range pod.Spec.InitContainers {
			pod.Spec.InitContainers[i].VolumeMounts = nil
		}
		restored, _ := checkMutation(t, old, pod)
		got, d := checkMutation(t, now, decode(t, restored))
		fresh, _ := checkMutation(t, now, pod)
		if was, is := encode(t, decode(t, fresh)), encode(t, decode(t, got)); d.Inject && string(was) != string(is) {
			t.Fatalf("fresh    %s\nrestored %s", was, is)
		}
	})
}

func TestMutationNeverChangesQoS(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, pod := genWorld.Draw(t, "world"), withoutOurs(genPod.Draw(t, "pod"))
		if rapid.Bool().Draw(t, "defaults") {
			setDefaults(pod)
		}
		after, d := w.inject(t, pod)
		if was, is := qos(pod), qos(after); was != is {
			t.Fatalf("the pod was %s and is %s: %s", was, is, encode(t, after))
		}
		if detail := stepDetail(d.Steps, "resources"); detail != "" && !strings.Contains(detail, string(qos(pod))) {
			t.Fatalf("the pod is %s, the decision says %q", qos(pod), detail)
		}
	})
}
