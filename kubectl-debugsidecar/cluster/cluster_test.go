package cluster

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
	"github.com/debugsidecar/debugsidecar/webhook/reach"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func ca(t *testing.T, end time.Time) []byte {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func forbidden(resource string) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("no"))
}

func gone(resource string) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: resource}, "debugsidecar")
}

func namespace(name string, labels ...string) corev1.Namespace {
	ns := corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	for i := 0; i < len(labels); i += 2 {
		ns.Labels[labels[i]] = labels[i+1]
	}
	return ns
}

// sound is an installation in which all is well.
func sound(t *testing.T) *facts {
	t.Helper()
	settings, err := config.Load(config.Paths{})
	if err != nil {
		t.Fatal(err)
	}
	bundle := ca(t, now.Add(90*24*time.Hour))
	replicas := int32(2)
	return &facts{
		where: where{"system", "debugsidecar"}, now: now,
		mutating: &admissionv1.MutatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: "debugsidecar", Labels: map[string]string{"app.kubernetes.io/version": version}},
			Webhooks: []admissionv1.MutatingWebhook{{Name: ourEntry, ClientConfig: admissionv1.WebhookClientConfig{
				CABundle: bundle, Service: &admissionv1.ServiceReference{Namespace: "system"},
			}}},
		},
		validating: &admissionv1.ValidatingWebhookConfiguration{
			Webhooks: []admissionv1.ValidatingWebhook{{Name: reach.Entry, ClientConfig: admissionv1.WebhookClientConfig{CABundle: bundle}}},
		},
		deployment: &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "debugsidecar"},
			Spec:       appsv1.DeploymentSpec{Replicas: &replicas},
			Status: appsv1.DeploymentStatus{AvailableReplicas: 2, Conditions: []appsv1.DeploymentCondition{
				{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue},
			}},
		},
		settings:   settings,
		namespaces: []corev1.Namespace{namespace("system"), namespace("cameras", injectLabel, "video-probe")},
		probe:      reach.Result{Outcome: reach.Reached, Reason: "the API server reaches the webhook"},
	}
}

func TestASoundInstallationIsOkThroughout(t *testing.T) {
	for _, f := range examine(sound(t)) {
		if f.Result != ok || f.Fix != "" {
			t.Errorf("%+v", f)
		}
	}
}

func TestEachFaultIsFoundAndHasAWayOut(t *testing.T) {
	granted := func(f *facts, namespaces ...corev1.Namespace) {
		f.settings.File.Grants = []inject.Grant{{Namespace: "cameras", Profiles: []string{"video-probe"}}}
		f.namespaces = namespaces
	}
	tests := []struct {
		name                 string
		breakIt              func(*facts)
		check, result, words string
	}{
		{"not installed", func(f *facts) { f.mutating, f.mutatingErr = nil, errNotInstalled }, "installed", fail, "not installed"},
		{"no Deployment", func(f *facts) { f.deployment, f.deploymentErr = nil, gone("deployments") }, "deployment", fail, "there is no Deployment"},
		{"Deployment unavailable", func(f *facts) { f.deployment.Status = appsv1.DeploymentStatus{} }, "deployment", fail, "0 of 2"},
		{"a replica lacks", func(f *facts) { f.deployment.Status.AvailableReplicas = 1 }, "deployment", warn, "1 of 2"},
		{"may not see the Deployment", func(f *facts) { f.deployment, f.deploymentErr = nil, forbidden("deployments") }, "deployment", unknown, "you may not get Deployment"},
		{"no validating configuration", func(f *facts) { f.validating, f.validatingErr = nil, gone("x") }, "configurations", fail, "no ValidatingWebhookConfiguration"},
		{"no caBundle", func(f *facts) { f.validating.Webhooks[0].ClientConfig.CABundle = nil }, "configurations", fail, reach.Entry},
		{"CA ended", func(f *facts) { f.mutating.Webhooks[0].ClientConfig.CABundle = ca(t, now.Add(-time.Minute)) }, "certificate", fail, "ended at"},
		{"CA ends soon", func(f *facts) { f.mutating.Webhooks[0].ClientConfig.CABundle = ca(t, now.Add(time.Hour)) }, "certificate", warn, "in 1h0m"},
		{"unreachable", func(f *facts) { f.probe = reach.Result{Outcome: reach.Unreachable, Reason: "firewall", Fix: "open"} }, "self-probe", fail, "firewall"},
		{"no entry", func(f *facts) { f.probe = reach.Result{Outcome: reach.NotAsked, Reason: "no entry", Fix: "upgrade"} }, "self-probe", warn, "no entry"},
		{"may not probe", func(f *facts) { f.probe = reach.Result{Outcome: reach.Unknown, Reason: "not known"} }, "self-probe", unknown, "not known"},
		{"another version", func(f *facts) { f.mutating.Labels["app.kubernetes.io/version"] = "9.9.9" }, "version", warn, "9.9.9"},
		{"broken config.yaml", func(f *facts) { f.settings, f.settingsErr = nil, errors.New("config.yaml:3: what") }, "configuration", fail, "config.yaml:3"},
		{"may not see it", func(f *facts) { f.settings, f.settingsErr = nil, forbidden("configmaps") }, "configuration", unknown, "you may not"},
		{"no such profile", func(f *facts) { f.namespaces = append(f.namespaces, namespace("typo", injectLabel, "vido")) }, "labels", fail, `"vido"`},
		{"may not list namespaces", func(f *facts) { f.namespaces, f.namespacesErr = nil, forbidden("namespaces") }, "labels", unknown, "you may not list namespaces"},
		{"a grant", func(f *facts) { granted(f, namespace("cameras")) }, "grants", ok, "power over the nodes"},
		{"a grant for nobody", func(f *facts) { granted(f) }, "tier", warn, "no namespace cameras"},
		{"a grant without effect", func(f *facts) { granted(f, namespace("cameras", podSecurityLabel, "restricted")) }, "tier", warn, "no effect"},
		{"a grant under our policy", func(f *facts) {
			granted(f, namespace("cameras", "policy.debugsidecar.io/enforce", "restricted"))
		}, "tier", warn, "no effect"},
		{"pods wait for nobody", func(f *facts) {
			f.namespaces = append(f.namespaces, namespace("strict", "policy.debugsidecar.io/enforce", "baseline"))
			f.probe = reach.Result{Outcome: reach.Unreachable, Reason: "firewall", Fix: "open"}
		}, "enforced", fail, "strict"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := sound(t)
			test.breakIt(f)
			findings := examine(f)
			i := slices.IndexFunc(findings, func(f finding) bool {
				return f.Check == test.check && f.Result == test.result && strings.Contains(f.Detail, test.words)
			})
			if i < 0 {
				t.Fatalf("not found in %+v", findings)
			}
			if r := findings[i].Result; (r == warn || r == fail) && findings[i].Fix == "" {
				t.Errorf("no way out: %+v", findings[i])
			}
		})
	}
}

func TestHealthIsTheSidecarsWordOrWhatItsContainerSays(t *testing.T) {
	pod := func(s *corev1.ContainerStatus) *corev1.Pod {
		p := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodPending}}
		if s != nil {
			s.Name = "debugsidecar-debug"
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{*s}
		}
		return p
	}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	killed := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137}}
	tests := []struct {
		name      string
		status    *corev1.ContainerStatus
		word, why string
	}{
		{"no kubelet yet", nil, "unknown", "Pending"},
		{"no image", &corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}, "waiting", "ImagePullBackOff"},
		{"killed", &corev1.ContainerStatus{State: killed}, "terminated", "OOMKilled, exit status 137"},
		{"not ready", &corev1.ContainerStatus{State: running, LastTerminationState: killed}, "not-ready", "ended before: OOMKilled"},
		{"running", &corev1.ContainerStatus{State: running, Ready: true}, "unknown", "not asked"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := pod(test.status)
			if word, why := containerOf(p, "debug").health(p); word != test.word || !strings.Contains(why, test.why) {
				t.Errorf("got %q, %q", word, why)
			}
		})
	}
}

func TestTheHealthInMetrics(t *testing.T) {
	word, why := healthIn(strings.NewReader("# HELP debugsidecar_health x\ndebugsidecar_health{health=\"poor\",cause=\"network\"} 1\n"))
	if word != "poor" || why != "cause network" {
		t.Errorf("got %q, %q", word, why)
	}
	if word, _ = healthIn(strings.NewReader("other 1\n")); word != "" {
		t.Errorf("got %q from metrics that don't say", word)
	}
}

func TestWhatAPodsOwnerWroteStaysInItsLine(t *testing.T) {
	if got := clean("a\nb\x1b[31m"); strings.ContainsAny(got, "\n\x1b") {
		t.Errorf("got %q", got)
	}
}

func TestDocumentation_NamesEveryFlagAndNoOther(t *testing.T) {
	text := ""
	for _, name := range []string{"status.md", "audit.md"} {
		data, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		text += string(data)
	}
	var known []string
	for _, c := range Commands(genericiooptions.IOStreams{}) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			known = append(known, f.Name)
			if !strings.Contains(text, "--"+f.Name) && (f.Shorthand == "" || !strings.Contains(text, "`-"+f.Shorthand)) {
				t.Errorf("the flag --%s of %s is neither in docs/status.md nor in docs/audit.md", f.Name, c.Name())
			}
		})
	}
	known = append(known, "self-probe-interval", "missed-pods-interval", "leader-elect", "leader-election-lease", "audit-interval", "audit-reports", "audit-reports-owner") // the webhook's
	for _, m := range regexp.MustCompile(`--([a-z][a-z-]+)`).FindAllStringSubmatch(text, -1) {
		if !slices.Contains(known, m[1]) {
			t.Errorf("docs/status.md or docs/audit.md names the flag --%s, which there is not", m[1])
		}
	}
}
