package matrix

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// as returns clients of a user who may do everything that RBAC can give.
func as(t *testing.T, name string, groups ...string) (*kubernetes.Clientset, client.Client) {
	t.Helper()
	config := patient(env.cluster.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: name, Groups: append(groups, "system:authenticated")}
	config.WarningHandler = rest.NoWarnings{}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	api, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return clients, api
}

// debugging adds an ephemeral container to a pod.
func debugging(pod *corev1.Pod, name string, change func(*corev1.EphemeralContainer)) *corev1.Pod {
	next := pod.DeepCopy()
	e := corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon(secure(name))}
	change(&e)
	next.Spec.EphemeralContainers = append(next.Spec.EphemeralContainers, e)
	return next
}

func TestOnlyThoseWhomTheGrantListsGetIntoTheKernelTier(t *testing.T) {
	admin := newAPI(t)
	needGranted(t)
	binding := &rbac.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "matrix-users"},
		RoleRef:    rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbac.Subject{{APIGroup: rbac.GroupName, Kind: "User", Name: "ada"}, {APIGroup: rbac.GroupName, Kind: "User", Name: "eve"}, {APIGroup: rbac.GroupName, Kind: "User", Name: "bob"}},
	}
	if err := admin.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	pod := wanting("entered")
	injected, err := injectedPod(t.Context(), admin, nil)
	if err != nil {
		t.Fatal(err)
	}
	pod.Spec, pod.Annotations = injected.Spec, injected.Annotations
	if err := admin.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if sidecarOf(pod) == nil || !hasGrantedCapability(pod) {
		t.Fatalf("the pod has no sidecar of the kernel tier: %s", pod.Annotations["debugsidecar.io/status"])
	}
	users := map[string]struct {
		clients *kubernetes.Clientset
		api     client.Client
		listed  bool
	}{}
	add := func(name string, listed bool, groups ...string) {
		clients, api := as(t, name, groups...)
		users[name] = struct {
			clients *kubernetes.Clientset
			api     client.Client
			listed  bool
		}{clients, api, listed}
	}
	add("eve", false, "grants", "system:masters")
	add("ada", true)
	add("bob", true, "node-admins")
	eventually(t, "RBAC", func() error {
		_, err := users["bob"].clients.CoreV1().Pods(granted).Get(t.Context(), "entered", metav1.GetOptions{})
		return err
	})
	metric := func(way, outcome string) float64 {
		sum := 0.0
		for _, r := range env.installation.Running() {
			eventually(t, "metrics", func() error {
				v, err := r.Metric(`debugsidecar_kernel_tier_entries_total{outcome="` + outcome + `",way="` + way + `"}`)
				sum += v
				return err
			})
		}
		return sum
	}
	for name, user := range users {
		outcome := map[bool]string{true: "listed", false: "denied"}[user.listed]
		for _, way := range []string{"exec", "attach"} {
			before := metric(way, outcome)
			err := enter(t.Context(), user.clients, way, pod, injectedName)
			if user.listed && !admitted(err) || !user.listed && (!isOurs(err) || !strings.Contains(err.Error(), "kernel-tier.debugsidecar.io")) {
				t.Errorf("%s, %s: %v", name, way, err)
			}
			if n := metric(way, outcome); n <= before { // twice if it was sent again
				t.Errorf("%s, %s: %v were counted as %s, then %v", name, way, before, outcome, n)
			}
			eventually(t, "the audit log", func() error {
				return audited(`"username":"`+name+`"`, "pods/entered/"+way,
					`"kernel-tier.debugsidecar.io/kernel-tier":"`+outcome+": "+way+" into the kernel tier: container "+injectedName+" of pod entered")
			})
			for _, other := range []string{"app", "side"} {
				if err := enter(t.Context(), user.clients, way, pod, other); !admitted(err) {
					t.Errorf("%s, %s into %s: %v", name, way, other, err)
				}
			}
		}
		for what, change := range map[string]func(*corev1.EphemeralContainer){
			"targets it": func(e *corev1.EphemeralContainer) { e.TargetContainerName = injectedName },
			"mounts what is its own": func(e *corev1.EphemeralContainer) {
				e.VolumeMounts = []corev1.VolumeMount{{Name: ownVolume, MountPath: "/theirs"}}
			},
		} {
			err := user.api.SubResource("ephemeralcontainers").Update(t.Context(), debugging(pod, "shell", change), opts())
			if user.listed && err != nil || !user.listed && (!isOurs(err) || !strings.Contains(err.Error(), "kernel-tier.debugsidecar.io")) {
				t.Errorf("%s, a container that %s: %v", name, what, err)
			}
		}
		app := debugging(pod, "shell", func(e *corev1.EphemeralContainer) { e.TargetContainerName = "app" })
		if err := user.api.SubResource("ephemeralcontainers").Update(t.Context(), app, opts()); err != nil {
			t.Errorf("%s can't debug the app: %v", name, err)
		}
	}
	// As kubectl debug --custom writes them: for those too who are listed, the
	// rules hold.
	for what, change := range map[string]func(*corev1.EphemeralContainer){
		"the grant's capabilities": func(e *corev1.EphemeralContainer) {
			e.SecurityContext.Capabilities.Add = sidecarOf(pod).SecurityContext.Capabilities.Add
		},
		"privileged": func(e *corev1.EphemeralContainer) {
			e.SecurityContext.Privileged, e.SecurityContext.AllowPrivilegeEscalation = new(true), nil
		},
		"a copy of the sidecar": func(e *corev1.EphemeralContainer) {
			c := sidecarOf(pod).DeepCopy()
			c.Name, c.Ports, c.RestartPolicy = "debugsidecar-full", nil, nil
			e.EphemeralContainerCommon = corev1.EphemeralContainerCommon(*c)
		},
		"our prefix": func(e *corev1.EphemeralContainer) { e.Name = "debugsidecar-shell" },
	} {
		err := users["ada"].api.SubResource("ephemeralcontainers").Update(t.Context(), debugging(pod, "custom", change), opts())
		if !isOurs(err) || !strings.Contains(err.Error(), "enforce.pods.debugsidecar.io") {
			t.Errorf("kubectl debug with %s: %v", what, err)
		}
	}
	// Another image in the sidecar takes the grant from it.
	next := pod.DeepCopy()
	sidecarOf(next).Image = "registry.example/evil:1"
	if err := admin.Update(t.Context(), next, client.DryRunAll); !isOurs(err) {
		t.Errorf("the sidecar gets another image: %v", err)
	}
}
