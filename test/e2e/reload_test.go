package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

const ownProfile = `
profiles:
  tiny: |
    apiVersion: debugsidecar.io/v1alpha1
    kind: Profile
    metadata: {name: tiny}
    spec:
      parameters:
        type: object
        properties:
          greeting: {type: string, default: hello}
      template: |
        containers:
        - name: debugsidecar-tiny
          image: registry.example/tiny:%s
          args: [{{ .params.greeting }}]
          securityContext:
            allowPrivilegeEscalation: false
            runAsNonRoot: true
            runAsUser: 65532
            seccompProfile: {type: RuntimeDefault}
            capabilities: {drop: [ALL]}
`

func upgrade(t *testing.T, extra string) {
	t.Helper()
	if err := env.installation.Upgrade(t.Context(), values+extra); err != nil {
		t.Fatal(err)
	}
}

func TestAnUpgradeIsInForceWithoutARestart(t *testing.T) {
	ns := namespace(t, map[string]string{enforceLabel: "baseline"})
	t.Cleanup(func() { upgradeBack() })
	tiny := func(name string) *corev1.Pod { return ingest(name, map[string]string{injectLabel: "tiny"}) }

	upgrade(t, fmt.Sprintf(ownProfile, "1"))
	var first *corev1.Pod
	everywhere(t, "the new profile", func() error {
		pod, err := dryRun(t.Context(), ns, tiny("first"))
		if err != nil {
			return err
		}
		if sidecars(pod) != 1 {
			return errors.New("no sidecar yet")
		}
		first = pod
		return nil
	})

	upgrade(t, fmt.Sprintf(ownProfile, "2"))
	everywhere(t, "its second revision, replaced and not doubled", func() error {
		pod, err := dryRun(t.Context(), ns, restored(first, "second"))
		if err != nil {
			return err
		}
		if sidecars(pod) != 1 || pod.Spec.InitContainers[0].Image != "registry.example/tiny:2" {
			return fmt.Errorf("it is %s still", pod.Spec.InitContainers[0].Image)
		}
		return nil
	})

	upgrade(t, strings.Replace(fmt.Sprintf(ownProfile, "3"), "image:", "imagee:", 1))
	eventually(t, "the broken one is refused with its file and line", func() error {
		return logged("tiny.yaml:", "imagee")
	})
	pod, err := dryRun(t.Context(), ns, tiny("third"))
	if err != nil {
		t.Fatal(err)
	}
	mustHaveSidecar(t, pod)
	if image := pod.Spec.InitContainers[0].Image; image != "registry.example/tiny:2" {
		t.Errorf("the image is %s: the last good profile did not stay in force", image)
	}
}

func TestPolicyParametersAreInForceWithoutARestart(t *testing.T) {
	ns := namespace(t, map[string]string{enforceLabel: "baseline"})
	t.Cleanup(func() { upgradeBack() })
	if _, err := dryRun(t.Context(), ns, greedy("greedy")); err == nil {
		t.Fatal("SYS_ADMIN was not denied to begin with")
	}
	upgrade(t, fmt.Sprintf(`
policy:
  parameters:
    namespaces:
      %s:
        capabilities:
          allowedAdd: [SYS_ADMIN]
`, ns))
	everywhere(t, "SYS_ADMIN is allowed in this namespace", func() error {
		_, err := dryRun(t.Context(), ns, greedy("greedy"))
		return err
	})
	other := namespaceNamed(t, "another-namespace", map[string]string{enforceLabel: "baseline"})
	if _, err := dryRun(t.Context(), other, greedy("greedy")); err == nil {
		t.Error("SYS_ADMIN is allowed in another namespace, too")
	}
}

func TestAGrantIsTheOnlyWayToTheKernelTierAndCanBeTakenBack(t *testing.T) {
	ns := namespace(t, nil)
	t.Cleanup(func() { upgradeBack() })
	tier := func() (string, error) {
		pod, err := dryRun(t.Context(), ns, labelled("ingest"))
		if err != nil {
			return "", err
		}
		return pod.Annotations["debugsidecar.io/status"], nil
	}
	grant := func(profiles string) {
		if err := env.installation.Upgrade(t.Context(), "grants: [{namespace: "+ns+", profiles: ["+profiles+"]}]"); err != nil {
			t.Fatal(err)
		}
	}
	want := func(word string) func() error {
		return func() error {
			status, err := tier()
			if err == nil && !strings.Contains(status, `"tier":"`+word+`"`) {
				err = errors.New(status)
			}
			return err
		}
	}
	everywhere(t, "no grant, no kernel tier", want("user"))
	grant("video-probe")
	everywhere(t, "a grant", want("kernel"))
	grant("full")
	everywhere(t, "a grant for another profile", want("user"))
}

// everywhere waits until check holds, and then that it holds for as many
// requests as it takes to have asked each replica.
func everywhere(t *testing.T, what string, check func() error) {
	t.Helper()
	held := 0
	eventually(t, what, func() error {
		if err := check(); err != nil {
			held = 0
			return err
		}
		if held++; held < 10 {
			return errors.New("not asked often enough yet")
		}
		return nil
	})
}
