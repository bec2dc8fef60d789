package policies_test

import (
	"testing"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
)

// poisoned is a pod that baseline would refuse, from before it was enforced.
const poisoned = `
spec:
  hostPID: true
  containers:
  - {name: app, image: "app:1", securityContext: {privileged: true}}
`

func update(t *testing.T, oldPod, newPod *facts.Pod, reserved map[string]policies.Identity) policies.Result {
	t.Helper()
	return evaluate(t, newEvaluator(t), policies.Request{Modes: enforce(policies.Baseline), Pod: newPod, Old: oldPod, Reserved: reserved})
}

var (
	warnedHostPID    = short{"host-namespaces", "", "spec.hostPID", policies.Baseline, policies.Warn}
	warnedPrivileged = short{"privileged", "app", "spec.containers[0].securityContext.privileged", policies.Baseline, policies.Warn}
)

func TestAnUpdateThatChangesNothingForTheRulesIsAllowed(t *testing.T) {
	changed := podOf(t, poisoned)
	changed.Metadata.Labels = map[string]string{"a": "b"}
	changed.Metadata.Annotations = map[string]string{"c": "d"}
	wantShorts(t, update(t, podOf(t, poisoned), changed, nil))
}

func TestAnUpdateOfAPodThatIsBeingDeletedIsAllowed(t *testing.T) {
	worse := podOf(t, poisoned)
	worse.Spec.HostIPC = true
	worse.Metadata.DeletionTimestamp = deleted()
	wantShorts(t, update(t, podOf(t, poisoned), worse, nil))
}

func TestWhatAPodHadAlreadyIsWarnedOf(t *testing.T) {
	better := podOf(t, poisoned)
	better.Spec.Containers[0].SecurityContext = nil
	wantShorts(t, update(t, podOf(t, poisoned), better, nil), warnedHostPID)
}

func TestWhatAnUpdateAddsIsDenied(t *testing.T) {
	worse := podOf(t, poisoned)
	worse.Spec.EphemeralContainers = podOf(t, `spec: {ephemeralContainers: [{name: debugger, securityContext: {privileged: true}}]}`).Spec.EphemeralContainers
	wantShorts(t, update(t, podOf(t, poisoned), worse, nil),
		warnedHostPID, warnedPrivileged,
		short{"privileged", "debugger", "spec.ephemeralContainers[0].securityContext.privileged", policies.Baseline, policies.Deny})
}

func TestADebuggerMayJoinAPodThatWouldBeDeniedToday(t *testing.T) {
	joined := podOf(t, poisoned)
	joined.Spec.EphemeralContainers = podOf(t, `spec: {ephemeralContainers: [{name: debugger}]}`).Spec.EphemeralContainers
	wantShorts(t, update(t, podOf(t, poisoned), joined, nil), warnedHostPID, warnedPrivileged)
}

// As Pod Security does: new code must not get what the old code had.
func TestANewImageMakesItsContainersViolationsNew(t *testing.T) {
	swapped := podOf(t, poisoned)
	swapped.Spec.Containers[0].Image = "app:2"
	denied := warnedPrivileged
	denied.action = policies.Deny
	wantShorts(t, update(t, podOf(t, poisoned), swapped, nil), warnedHostPID, denied)
}

func TestAContainerThatCeasedToBeOursIsDeniedWithItsNewImage(t *testing.T) {
	const name = "debugsidecar-video-probe"
	const probe = `spec: {initContainers: [{name: debugsidecar-video-probe, image: "ours:1", securityContext: {capabilities: {add: [BPF]}}}], containers: [{name: app}]}`
	foreign := map[string]policies.Identity{name: {Why: "its image differs"}}
	swapped := podOf(t, probe)
	swapped.Spec.InitContainers[0].Image = "theirs:1"
	wantShorts(t, update(t, podOf(t, probe), swapped, foreign),
		short{"capabilities", name, "spec.initContainers[0].securityContext.capabilities.add", policies.Baseline, policies.Deny},
		short{"reserved-names", name, "spec.initContainers[0].name", policies.Baseline, policies.Deny})

	// An old revision of ours, unchanged, doesn't stand in the way of others.
	wantShorts(t, update(t, podOf(t, probe), podOf(t, probe), foreign))
	beside := podOf(t, probe)
	beside.Spec.Containers[0].Image = "app:2"
	if result := update(t, podOf(t, probe), beside, foreign); result.Denied() || len(result.Violations) != 2 {
		t.Errorf("%+v", result.Violations)
	}
}

func TestAChangedValueIsANewViolation(t *testing.T) {
	oldPod := podOf(t, `spec: {containers: [{name: app, securityContext: {capabilities: {add: [SYS_ADMIN]}}}]}`)
	newPod := podOf(t, `spec: {containers: [{name: app, securityContext: {capabilities: {add: [SYS_ADMIN, NET_ADMIN]}}}]}`)
	wantShorts(t, update(t, oldPod, newPod, nil),
		short{"capabilities", "app", addField, policies.Baseline, policies.Warn},
		short{"capabilities", "app", addField, policies.Baseline, policies.Deny})
}
