package policies_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
)

// Whoever does what every fix says, word by word, gets a pod that passes.
func TestDoingWhatEveryFixSaysMakesAPodPass(t *testing.T) {
	evaluator, reference := newEvaluator(t), newPodSecurity(t)
	rapid.Check(t, func(r *rapid.T) {
		pod := pods.Draw(r, "pod")
		for i := range pod.Spec.Volumes {
			pod.Spec.Volumes[i].Name = fmt.Sprint("v", i)
		}
		level := some(policies.Baseline, policies.Restricted).Draw(r, "level")
		result := evaluate(t, evaluator, policies.Request{Modes: enforce(level), Pod: lean(t, pod)})
		fixed := tree(t, pod)
		for _, v := range result.Violations {
			if err := follow(fixed, v); err != nil {
				r.Fatalf("%q can't be followed: %v", v.Fix, err)
			}
		}
		text, err := json.Marshal(fixed)
		if err != nil {
			r.Fatal(err)
		}
		after, typed := &facts.Pod{}, &corev1.Pod{}
		if err := json.Unmarshal(text, after); err != nil {
			r.Fatal(err)
		}
		if err := json.Unmarshal(text, typed); err != nil {
			r.Fatal(err)
		}
		if left := evaluate(t, evaluator, policies.Request{Modes: enforce(level), Pod: after}); len(left.Violations) != 0 {
			r.Fatalf("after all fixes: %+v", left.Violations)
		}
		if why := reference.refuses(level, typed); why != "" {
			r.Fatalf("after all fixes Pod Security says %s", why)
		}
	})
}

// tree is a pod as plain JSON.
func tree(t testing.TB, pod *corev1.Pod) map[string]any {
	t.Helper()
	text, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	return root
}

var (
	setFix       = regexp.MustCompile(`^set (\S+) to (?:(true|false)|"(\w+)"|a user other than 0, such as (\d+))(?:, or \S+ once for all containers)?$`)
	removeFix    = regexp.MustCompile(`^remove (\S+?)(?:, so that the kubelet uses the pod's own address)?$`)
	removeOfFix  = regexp.MustCompile(`^remove (".*") from (\S+)$`)
	addFix       = regexp.MustCompile(`^add "(\w+)" to (\S+)$`)
	replaceFix   = regexp.MustCompile(`^replace (\S+) by a volume of `)
	removeSysctl = regexp.MustCompile(`^remove "(.*)" from the pod's sysctls$`)
)

// follow does to a pod what a fix says.
func follow(root map[string]any, v policies.Violation) error {
	if m := setFix.FindStringSubmatch(v.Fix); m != nil {
		return change(root, m[1], func(any) any {
			switch {
			case m[2] != "":
				return m[2] == "true"
			case m[3] != "":
				return m[3]
			}
			user, _ := strconv.Atoi(m[4])
			return user
		})
	}
	if m := removeSysctl.FindStringSubmatch(v.Fix); m != nil {
		return change(root, "spec.securityContext.sysctls", func(old any) any {
			var kept []any
			for _, s := range old.([]any) {
				if s.(map[string]any)["name"] != m[1] {
					kept = append(kept, s)
				}
			}
			return kept
		})
	}
	if m := removeOfFix.FindStringSubmatch(v.Fix); m != nil {
		return change(root, m[2], func(old any) any {
			var kept []any
			for _, name := range old.([]any) {
				if !strings.Contains(m[1], strconv.Quote(name.(string))) {
					kept = append(kept, name)
				}
			}
			return kept
		})
	}
	if m := removeFix.FindStringSubmatch(v.Fix); m != nil {
		return change(root, m[1], func(any) any { return nil })
	}
	if m := addFix.FindStringSubmatch(v.Fix); m != nil {
		return change(root, m[2], func(old any) any {
			list, _ := old.([]any)
			return append(list, m[1])
		})
	}
	if m := replaceFix.FindStringSubmatch(v.Fix); m != nil {
		volume := m[1][:strings.Index(m[1], "]")+1]
		return change(root, volume, func(old any) any {
			return map[string]any{"name": old.(map[string]any)["name"], "emptyDir": map[string]any{}}
		})
	}
	return fmt.Errorf("no known words")
}

var pathSteps = regexp.MustCompile(`[^.\[\]]+|\[[^\]]*\]`)

// change replaces the value at a path; nil removes it. Mappings on the way are
// made where they are missing.
func change(root map[string]any, path string, with func(old any) any) error {
	var here any = root
	steps := pathSteps.FindAllString(path, -1)
	for i, step := range steps {
		last := i == len(steps)-1
		if list, is := here.([]any); is {
			index, err := strconv.Atoi(strings.Trim(step, "[]"))
			if err != nil || index >= len(list) {
				return fmt.Errorf("%s: no such item", path)
			}
			if last {
				list[index] = with(list[index])
			}
			here = list[index]
			continue
		}
		mapping, is := here.(map[string]any)
		if !is {
			return fmt.Errorf("%s: %s is in no mapping", path, step)
		}
		key := strings.Trim(step, "[]")
		if last {
			if value := with(mapping[key]); value != nil {
				mapping[key] = value
			} else {
				delete(mapping, key)
			}
			return nil
		}
		if mapping[key] == nil {
			mapping[key] = map[string]any{}
		}
		here = mapping[key]
	}
	return nil
}
