package policies_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	psapi "k8s.io/pod-security-admission/api"
	psa "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
)

// podSecurity is the evaluator of Pod Security Admission at its latest version.
type podSecurity struct{ evaluator psa.Evaluator }

func newPodSecurity(t testing.TB) podSecurity {
	t.Helper()
	evaluator, err := psa.NewEvaluator(psa.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return podSecurity{evaluator}
}

// refuses returns Pod Security's reasons to refuse a pod, empty if it doesn't.
func (p podSecurity) refuses(level policies.Level, pod *corev1.Pod) string {
	at := psapi.LevelVersion{Level: psapi.Level(level), Version: psapi.LatestVersion()}
	verdict := psa.AggregateCheckResults(p.evaluator.EvaluatePod(at, &pod.ObjectMeta, &pod.Spec))
	if verdict.Allowed {
		return ""
	}
	return verdict.ForbiddenDetail()
}

// lean converts a pod to the form that is judged, by way of its JSON.
func lean(t testing.TB, pod *corev1.Pod) *facts.Pod {
	t.Helper()
	text, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	converted := &facts.Pod{}
	if err := json.Unmarshal(text, converted); err != nil {
		t.Fatal(err)
	}
	return converted
}

// fixture is one pod of Kubernetes' own Pod Security tests.
type fixture struct {
	name string // file, below the directory of all fixtures
	fail bool   // it is made to be refused
	pod  *corev1.Pod
}

// fixturesOf reads the fixtures that are made for a level: those of one version
// of the standard, or with "*" those of all.
func fixturesOf(t testing.TB, level policies.Level, version string) []fixture {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/pod-security-admission").Output()
	if err != nil {
		t.Fatalf("finding the fixtures' module: %v", err)
	}
	root := filepath.Join(strings.TrimSpace(string(out)), "test", "testdata")
	files, err := filepath.Glob(filepath.Join(root, string(level), version, "*", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures in %s for %s %s: %v", root, level, version, err)
	}
	var all []fixture
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pod := &corev1.Pod{}
		if err := yaml.UnmarshalStrict(text, pod); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		name, _ := filepath.Rel(root, file)
		all = append(all, fixture{name, filepath.Base(filepath.Dir(file)) == "fail", pod})
	}
	return all
}

// latestFixtures reads the fixtures of the newest version in which a Pod
// Security check changed.
func latestFixtures(t testing.TB, level policies.Level) []fixture {
	t.Helper()
	latest := psapi.MajorMinorVersion(1, 0)
	for _, check := range psa.DefaultChecks() {
		for _, version := range check.Versions {
			if latest.Older(version.MinimumVersion) {
				latest = version.MinimumVersion
			}
		}
	}
	return fixturesOf(t, level, latest.String())
}

func TestEveryPodSecurityFixtureIsJudgedAsPodSecurityDoes(t *testing.T) {
	evaluator, reference := newEvaluator(t), newPodSecurity(t)
	for _, directory := range []policies.Level{policies.Baseline, policies.Restricted} {
		refused, allowed := 0, 0
		for _, fixture := range fixturesOf(t, directory, "*") {
			for _, level := range []policies.Level{policies.Baseline, policies.Restricted} {
				want := reference.refuses(level, fixture.pod)
				got := evaluate(t, evaluator, policies.Request{Modes: enforce(level), Pod: lean(t, fixture.pod)})
				if got.Denied() != (want != "") {
					t.Errorf("%s at %s: denied is %v, Pod Security says %q; violations: %+v", fixture.name, level, got.Denied(), want, got.Violations)
				}
				if got.Denied() {
					refused++
				} else {
					allowed++
				}
			}
		}
		if refused < 100 || allowed < 100 {
			t.Errorf("%s: only %d refused and %d allowed", directory, refused, allowed)
		}
	}
}

func TestEveryLatestFixtureIsJudgedAsItsDirectorySays(t *testing.T) {
	evaluator := newEvaluator(t)
	for _, level := range []policies.Level{policies.Baseline, policies.Restricted} {
		for _, fixture := range latestFixtures(t, level) {
			pod := lean(t, fixture.pod)
			// The fixtures are made for an API server, which makes a volume without
			// a source an emptyDir.
			for i := range pod.Spec.Volumes {
				if source := &pod.Spec.Volumes[i].VolumeSource; *source == (corev1.VolumeSource{}) {
					source.EmptyDir = &corev1.EmptyDirVolumeSource{}
				}
			}
			result := evaluate(t, evaluator, policies.Request{Modes: enforce(level), Pod: pod})
			if result.Denied() != fixture.fail {
				t.Errorf("%s: denied is %v: %+v", fixture.name, result.Denied(), result.Violations)
			}
		}
	}
}

func TestEveryPodSecurityCheckIsARule(t *testing.T) {
	rules, err := policies.Rules()
	if err != nil {
		t.Fatal(err)
	}
	covered := map[string]string{}
	for _, rule := range rules {
		for _, id := range rule.Checks {
			if other, twice := covered[id]; twice {
				t.Errorf("check %s is covered by %s and by %s", id, other, rule.ID)
			}
			covered[id] = rule.ID
		}
	}
	var known []string
	for _, check := range psa.DefaultChecks() {
		known = append(known, string(check.ID))
		rule, ok := covered[string(check.ID)]
		if !ok {
			t.Errorf("no rule covers the check %s", check.ID)
			continue
		}
		i := slices.IndexFunc(rules, func(r policies.Rule) bool { return r.ID == rule })
		if check.Level == psapi.LevelBaseline && rules[i].Level != policies.Baseline {
			t.Errorf("check %s is of level %s, its rule %s of %s", check.ID, check.Level, rule, rules[i].Level)
		}
	}
	for id, rule := range covered {
		if !slices.Contains(known, id) {
			t.Errorf("the rule %s covers the check %s, which Pod Security doesn't have", rule, id)
		}
	}
}
