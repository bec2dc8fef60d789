package policies_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
)

const (
	sum      = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	otherSum = "sha256:f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// mayAdd says whether a container of the image may add NET_RAW where the
// parameter capabilities.images has the key.
func mayAdd(t testing.TB, evaluator *policies.Evaluator, key, image string) bool {
	t.Helper()
	p, err := policies.ParseParameters(fmt.Appendf(nil, "capabilities: {images: {%q: [NET_RAW]}}", key))
	if err != nil {
		t.Fatal(err)
	}
	evaluator.SetParameters(p)
	pod := podOf(t, `spec: {containers: [{name: app, securityContext: {capabilities: {add: [NET_RAW]}}}]}`)
	pod.Spec.Containers[0].Image = image
	return !evaluate(t, evaluator, policies.Request{Modes: enforce(policies.Baseline), Pod: pod}).Denied()
}

func TestAnAllowanceCountsForItsImagesAlone(t *testing.T) {
	evaluator := newEvaluator(t)
	const repository = "registry.example.com/cameras"
	for key, images := range map[string]map[string]bool{
		repository + "/": {
			repository + "/probe":                     true,
			repository + "/probe:1@" + sum:            true,
			repository + "/a/b/c:1":                   true,
			repository:                                false,
			repository + ":1":                         false,
			repository + "-evil/probe":                false,
			"registry.example.com:5000/cameras/probe": false,
			"REGISTRY.example.com/cameras/probe":      false,
			"evil.example/" + repository + "/probe":   false,
			repository + "/../evil/probe":             false,
			repository + "//probe":                    false,
			repository + "/Probe":                     false,
			"https://" + repository + "/probe":        false,
			" " + repository + "/probe":               false,
			"cameras/probe":                           false,
			"":                                        false,
		},
		repository: {
			repository:                        true,
			repository + ":1":                 true,
			repository + "@" + sum:            true,
			repository + "/probe:1":           true,
			repository + "-evil":              false,
			repository + "evil":               false,
			repository + ".evil:1":            false,
			"registry.example.com.evil/camer": false,
		},
		repository + "/probe:1.2": {
			repository + "/probe:1.2":             true,
			repository + "/probe:1.2@" + otherSum: false,
			repository + "/probe@" + sum:          false,
			repository + "/probe:1.20":            false,
			repository + "/probe":                 false,
			repository + "/probe/evil:1.2":        false,
		},
		repository + "/probe:latest": {repository + "/probe": true, repository + "/probe:1": false},
		repository + "/probe@" + sum: {
			repository + "/probe@" + sum:          true,
			repository + "/probe:whatever@" + sum: true,
			repository + "/probe@" + otherSum:     false,
			repository + "/probe:1":               false,
			repository + "/evil@" + sum:           false,
		},
		"registry.example.com:5000/": {
			"registry.example.com:5000/any/probe": true,
			"registry.example.com/any/probe":      false,
			"registry.example.com:50000/any":      false,
		},
		"docker.io/library/nginx": {
			"docker.io/library/nginx:1":       true,
			"docker.io/nginx:1":               true,
			"index.docker.io/nginx":           true,
			"index.docker.io/library/nginx:1": true,
			// A node's configuration says where short names are looked for.
			"nginx":           false,
			"nginx:1":         false,
			"library/nginx":   false,
			"quay.io/nginx:1": false,
		},
		"docker.io/library/": {
			"docker.io/nginx": true,
			// The ID of whatever image the node has.
			sum:                                false,
			strings.TrimPrefix(sum, "sha256:"): false,
			"docker.io/evil/nginx":             false,
		},
		"docker.io/":        {"docker.io/nginx": true, "docker.io/a/b": true, "docker.io.evil/a/b": false, sum: false},
		"localhost/cameras": {"localhost/cameras:1": true, "localhost:5000/cameras:1": false},
	} {
		for image, want := range images {
			if got := mayAdd(t, evaluator, key, image); got != want {
				t.Errorf("%q for %q: %v, want %v", key, image, got, want)
			}
		}
	}
}

func TestAnImageThatIsNamedInAnAllowanceNeverHelpsAnother(t *testing.T) {
	evaluator := newEvaluator(t)
	part := rapid.StringMatching(`[a-z0-9]{1,3}`)
	rapid.Check(t, func(r *rapid.T) {
		key := "registry.example.com/" + part.Draw(r, "first") + some("", "/", "/"+part.Draw(r, "second")).Draw(r, "rest")
		image := "registry.example.com/" + strings.Join(rapid.SliceOfN(part, 1, 3).Draw(r, "path"), "/") + some("", ":1", "@"+sum).Draw(r, "version")
		path := strings.Split(strings.TrimSuffix(key, "/"), "/")
		repository, _, _ := strings.Cut(strings.TrimSuffix(image, "@"+sum), ":")
		have := strings.Split(repository, "/")
		want := len(have) >= len(path) && slices.Equal(have[:len(path)], path) && (len(have) > len(path) || !strings.HasSuffix(key, "/"))
		if got := mayAdd(t, evaluator, key, image); got != want {
			r.Fatalf("%q for %q: %v, want %v", key, image, got, want)
		}
	})
}

func TestAnAllowanceLiftsWhatItNamesForItsContainerAtBaselineOnly(t *testing.T) {
	evaluator := newEvaluator(t)
	evaluator.SetParameters(parse(t, `
capabilities: {images: {registry.example.com/cameras/: [NET_RAW, SYS_NICE], registry.example.com/cameras/probe: [IPC_LOCK]}}
namespaces: {labs: {capabilities: {images: {}}}}
`))
	pod := podOf(t, `
spec:
  containers:
  - {name: probe, image: "registry.example.com/cameras/probe:1", securityContext: {capabilities: {add: [NET_RAW, SYS_NICE, IPC_LOCK, SYS_ADMIN]}}}
  - {name: app, image: "registry.example.com/app:1", securityContext: {capabilities: {add: [NET_RAW, CHOWN]}}}
`)
	refused := func(namespace string, level policies.Level) map[string][]string {
		names := map[string][]string{}
		for _, v := range evaluate(t, evaluator, policies.Request{Namespace: namespace, Modes: enforce(level), Pod: pod}).Violations {
			if strings.HasSuffix(v.Field, "capabilities.add") {
				has, _, _ := strings.Cut(v.Message, ";")
				for _, c := range []string{"NET_RAW", "SYS_NICE", "IPC_LOCK", "SYS_ADMIN", "CHOWN"} {
					if strings.Contains(has, `"`+c+`"`) {
						names[v.Container] = append(names[v.Container], c)
					}
				}
			}
		}
		return names
	}
	for _, c := range []struct {
		namespace  string
		level      policies.Level
		probe, app []string
	}{
		{"", policies.Baseline, []string{"SYS_ADMIN"}, []string{"NET_RAW"}},
		{"labs", policies.Baseline, []string{"NET_RAW", "SYS_NICE", "IPC_LOCK", "SYS_ADMIN"}, []string{"NET_RAW"}},
		{"", policies.Restricted, []string{"NET_RAW", "SYS_NICE", "IPC_LOCK", "SYS_ADMIN"}, []string{"NET_RAW", "CHOWN"}},
	} {
		got := refused(c.namespace, c.level)
		if !slices.Equal(got["probe"], c.probe) || !slices.Equal(got["app"], c.app) {
			t.Errorf("in %q at %s: %v, want %v and %v", c.namespace, c.level, got, c.probe, c.app)
		}
	}
}

func TestAnotherImageLosesTheAllowance(t *testing.T) {
	evaluator := newEvaluator(t)
	evaluator.SetParameters(parse(t, `capabilities: {images: {registry.example.com/cameras/: [NET_RAW]}}`))
	of := func(image string) *facts.Pod {
		pod := podOf(t, `spec: {containers: [{name: app, securityContext: {capabilities: {add: [NET_RAW]}}}]}`)
		pod.Spec.Containers[0].Image = image
		return pod
	}
	for image, denied := range map[string]bool{"registry.example.com/cameras/a:2": false, "registry.example.com/evil:1": true} {
		result := evaluate(t, evaluator, policies.Request{Modes: enforce(policies.Baseline), Old: of("registry.example.com/cameras/a:1"), Pod: of(image)})
		if result.Denied() != denied {
			t.Errorf("%s: denied is %v", image, result.Denied())
		}
	}
}

func TestWrongImagesAreRefusedWhenParametersAreRead(t *testing.T) {
	for key, want := range map[string]string{
		"nginx":                             "want an image with its registry",
		"library/nginx":                     "want an image with its registry",
		"docker.io/nginx":                   "want an image with its registry",
		"registry.example.com":              "want an image with its registry",
		"/":                                 "want an image with its registry",
		"registry.example.com//":            "want an image with its registry",
		"registry.example.com/*":            "want an image with its registry",
		"registry.example.com/A":            "want an image with its registry",
		"https://registry.example.com/":     "want an image with its registry",
		"registry.example.com/a:1@" + sum:   "name the tag or the digest",
		"registry.example.com/a@sha256:abc": "want an image with its registry",
	} {
		_, err := policies.ParseParameters(fmt.Appendf(nil, "capabilities:\n  images:\n    %q: [NET_RAW]", key))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "line 3: capabilities.images."+key) {
			t.Errorf("%q: the error is %v, want %q", key, err, want)
		}
	}
	_, err := policies.ParseParameters([]byte("capabilities: {images: {registry.example.com/: [CAP_NET_RAW]}}"))
	if err == nil || !strings.Contains(err.Error(), "without CAP_") {
		t.Errorf("the error is %v", err)
	}
}
