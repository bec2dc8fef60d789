package offline

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const plainPod = `apiVersion: v1
kind: Pod
metadata: {name: app, namespace: cameras}
spec: {containers: [{name: app, image: "example.org/app:1"}]}
`

func TestProfileFlag_StandsForTheLabel(t *testing.T) {
	r := fine(t, plainPod, "inject", "-f", "-", "--profile", "debug")
	if !strings.Contains(r.out, "name: debugsidecar-debug") || strings.Contains(r.out, "debugsidecar.io/inject") {
		t.Errorf("the pod has to get the sidecar, and not the label:\n%s", r.out)
	}
	if again := fine(t, r.out, "inject", "-f", "-", "--profile", "debug"); again.out != r.out {
		t.Error(cmp.Diff(r.out, again.out))
	}
	disabled := strings.Replace(plainPod, "name: app,", "labels: {debugsidecar.io/inject: disabled}, name: app,", 1)
	if r := fine(t, disabled, "inject", "-f", "-", "--profile", "debug"); r.out != disabled {
		t.Errorf("a pod that opted out was injected:\n%s", r.out)
	}
}

func TestOldKubernetes_GetsAnOrdinaryContainer(t *testing.T) {
	for version, want := range map[string]string{"1.28": "/spec/containers", "v1.28.15": "/spec/containers", "1.29": "/spec/initContainers", "v1.31.2-gke.7": "/spec/initContainers", "": "/spec/initContainers"} {
		r := fine(t, plainPod, "inject", "-f", "-", "--profile", "debug", "--kubernetes-version", version)
		spec := contents(t, r.out)[0]["spec"].(map[string]any)
		_, native := spec["initContainers"]
		if have := map[bool]string{true: "/spec/initContainers", false: "/spec/containers"}[native]; have != want {
			t.Errorf("%q: the sidecar is in %s, want %s", version, have, want)
		}
		if back := fine(t, r.out, "uninject", "-f", "-"); !cmp.Equal(contents(t, back.out), contents(t, plainPod)) {
			t.Errorf("%q: uninject: %s", version, cmp.Diff(contents(t, plainPod), contents(t, back.out)))
		}
	}
}

func TestGrant_GivesTheKernelTierUnlessPodSecurityForbids(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	writeFile(t, file, "grants: [{namespace: cameras, profiles: [video-probe]}]\nimages: {sidecar: example.org/probe:7}\n")
	for level, want := range map[string]string{"": "kernel", "privileged": "kernel", "baseline": "user", "restricted": "user"} {
		args := []string{"explain", "-f", "-", "-o", "json", "--profile", "video-probe", "--config", file, "--pod-security", level}
		if r := fine(t, plainPod, args...); !strings.Contains(r.out, `"tier":"`+want+`"`) {
			t.Errorf("%q: want tier %s: %s", level, want, r.out)
		}
	}
	if r := fine(t, plainPod, "inject", "-f", "-", "--profile", "video-probe", "--config", file); !strings.Contains(r.out, "image: example.org/probe:7") {
		t.Errorf("the configured image is missing:\n%s", r.out)
	}
}

func TestReceivers_ComeFromTheConfigurationAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	writeFile(t, file, "alerts: {webhooks: ['https://hooks.example/a', 'https://hooks.example:8443/b']}\n")
	want := "name: DEBUGSIDECAR_ALERT_WEBHOOKS\n      value: https://hooks.example/a,https://hooks.example:8443/b\n"
	if r := fine(t, plainPod, "inject", "-f", "-", "--profile", "video-probe", "--config", file); !strings.Contains(r.out, want) {
		t.Errorf("the receivers are missing:\n%s", r.out)
	}
	if r := fine(t, plainPod, "inject", "-f", "-", "--profile", "video-probe"); strings.Contains(r.out, "DEBUGSIDECAR_ALERT") {
		t.Errorf("there are receivers:\n%s", r.out)
	}
}

func TestPodSecurityFlag_WinsOverTheNamespacesLabel(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	writeFile(t, file, "grants: [{namespace: cameras, profiles: [video-probe]}]\n")
	input := "apiVersion: v1\nkind: Namespace\nmetadata: {name: cameras, labels: {pod-security.kubernetes.io/enforce: restricted}}\n---\n" + plainPod
	for level, want := range map[string]string{"": "user", "privileged": "kernel"} {
		args := []string{"explain", "-f", "-", "-o", "json", "--profile", "video-probe", "--config", file, "--pod-security", level}
		if r := fine(t, input, args...); !strings.Contains(r.out, `"tier":"`+want+`"`) {
			t.Errorf("%q: want tier %s: %s", level, want, r.out)
		}
	}
}

// A LimitRange gives a pod resources before the webhook sees it.
func TestLimitRangeDefaults_CountForTheQoSClass(t *testing.T) {
	limits := "apiVersion: v1\nkind: LimitRange\nmetadata: {name: l, namespace: cameras}\nspec: {limits: [{type: Container, %s}]}\n---\n"
	for item, want := range map[string]string{
		"default: {cpu: 1, memory: 1Gi}":                                  "Guaranteed",
		"max: {cpu: 1, memory: 1Gi}":                                      "Guaranteed",
		"default: {memory: 1Gi}":                                          "Burstable",
		"default: {cpu: 1, memory: 1Gi}, defaultRequest: {memory: 512Mi}": "Burstable",
		"maxLimitRequestRatio: {cpu: 4}":                                  "",
	} {
		r := fine(t, strings.Replace(limits, "%s", item, 1)+plainPod, "explain", "-f", "-", "-o", "json", "--profile", "debug")
		if want != "" && !strings.Contains(r.out, "the pod stays "+want) {
			t.Errorf("%s: want %s: %s", item, want, r.out)
		}
	}
}

// What comes back from a cluster differs from what was sent in known ways.
func TestAPodFromACluster_IsNotInjectedTwice(t *testing.T) {
	once := fine(t, plainPod, "inject", "-f", "-", "--profile", "debug", "-o", "json").out
	root := contents(t, once)[0]
	sidecar := root["spec"].(map[string]any)["initContainers"].([]any)[0].(map[string]any)
	sidecar["image"] = sidecar["image"].(string) + "@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	sidecar["imagePullPolicy"] = "Always"
	sidecar["volumeMounts"] = append(sidecar["volumeMounts"].([]any), map[string]any{
		"name": "kube-api-access-x1y2z", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true,
	})
	restored := jsonOf(t, root)
	again := fine(t, restored, "inject", "-f", "-", "--profile", "debug", "-o", "json").out
	if diff := cmp.Diff(contents(t, restored), contents(t, again)); diff != "" {
		t.Error(diff)
	}
}

func TestAReservedName_IsRefusedAndNothingIsPrinted(t *testing.T) {
	bad := strings.Replace(plainPod, "name: app, image", "name: debugsidecar-mine, image", 1)
	for _, command := range []string{"inject", "uninject"} {
		r := run(plainPod+"---\n"+bad+"---\n- list\n", command, "-f", "-")
		if r.code != exitFailed || r.out != "" {
			t.Errorf("%s: status %d, output %q", command, r.code, r.out)
		}
		for _, want := range []string{"document 2: Pod cameras/app: container debugsidecar-mine: the name prefix", "document 3: is a list"} {
			if !strings.Contains(r.err, want) {
				t.Errorf("%s: does not say %q:\n%s", command, want, r.err)
			}
		}
	}
	if r := run(bad, "explain", "-f", "-"); r.code != exitFailed || !strings.Contains(r.out, "the pod is refused") {
		t.Errorf("explain: status %d\n%s%s", r.code, r.out, r.err)
	}
}

func TestATemplateWithoutMetadata_GetsThem(t *testing.T) {
	input := `apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: cameras}
spec: {template: {spec: {containers: [{name: app, image: "example.org/app:1"}]}}}
`
	r := fine(t, input, "inject", "-f", "-", "--profile", "debug")
	if !strings.Contains(r.out, "debugsidecar.io/status") {
		t.Errorf("there is no status:\n%s", r.out)
	}
	if diff := cmp.Diff(contents(t, input), contents(t, fine(t, r.out, "uninject", "-f", "-").out)); diff != "" {
		t.Error(diff)
	}
}

func TestNamespace_IsTheObjectsThenTheFlagsThenTheKubeconfigs(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "config")
	writeFile(t, kubeconfig, `apiVersion: v1
kind: Config
current-context: a
contexts:
- {name: a, context: {cluster: c, namespace: of-context-a}}
- {name: b, context: {cluster: c, namespace: of-context-b}}
clusters: [{name: c, cluster: {server: "https://localhost:1"}}]
`)
	bare := strings.Replace(plainPod, ", namespace: cameras", "", 1)
	for _, c := range []struct {
		input, want string
		flags       []string
	}{
		{plainPod, "cameras", []string{"-n", "other"}},
		{bare, "other", []string{"-n", "other", "--kubeconfig", kubeconfig}},
		{bare, "of-context-a", []string{"--kubeconfig", kubeconfig}},
		{bare, "of-context-b", []string{"--kubeconfig", kubeconfig, "--context", "b"}},
		{bare, "default", nil},
	} {
		r := fine(t, c.input, append([]string{"explain", "-f", "-"}, c.flags...)...)
		if !strings.Contains(r.out, "Pod "+c.want+"/app:") {
			t.Errorf("%v: want namespace %s:\n%s", c.flags, c.want, r.out)
		}
	}
	r := run(bare, "explain", "-f", "-", "--kubeconfig", kubeconfig, "--context", "none")
	if r.code != exitFailed || !strings.Contains(r.err, "context was not found for specified context: none") {
		t.Errorf("an unknown context: status %d\n%s", r.code, r.err)
	}
}

func TestOwnProfiles_AreRead(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "tiny.yaml"), `apiVersion: debugsidecar.io/v1alpha1
kind: Profile
metadata: {name: tiny}
spec:
  tiers: [user]
  template: |
    containers:
    - name: debugsidecar-tiny
      image: example.org/tiny:1
      securityContext:
        allowPrivilegeEscalation: false
        runAsNonRoot: true
        runAsUser: 1000
        capabilities: {drop: [ALL]}
        seccompProfile: {type: RuntimeDefault}
`)
	r := fine(t, plainPod, "inject", "-f", "-", "--profile", "tiny", "--profiles", dir)
	if !strings.Contains(r.out, "image: example.org/tiny:1") {
		t.Errorf("the sidecar is missing:\n%s", r.out)
	}
	if without := run(r.out, "uninject", "-f", "-"); without.code != exitFailed || !strings.Contains(without.err, "--profiles") {
		t.Errorf("uninject without the profile: status %d\n%s", without.code, without.err)
	}
	writeFile(t, filepath.Join(dir, "broken.yaml"), "kind: Profile\n")
	if r := run(plainPod+"---\n- list\n", "inject", "-f", "-", "--profiles", dir); r.code != exitFailed || !strings.Contains(r.err, "broken.yaml") || !strings.Contains(r.err, "document 2") {
		t.Errorf("a broken profile: status %d\n%s", r.code, r.err)
	}
}

func TestSecrets_AreNotPrinted(t *testing.T) {
	seen := 0
	for name, input := range inputs(t) {
		if !strings.Contains(input, "not-to-be-printed") {
			continue
		}
		seen++
		for _, args := range [][]string{{"inject"}, {"explain"}, {"explain", "-o", "json"}, {"check", "--level", "restricted"}, {"check", "--level", "restricted", "-o", "json"}} {
			r := run(input, append(args, "-f", "-")...)
			said := r.err
			if args[0] != "inject" {
				said += r.out
			}
			if strings.Contains(said, "not-to-be-printed") {
				t.Errorf("%s: %v prints a secret:\n%s", name, args, said)
			}
		}
	}
	if seen < 2 {
		t.Errorf("only %d inputs hold a secret", seen)
	}
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
