package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const ownRule = `
policy:
  rules:
    no_nfs.rego: |
      package custom.no_nfs

      # METADATA
      # title: No NFS volumes
      # custom: {id: custom-no-nfs, level: baseline, allowed: no volumes of type nfs, fix: "remove {field}"}
      baseline contains ["volumeTypes", "nfs"] if %s
    no_nfs_test.rego: |
      package no_nfs_test

      import data.custom.no_nfs

      test_refused if no_nfs.baseline == {["volumeTypes", "nfs"]} with input as {"volumeTypes": {"nfs"}}
`

func TestRulesOfOnesOwnAreEnforcedWithoutARestart(t *testing.T) {
	ns := namespace(t, map[string]string{enforceLabel: "baseline"})
	t.Cleanup(func() { upgradeBack() })
	nfs := func(name string) *corev1.Pod {
		pod := ingest(name, nil)
		pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "a", Path: "/"}}}}
		return pod
	}
	create(t, ns, nfs("before"))
	denied := func() error {
		_, err := dryRun(t.Context(), ns, nfs("after"))
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "rule custom-no-nfs (baseline) allows no volumes of type nfs; to pass: remove spec.volumes[0].nfs") {
			return fmt.Errorf("got %v, want a denial by the rule", err)
		}
		return nil
	}
	upgrade(t, fmt.Sprintf(ownRule, "input.volumeTypes.nfs"))
	everywhere(t, "the rule", denied)

	// Its test fails now: the last good one stays, and that is told.
	upgrade(t, fmt.Sprintf(ownRule, "input.volumeTypes.hostPath"))
	everywhere(t, "the broken rule", func() error {
		if metricOfAll(t, "debugsidecar_policy_own_rules_broken") < 2 {
			return errors.New("not every replica says that the rules are broken")
		}
		return denied()
	})

	upgradeBack()
	everywhere(t, "no rule", func() error {
		_, err := dryRun(t.Context(), ns, nfs("after"))
		return err
	})
}
