// Package apiserver asks a real API server whether it agrees with what the debug
// containers' and copies' packages say it accepts.
package apiserver

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug/copy"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug/internal/genpod"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug/shape"
	"github.com/debugsidecar/debugsidecar/test/cluster"
)

const enforce = "pod-security.kubernetes.io/enforce"

var client *kubernetes.Clientset

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("this needs an API server; -short leaves it out")
		return
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "apiserver:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	c, err := cluster.Start(ctx, cluster.Options{
		Components: []cluster.Component{}, // nothing is to happen to the pods
		Log:        func(line string) { fmt.Fprintln(os.Stderr, "..", line) },
	})
	if err != nil {
		return 0, err
	}
	defer c.Stop() //nolint:errcheck // it is thrown away
	config := rest.CopyConfig(c.Config)
	config.WarningHandler = rest.NoWarnings{}
	if client, err = kubernetes.NewForConfig(config); err != nil {
		return 0, err
	}
	if _, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: genpod.Namespace}}, metav1.CreateOptions{}); err != nil {
		return 0, err
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := client.CoreV1().ServiceAccounts(genpod.Namespace).Create(ctx, account, metav1.CreateOptions{}); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// pods are some that the API server has taken in, with the status that a kubelet
// would have given them. They are older than their namespace's labels.
func pods(t *testing.T) []*corev1.Pod {
	t.Helper()
	var out []*corev1.Pod
	add := func(pod *corev1.Pod) {
		status := pod.Status
		pod.UID, pod.Status = "", corev1.PodStatus{}
		made, err := client.CoreV1().Pods(genpod.Namespace).Create(t.Context(), pod, metav1.CreateOptions{})
		if err != nil {
			t.Fatalf("the drawn pod is not valid: %v", err)
		}
		made.Status = status
		out = append(out, made)
	}
	for seed := range 60 {
		pod := genpod.Pod.Example(seed)
		pod.Name = fmt.Sprintf("drawn-%d", seed)
		add(pod)
	}
	windows := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "windows"}, Spec: corev1.PodSpec{
		OS:         &corev1.PodOS{Name: corev1.Windows},
		Containers: []corev1.Container{{Name: "app", Image: "registry.example/iis:1", SecurityContext: &corev1.SecurityContext{RunAsNonRoot: new(true)}}},
	}}
	add(windows)
	plain := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "plain"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "nginx"}}}}
	add(plain)
	hardened := plain.DeepCopy()
	hardened.Name = "hardened"
	hardened.Spec.Containers[0].SecurityContext = shape.Hardened(plain)
	add(hardened)
	return out
}

// setLevel waits until the API server enforces it.
func setLevel(t *testing.T, level string) {
	t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, enforce, level)
	if _, err := client.CoreV1().Namespaces().Patch(t.Context(), genpod.Namespace, "application/merge-patch+json", []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	try := func(pod *corev1.Pod) error {
		_, err := client.CoreV1().Pods(genpod.Namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	of := func(sc *corev1.SecurityContext) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "try"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "nginx", SecurityContext: sc}}}}
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		plain, privileged := try(of(nil)), try(of(&corev1.SecurityContext{Privileged: new(true)}))
		if (plain != nil) == (level == "restricted") && (privileged != nil) == (level != "privileged") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("level %s is not in force: %v, %v", level, plain, privileged)
		}
	}
}

// TestTheAPIServerAgrees asks for each profile at each level whether the API server
// accepts what is a candidate and refuses what is refused.
func TestTheAPIServerAgrees(t *testing.T) {
	all := pods(t)
	for _, level := range []string{"privileged", "baseline", "restricted"} {
		setLevel(t, level)
		var accepted, refused, copies, refusedCopies int
		ns := shape.Namespace{Known: true, Labels: map[string]string{enforce: level}}
		for i, pod := range all {
			for _, profile := range append(shape.Profiles(), "") {
				o := shape.Options{Name: "debugger-abcde", Target: "app", Image: "debugsidecar/debug:1", TTL: time.Hour, Stdin: true, TTY: true, Profile: profile, Reason: "a test", Command: []string{"echo", "$(X) $$"}}
				isWindows := pod.Name == "windows"
				o.Foreign = isWindows
				if isWindows && !slices.Contains([]shape.Profile{"", shape.Restricted, shape.Baseline}, profile) {
					continue
				}
				plan, err := shape.Of(t.Context(), pod, ns, o)
				if err != nil != pod.Spec.HostPID {
					t.Fatalf("%s: %v", pod.Name, err)
				}
				if err == nil {
					for _, c := range plan.Candidates {
						accepted++
						if err := add(t.Context(), pod, &c.Container); err != nil {
							t.Errorf("%s at %s: a candidate of profile %s is refused: %v", pod.Name, level, c.Profile, err)
						}
					}
					for _, r := range plan.Refused {
						refused++
						if err := add(t.Context(), pod, &r.Container); !isByPodSecurity(err) {
							t.Errorf("%s at %s: %v should be the reason why profile %s is refused, but: %v", pod.Name, level, r.Denials, r.Profile, err)
						}
					}
				}
				if isWindows {
					continue
				}
				made, err := copy.Of(t.Context(), pod, copy.Neighbours{}, ns, copy.Options{Options: o, HoldImage: o.Image, RunInit: i%2 == 0})
				if err != nil {
					t.Fatalf("%s: %v", pod.Name, err)
				}
				for _, c := range made.Candidates {
					copies++
					if err := create(t.Context(), c.Pod); err != nil {
						t.Errorf("%s at %s: a copy of profile %s is refused: %v", pod.Name, level, c.Profile, err)
					}
				}
				for _, r := range made.Refused {
					refusedCopies++
					if err := create(t.Context(), r.Pod); !isByPodSecurity(err) {
						t.Errorf("%s at %s: %v should be the reason why a copy of profile %s is refused, but: %v", pod.Name, level, r.Denials, r.Profile, err)
					}
				}
			}
		}
		t.Logf("%s: %d debug containers accepted, %d refused; %d copies accepted, %d refused", level, accepted, refused, copies, refusedCopies)
		if min(accepted, copies) == 0 || (level == "privileged") != (max(refused, refusedCopies) == 0) {
			t.Error("one of these was never seen")
		}
	}
}

func add(ctx context.Context, pod *corev1.Pod, c *corev1.EphemeralContainer) error {
	with := pod.DeepCopy()
	with.Status = corev1.PodStatus{}
	with.Spec.EphemeralContainers = append(with.Spec.EphemeralContainers, *c)
	after, err := client.CoreV1().Pods(pod.Namespace).UpdateEphemeralContainers(ctx, pod.Name, with, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
	if err == nil && len(after.Spec.EphemeralContainers) == 0 {
		return errors.New("it was dropped")
	}
	return err
}

func create(ctx context.Context, pod *corev1.Pod) error {
	made, err := client.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return err
	}
	for _, c := range slices.Concat(made.Spec.InitContainers, made.Spec.Containers) {
		for _, m := range c.VolumeMounts {
			if strings.HasPrefix(m.Name, "kube-api-access-") && strings.HasPrefix(c.Name, "debugger-") {
				return fmt.Errorf("container %s gets the pod's token", c.Name)
			}
		}
	}
	return nil
}

func isByPodSecurity(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "violates PodSecurity")
}
