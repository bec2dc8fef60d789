package inject_test

import (
	"encoding/json"
	"path"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

// FuzzDecideIsIdempotent takes a pod as JSON, the namespace's profile and a set
// of switches of the cluster and the namespace.
func FuzzDecideIsIdempotent(f *testing.F) {
	seen := map[string]bool{}
	for _, fixture := range readFixtures(f) {
		if name := path.Base(fixture.file); !fixture.again && !seen[name] {
			seen[name] = true
			f.Add(encode(f, fixture.pod), "video-probe", uint8(0))
			f.Add(encode(f, fixture.pod), "full", uint8(1))
		}
	}
	for _, pod := range []*corev1.Pod{
		app("video-probe"), app("debug", withResources(guaranteed())), app("full", withParams("logLevel: debug")), app("nosuch"),
	} {
		mutated, _ := worldOf(granted(), nil).mutate(f, encode(f, pod))
		f.Add(encode(f, pod), "", uint8(3))
		f.Add(mutated, "debug", uint8(2)) // restored, into a namespace with another profile
	}
	f.Fuzz(func(t *testing.T, data []byte, profile string, switches uint8) {
		pod := &corev1.Pod{}
		if json.Unmarshal(data, pod) != nil {
			return
		}
		w := worldOf(cluster(), map[string]string{inject.Label: profile})
		if switches&1 != 0 {
			w.cluster = granted()
		}
		w.cluster.NativeSidecars = switches&2 == 0
		if switches&4 != 0 {
			w.namespace.Labels["pod-security.kubernetes.io/enforce"] = "baseline"
		}
		if switches&8 != 0 {
			w.profiles = othersVersion
		}
		after, d := checkMutation(t, w, pod)
		if d.Inject && len(ours(pod)) == 0 {
			if was, is := qos(pod), qos(decode(t, after)); was != is {
				t.Errorf("the pod was %s and is %s", was, is)
			}
		}
	})
}
