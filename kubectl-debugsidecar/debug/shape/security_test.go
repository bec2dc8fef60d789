package shape

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

func TestWhomItRunsAs(t *testing.T) {
	caps := func(add, drop string) *corev1.Capabilities {
		c := &corev1.Capabilities{}
		for _, name := range strings.Fields(add) {
			c.Add = append(c.Add, corev1.Capability(name))
		}
		for _, name := range strings.Fields(drop) {
			c.Drop = append(c.Drop, corev1.Capability(name))
		}
		return c
	}
	podUser := func(sc corev1.PodSecurityContext) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Spec.SecurityContext = &sc }
	}
	const (
		general = "DAC_OVERRIDE KILL SETGID SETUID SYS_PTRACE"
		open    = ""
	)
	for _, c := range []struct {
		name    string
		pod     *corev1.Pod
		profile Profile
		user    int64
		group   *int64
		caps    *corev1.Capabilities
		closed  string // what the first line says, if anything
	}{
		{"its user and group, restricted", podOf(runsAs(1000, 2000)), Restricted, 1000, new(gid2000), caps("", "ALL"), open},
		{"the status counts more than the spec", podOf(secure(corev1.SecurityContext{RunAsUser: new(int64(7))}), runsAs(1000, 2000)), Restricted, 1000, new(gid2000), caps("", "ALL"), open},
		{"the container's counts more than the pod's", podOf(podUser(corev1.PodSecurityContext{RunAsUser: new(int64(7)), RunAsGroup: new(int64(8))}),
			secure(corev1.SecurityContext{RunAsUser: new(uid1000)})), Restricted, 1000, new(int64(8)), caps("", "ALL"), open},
		{"the pod's", podOf(podUser(corev1.PodSecurityContext{RunAsUser: new(uid1000), RunAsGroup: new(gid2000)})), Baseline, 1000, new(gid2000), caps("", "ALL"), open},
		{"no group", podOf(secure(corev1.SecurityContext{RunAsUser: new(uid1000)})), Baseline, 1000, nil, caps("", "ALL"), "may be closed: that takes its group"},
		{"root, restricted", podOf(runsAs(0, 0)), Restricted, 65532, nil, caps("", "ALL"), "can't be read, nor its environment and open files: that takes its user 0, which profile restricted does not permit, or CAP_SYS_PTRACE"},
		{"root with the runtime's capabilities", podOf(runsAs(0, 0)), Baseline, 0, new(root), nil, open},
		{"root without some", podOf(runsAs(0, 0), secure(corev1.SecurityContext{Capabilities: caps("CHOWN", "ALL")})), Baseline, 0, new(root), caps("CHOWN", "ALL"), open},
		{"root with more than baseline", podOf(runsAs(0, 0), secure(corev1.SecurityContext{Capabilities: caps("CHOWN NET_ADMIN", "MKNOD")})), Baseline, 0, new(root), caps("CHOWN", "MKNOD"), "its capabilities NET_ADMIN"},
		{"root with all, general", podOf(runsAs(0, 0), secure(corev1.SecurityContext{Capabilities: caps("ALL", "")})), General, 0, nil, caps(general, ""), open},
		{"root that dropped what is added", podOf(runsAs(0, 0), secure(corev1.SecurityContext{Capabilities: caps("", "KILL MKNOD")})), General, 0, nil, caps(general, "MKNOD"), open},
		{"privileged, baseline", podOf(runsAs(0, 0), secure(corev1.SecurityContext{Privileged: new(true)})), Baseline, 0, new(root), nil, "all capabilities, as it is privileged"},
		{"privileged, general", podOf(runsAs(0, 0), secure(corev1.SecurityContext{Privileged: new(true)})), General, 0, nil, caps(general, ""), "profile sysadmin"},
		{"unknown", podOf(), Restricted, 65532, nil, caps("", "ALL"), "may be closed: that takes its user, which is not known and may be root"},
		{"unknown, baseline guesses", podOf(), Baseline, 0, nil, nil, "may be closed: that takes its user, which is not known, as its image decides"},
		{"unknown, but not root", podOf(secure(corev1.SecurityContext{RunAsNonRoot: new(true)})), Baseline, 65532, nil, caps("", "ALL"), "it is not root"},
		{"unknown, general", podOf(), General, 0, nil, caps(general, ""), open},
		{"netadmin", podOf(runsAs(1000, 2000)), NetAdmin, 0, nil, caps(general+" NET_ADMIN NET_RAW", "ALL"), open},
		{"not root with file capabilities", podOf(runsAs(1000, 2000), secure(corev1.SecurityContext{Capabilities: caps("NET_BIND_SERVICE", "ALL")})), Restricted, 1000, new(gid2000), caps("", "ALL"), "its program's file may give"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options()
			o.Profile = c.profile
			if c.caps != nil {
				slices.Sort(c.caps.Add)
			}
			candidate := plan(t, c.pod, labelled(), o).Candidates[0]
			sc := candidate.Container.SecurityContext
			if *sc.RunAsUser != c.user || *sc.RunAsNonRoot != (c.user != 0) {
				t.Errorf("user %d, non-root %v", *sc.RunAsUser, *sc.RunAsNonRoot)
			}
			if diff := cmp.Diff(c.group, sc.RunAsGroup); diff != "" {
				t.Error("group", diff)
			}
			if diff := cmp.Diff(c.caps, sc.Capabilities); diff != "" {
				t.Error("capabilities", diff)
			}
			gravest := strings.Join(candidate.LeavesOut[:min(1, len(candidate.LeavesOut))], "")
			isClosed := strings.Contains(gravest, "under /proc/PID/root")
			if isClosed != (c.closed != open) || !strings.Contains(gravest, c.closed) {
				t.Errorf("leaves out %q, want %q", candidate.LeavesOut, c.closed)
			}
		})
	}
}

func TestWhatConfinesTheTargetConfinesTheDebugContainer(t *testing.T) {
	local := &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: new("app.json")}
	aa := func(kind corev1.AppArmorProfileType) *corev1.AppArmorProfile {
		return &corev1.AppArmorProfile{Type: kind}
	}
	level := &corev1.SELinuxOptions{Level: "s0:c1,c2"}
	spc := &corev1.SELinuxOptions{Type: "spc_t", Level: "s0:c1,c2"}
	for _, c := range []struct {
		name      string
		container corev1.SecurityContext
		pod       corev1.PodSecurityContext
		profile   Profile
		want      corev1.SecurityContext // the three fields
	}{
		{"nothing", corev1.SecurityContext{}, corev1.PodSecurityContext{}, General, corev1.SecurityContext{}},
		{"seccomp of its own", corev1.SecurityContext{SeccompProfile: local}, corev1.PodSecurityContext{}, General, corev1.SecurityContext{SeccompProfile: local}},
		{"seccomp of the pod", corev1.SecurityContext{}, corev1.PodSecurityContext{SeccompProfile: local}, Restricted, corev1.SecurityContext{SeccompProfile: local}},
		{"unconfined", corev1.SecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}}, corev1.PodSecurityContext{}, General, corev1.SecurityContext{}},
		{"SELinux of its own", corev1.SecurityContext{SELinuxOptions: level}, corev1.PodSecurityContext{}, Restricted, corev1.SecurityContext{SELinuxOptions: level}},
		{"SELinux of the pod is inherited", corev1.SecurityContext{}, corev1.PodSecurityContext{SELinuxOptions: level}, Restricted, corev1.SecurityContext{}},
		{"a type that baseline forbids", corev1.SecurityContext{SELinuxOptions: spc}, corev1.PodSecurityContext{}, Baseline, corev1.SecurityContext{SELinuxOptions: level}},
		{"of the pod, too", corev1.SecurityContext{}, corev1.PodSecurityContext{SELinuxOptions: spc}, Baseline, corev1.SecurityContext{SELinuxOptions: level}},
		{"general may have it", corev1.SecurityContext{SELinuxOptions: spc}, corev1.PodSecurityContext{}, General, corev1.SecurityContext{SELinuxOptions: spc}},
		{"AppArmor of its own", corev1.SecurityContext{AppArmorProfile: aa("RuntimeDefault")}, corev1.PodSecurityContext{}, Baseline, corev1.SecurityContext{AppArmorProfile: aa("RuntimeDefault")}},
		{"unconfined by the pod, baseline", corev1.SecurityContext{}, corev1.PodSecurityContext{AppArmorProfile: aa("Unconfined")}, Baseline, corev1.SecurityContext{AppArmorProfile: aa("RuntimeDefault")}},
		{"unconfined, general", corev1.SecurityContext{AppArmorProfile: aa("Unconfined")}, corev1.PodSecurityContext{}, General, corev1.SecurityContext{AppArmorProfile: aa("Unconfined")}},
		{"privileged is unconfined", corev1.SecurityContext{Privileged: new(true)}, corev1.PodSecurityContext{}, General, corev1.SecurityContext{AppArmorProfile: aa("Unconfined")}},
		{"privileged, baseline", corev1.SecurityContext{Privileged: new(true)}, corev1.PodSecurityContext{}, Baseline, corev1.SecurityContext{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options()
			o.Profile = c.profile
			sc := plan(t, podOf(secure(c.container), func(p *corev1.Pod) { p.Spec.SecurityContext = &c.pod }), labelled(), o).Candidates[0].Container.SecurityContext
			if c.want.SeccompProfile == nil {
				c.want.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
			}
			got := corev1.SecurityContext{SeccompProfile: sc.SeccompProfile, SELinuxOptions: sc.SELinuxOptions, AppArmorProfile: sc.AppArmorProfile}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWindows(t *testing.T) {
	windows := func(p *corev1.Pod) { p.Spec.OS = &corev1.PodOS{Name: corev1.Windows} }
	runAs := func(name string) func(*corev1.Pod) {
		return secure(corev1.SecurityContext{WindowsOptions: &corev1.WindowsSecurityContextOptions{RunAsUserName: &name}})
	}
	o := options()
	o.Foreign, o.Image = true, "registry.example/nanoserver:1"
	for _, c := range []struct {
		name string
		pod  *corev1.Pod
		want []corev1.SecurityContext
	}{
		{"nothing said", podOf(windows), []corev1.SecurityContext{{}, {RunAsNonRoot: new(true), WindowsOptions: &corev1.WindowsSecurityContextOptions{RunAsUserName: new("ContainerUser")}}}},
		{"administrator", podOf(windows, runAs("containeradministrator")), []corev1.SecurityContext{
			{WindowsOptions: &corev1.WindowsSecurityContextOptions{RunAsUserName: new("containeradministrator")}},
			{RunAsNonRoot: new(true), WindowsOptions: &corev1.WindowsSecurityContextOptions{RunAsUserName: new("ContainerUser")}},
		}},
		{"a user", podOf(windows, runAs("app")), []corev1.SecurityContext{
			{WindowsOptions: &corev1.WindowsSecurityContextOptions{RunAsUserName: new("app")}},
			{RunAsNonRoot: new(true), WindowsOptions: &corev1.WindowsSecurityContextOptions{RunAsUserName: new("app")}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []corev1.SecurityContext
			for _, candidate := range plan(t, c.pod, labelled(), o).Candidates {
				got = append(got, *candidate.Container.SecurityContext)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	host := podOf(windows, secure(corev1.SecurityContext{WindowsOptions: &corev1.WindowsSecurityContextOptions{HostProcess: new(true)}}))
	if _, err := Of(t.Context(), host, labelled(), o); err == nil || !strings.Contains(err.Error(), "hostProcess") {
		t.Error(err)
	}
	o.Profile = General
	if _, err := Of(t.Context(), podOf(windows), labelled(), o); err == nil || !strings.Contains(err.Error(), "there is no profile general") {
		t.Error(err)
	}
}

// TestHardenedAgreesWithTheSidecar keeps what the plugin adds and what the webhook
// injects from drifting apart.
func TestHardenedAgreesWithTheSidecar(t *testing.T) {
	set, err := profile.LoadSet("", profile.Settings{Images: map[string]string{"sidecar": "sidecar", "debug": "debug"}})
	if err != nil {
		t.Fatal(err)
	}
	debug, ok := set.Get("debug")
	if !ok {
		t.Fatal("there is no profile debug")
	}
	params, err := debug.Params("")
	if err != nil {
		t.Fatal(err)
	}
	sidecar, err := debug.Render(profile.Input{Variant: profile.Variant{Tier: profile.User, Placement: debug.Placement}, Params: params, Port: 9400})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sidecar.Container.SecurityContext, Hardened(podOf())); diff != "" {
		t.Error(diff)
	}
	// A target that is as hardened gets the same, whoever it runs as.
	pod := podOf(secure(*sidecar.Container.SecurityContext))
	o := options()
	o.Profile = Restricted
	if diff := cmp.Diff(sidecar.Container.SecurityContext, plan(t, pod, labelled(), o).Candidates[0].Container.SecurityContext); diff != "" {
		t.Error(diff)
	}
	if _, args := Command(false, nil); !slices.Equal(args, sidecar.Container.Args) {
		t.Errorf("our image is started with %q, and as a sidecar with %q", args, sidecar.Container.Args)
	}
}
