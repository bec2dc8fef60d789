package chart

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const policyLabel = "policy.debugsidecar.io/"

func TestOnlyAdministratorsChangeTheLevelOfANamespace(t *testing.T) {
	c := realCluster(t)
	install(t, c, "reserved", outside+`
administrators: {groups: [platform, 'say "friend"'], users: [gitops]}`)
	admin := user(t, c, "")
	// Everybody may do everything with namespaces, as far as RBAC is concerned.
	all := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "namespace-owners"},
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{""}, Resources: []string{"namespaces", "namespaces/status", "namespaces/finalize"}, Verbs: []string{"*"},
		}},
	}
	everybody := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "namespace-owners"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: all.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "system:authenticated"}},
	}
	for _, o := range []client.Object{all, everybody} {
		if err := admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := admin.Delete(context.Background(), o); err != nil {
				t.Error(err)
			}
		})
	}
	owner := user(t, c, "owner", "video-team")
	platform := user(t, c, "alice", "video-team", "platform")

	ns := func(labels map[string]string) *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "trial", Labels: labels}}
	}
	enforce := map[string]string{policyLabel + "enforce": "restricted"}
	// RBAC and the policy take effect a moment after they are written, and that of
	// a release before this one a moment after it is deleted.
	eventually(t, "a namespace owner is refused, by this policy alone", func() error {
		if err := owner.Create(t.Context(), ns(enforce), client.DryRunAll); !isDenied(err) || !strings.Contains(err.Error(), "members of platform") {
			return fmt.Errorf("got %v", err)
		}
		return platform.Create(t.Context(), ns(enforce), client.DryRunAll)
	})

	t.Run("message says who may and what to do", func(t *testing.T) {
		err := owner.Create(t.Context(), ns(enforce), client.DryRunAll)
		for _, want := range []string{"policy.debugsidecar.io/enforce", `members of platform, say "friend"; gitops`, "ask one of them"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v does not say %s", err, want)
			}
		}
	})

	t.Run("create", func(t *testing.T) {
		for name, c := range map[string]struct {
			by     client.Client
			labels map[string]string
			want   bool
		}{
			"owner without labels":            {owner, nil, true},
			"owner with other labels":         {owner, map[string]string{"team": "video", "debugsidecar.io/inject": "video-probe"}, true},
			"owner with a level":              {owner, enforce, false},
			"owner with off":                  {owner, map[string]string{policyLabel + "warn": "off"}, false},
			"group":                           {platform, enforce, true},
			"group with quotes":               {user(t, c, "bob", `say "friend"`), enforce, true},
			"user":                            {user(t, c, "gitops"), enforce, true},
			"user called like the group":      {user(t, c, "platform"), enforce, false},
			"group called like the user":      {user(t, c, "eve", "gitops"), enforce, false},
			"administrator, misspelt level":   {platform, map[string]string{policyLabel + "enforce": "strict"}, false},
			"administrator, misspelt label":   {platform, map[string]string{policyLabel + "enfroce": "baseline"}, false},
			"owner with a look-alike label":   {owner, map[string]string{"policy.debugsidecar.io.example/enforce": "x"}, true},
			"system:masters, which is not in": {admin, enforce, false},
		} {
			if err := c.by.Create(t.Context(), ns(c.labels), client.DryRunAll); (err == nil) != c.want {
				t.Errorf("%s: got %v, want it allowed: %v", name, err, c.want)
			}
		}
	})

	existing := ns(map[string]string{"team": "video", policyLabel + "enforce": "restricted", policyLabel + "audit": "baseline"})
	eventually(t, "an administrator sets the labels", func() error { return platform.Create(t.Context(), existing) })
	for name, c := range map[string]struct {
		change func(labels map[string]string)
		want   bool // for the owner
	}{
		"nothing":                  {func(map[string]string) {}, true},
		"another label":            {func(l map[string]string) { l["team"] = "audio" }, true},
		"the profile":              {func(l map[string]string) { l["debugsidecar.io/inject"] = "debug" }, true},
		"lower the level":          {func(l map[string]string) { l[policyLabel+"enforce"] = "baseline" }, false},
		"switch it off":            {func(l map[string]string) { l[policyLabel+"enforce"] = "off" }, false},
		"remove it":                {func(l map[string]string) { delete(l, policyLabel+"enforce") }, false},
		"remove all labels":        {func(l map[string]string) { clear(l) }, false},
		"add a mode":               {func(l map[string]string) { l[policyLabel+"warn"] = "baseline" }, false},
		"raise and lower together": {func(l map[string]string) { l[policyLabel+"audit"], l[policyLabel+"enforce"] = "restricted", "off" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			changed := existing.DeepCopy()
			c.change(changed.Labels)
			patch := client.MergeFrom(existing)
			for way, err := range map[string]error{
				"update": owner.Update(t.Context(), changed.DeepCopy(), client.DryRunAll),
				"patch":  owner.Patch(t.Context(), changed.DeepCopy(), patch, client.DryRunAll),
				"status": owner.Status().Patch(t.Context(), changed.DeepCopy(), patch, client.DryRunAll),
				"finalize": owner.SubResource("finalize").Update(t.Context(), changed.DeepCopy(),
					&client.SubResourceUpdateOptions{UpdateOptions: client.UpdateOptions{DryRun: []string{metav1.DryRunAll}}}),
			} {
				if (err == nil) != c.want {
					t.Errorf("owner, %s: got %v, want it allowed: %v", way, err, c.want)
				}
			}
			if err := platform.Update(t.Context(), changed.DeepCopy(), client.DryRunAll); err != nil {
				t.Errorf("administrator: %v", err)
			}
		})
	}

	t.Run("the namespace controller is not hindered", func(t *testing.T) {
		if err := owner.Delete(t.Context(), existing.DeepCopy()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "deleting a namespace with our labels", func() error {
			return gone(t, realCluster(t), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "trial"}})
		})
	})

	t.Run("a level that is no level any more does not lock a namespace", func(t *testing.T) {
		// It was written before the policy existed.
		helm(t, c, "", "uninstall", "reserved", "--namespace", "reserved", "--wait")
		old := map[string]string{policyLabel + "enforce": "ancient"}
		eventually(t, "the policy is gone", func() error {
			return admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "strange", Labels: old}}, client.DryRunAll)
		})
		strange := makeNamespace(t, realCluster(t), "strange", old)
		helm(t, c, outside+"administrators: {groups: [platform]}", "install", "reserved", chartDir, "--namespace", "reserved", "--values", "-")
		eventually(t, "the policy is back", func() error {
			if err := owner.Create(t.Context(), ns(enforce), client.DryRunAll); !isDenied(err) {
				return errors.New("not yet")
			}
			return nil
		})
		changed := strange.DeepCopy()
		changed.Labels["team"] = "video"
		if err := owner.Update(t.Context(), changed, client.DryRunAll); err != nil {
			t.Errorf("adding a label of another kind: %v", err)
		}
	})
}
