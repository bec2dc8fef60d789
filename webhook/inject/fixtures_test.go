package inject_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

// fixture is one of the pods with which the Kubernetes project tests its Pod
// Security levels.
type fixture struct {
	file  string
	level api.LevelVersion
	pass  bool
	pod   *corev1.Pod
	again bool // the same pod stands there for another version, too
}

// fixtures reads them from the module: testdata/<level>/<version>/{pass,fail}.
var fixtures = sync.OnceValues(func() ([]fixture, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/pod-security-admission").Output()
	if err != nil {
		return nil, err
	}
	root := filepath.Join(strings.TrimSpace(string(out)), "test", "testdata")
	files, err := filepath.Glob(filepath.Join(root, "*", "*", "*", "*.yaml"))
	if err != nil {
		return nil, err
	}
	var all []fixture
	seen := map[string]bool{}
	for _, file := range files {
		parts := strings.Split(file[len(root)+1:], string(filepath.Separator))
		f := fixture{file: strings.Join(parts, "/"), pass: parts[2] == "pass", pod: &corev1.Pod{}}
		version, err := api.ParseVersion(parts[1])
		if err != nil {
			return nil, err
		}
		f.level = api.LevelVersion{Level: api.Level(parts[0]), Version: version}
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if err := yaml.UnmarshalStrict(data, f.pod); err != nil {
			return nil, err
		}
		setDefaults(f.pod) // as it reaches an admission plug-in: a volume without a source is an emptyDir
		f.again = seen[string(data)]
		seen[string(data)] = true
		all = append(all, f)
	}
	return all, nil
})

func readFixtures(t interface {
	Helper()
	Fatalf(string, ...any)
}) []fixture {
	t.Helper()
	all, err := fixtures()
	if err != nil || len(all) < 1000 {
		t.Fatalf("reading the fixtures of k8s.io/pod-security-admission: %d of them, %v", len(all), err)
	}
	return all
}

var podSecurity = sync.OnceValues(func() (policy.Evaluator, error) { return policy.NewEvaluator(policy.DefaultChecks(), nil) })

// admits says whether Pod Security lets the pod pass, and what it says if not.
func admits(t tb, level api.LevelVersion, pod *corev1.Pod) (bool, string) {
	t.Helper()
	evaluator, err := podSecurity()
	if err != nil {
		t.Fatalf("Pod Security: %v", err)
	}
	r := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec))
	return r.Allowed, r.ForbiddenDetail()
}

// enforcing is a namespace with a grant that enforces the level and wants the
// profile.
func enforcing(level api.LevelVersion, profile string) world {
	return worldOf(granted(), map[string]string{
		inject.Label:                                 profile,
		"pod-security.kubernetes.io/enforce":         string(level.Level),
		"pod-security.kubernetes.io/enforce-version": level.Version.String(),
	})
}

func TestFixturesStayAdmissibleAtTheirLevel(t *testing.T) {
	injected := 0
	for _, f := range readFixtures(t) {
		for _, profile := range []string{"video-probe", "debug"} {
			w := enforcing(f.level, profile)
			after, d := w.mutate(t, encode(t, f.pod))
			if !f.again {
				checkMutation(t, w, f.pod)
			}
			mutated := decode(t, after)
			if was, is := qos(f.pod), qos(mutated); was != is {
				t.Errorf("%s: was %s and is %s", f.file, was, is)
			}
			if d.Inject {
				injected++
			}
			if before, _ := admits(t, f.level, f.pod); before != f.pass {
				t.Fatalf("%s: Pod Security admits it: %t", f.file, before)
			}
			if ok, why := admits(t, f.level, mutated); f.pass && !ok {
				t.Errorf("%s with %s: %s", f.file, profile, why)
			}
		}
	}
	if injected < 1000 {
		t.Errorf("only %d pods got a sidecar: this shows little", injected)
	}
}

// At level privileged the kernel tier is injected; a pod that no level is
// enforced on may be of any kind.
func TestFixturesGetTheKernelTierWhereNoLevelIsEnforced(t *testing.T) {
	kernel := 0
	for _, f := range readFixtures(t) {
		if f.again {
			continue
		}
		if _, d := checkMutation(t, enforcing(api.LevelVersion{Level: api.LevelPrivileged, Version: f.level.Version}, "full"), f.pod); d.Tier == "kernel" {
			kernel++
		}
	}
	if kernel < 100 {
		t.Errorf("only %d pods got the kernel tier", kernel)
	}
}
