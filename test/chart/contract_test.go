package chart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	admission "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authentication "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/debugsidecar/debugsidecar/sidecar/probe"
	"github.com/debugsidecar/debugsidecar/sidecar/push"
	"github.com/debugsidecar/debugsidecar/test/cluster"
	"github.com/debugsidecar/debugsidecar/test/freeport"
	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
	"github.com/debugsidecar/debugsidecar/webhook/server"
)

func TestWebhookKnowsEveryFlagOfTheDeployment(t *testing.T) {
	for name, values := range variants(t) {
		for _, d := range all[*appsv1.Deployment](render(t, values)) {
			args := asTheKubeletGivesThem(d.Spec.Template.Spec.Containers[0])
			command := server.Command(slog.New(slog.DiscardHandler))
			if err := command.ParseFlags(args); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if rest := command.Flags().Args(); len(rest) > 0 {
				t.Errorf("%s: %q are no flags", name, rest)
			}
			for _, arg := range args {
				flag, value, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
				if f := command.Flags().Lookup(flag); f == nil || value == "" {
					t.Errorf("%s: %s", name, arg)
				}
			}
		}
	}
}

// asTheKubeletGivesThem puts the values of resources into a container's arguments.
func asTheKubeletGivesThem(c corev1.Container) []string {
	args := slices.Clone(c.Args)
	for _, e := range c.Env {
		if e.ValueFrom == nil || e.ValueFrom.ResourceFieldRef == nil || e.ValueFrom.ResourceFieldRef.Resource != "limits.memory" {
			continue
		}
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "$("+e.Name+")", strconv.FormatInt(c.Resources.Limits.Memory().Value(), 10))
		}
	}
	return args
}

// mount writes the ConfigMaps to files, as the kubelet would.
func mount(t *testing.T, objects []client.Object) config.Paths {
	t.Helper()
	dir := t.TempDir()
	for _, m := range all[*corev1.ConfigMap](objects) {
		for file, content := range m.Data {
			path := filepath.Join(dir, m.Name[strings.LastIndex(m.Name, "-")+1:], file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return config.Paths{
		Config:           filepath.Join(dir, "config", "config.yaml"),
		PolicyParameters: filepath.Join(dir, "config", "policy.yaml"),
		Profiles:         filepath.Join(dir, "profiles"),
		Rules:            filepath.Join(dir, "rules"),
	}
}

func TestWebhookReadsTheConfigurationOfEveryVariant(t *testing.T) {
	for name, values := range variants(t) {
		snapshot, err := config.Load(mount(t, render(t, values)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if name == "everything" {
			f := snapshot.File
			if f.Policy.Default != "baseline" || f.PodSecurityDefault != "restricted" || f.Images.Debug != "registry.example/mirror/debug:0.1.0" ||
				len(f.Alerts.Alertmanagers) != 2 || f.Alerts.Webhooks[0] != "https://hooks.example:8443/video" || len(f.Grants) != 2 || f.Grants[0].Namespace != "camera-ingest" || len(f.HostKernelRuntimeClasses) != 1 {
				t.Errorf("read %+v", f)
			}
			if _, ok := snapshot.Profiles.Get("thermal"); !ok {
				t.Error("the extra profile is missing")
			}
			if rules := snapshot.Rules.Rules(); len(rules) != 1 || rules[0].ID != "custom-no-nfs" {
				t.Errorf("read the rules %+v", rules)
			}
		}
	}
}

// What the chart's values say has to be what the sidecar takes, or it would not
// start, in any pod.
func TestSidecarTakesTheReceiversOfTheChart(t *testing.T) {
	snapshot, err := config.Load(mount(t, render(t, variants(t)["everything"])))
	if err != nil {
		t.Fatal(err)
	}
	want := snapshot.File.Alerts
	for _, name := range []string{"video-probe", "full"} {
		t.Run(name, func(t *testing.T) {
			p, _ := snapshot.Profiles.Get(name)
			params, err := p.Params("")
			if err != nil {
				t.Fatal(err)
			}
			s, err := p.Render(profile.Input{Variant: profile.Variant{Tier: profile.User, Placement: profile.Native}, Params: params, Port: 9400})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range s.Container.Env {
				t.Setenv(e.Name, e.Value)
			}
			var got probe.Options
			got.BindFlags(pflag.NewFlagSet(name, pflag.ContinueOnError))
			if !slices.Equal(got.Alertmanagers, want.Alertmanagers) || !slices.Equal(got.Webhooks, want.Webhooks) || len(got.Webhooks) == 0 {
				t.Errorf("the sidecar reads %q and %q, want %+v", got.Alertmanagers, got.Webhooks, want)
			}
			var receivers []push.Receiver
			for _, url := range append(got.Alertmanagers, got.Webhooks...) {
				receivers = append(receivers, push.Receiver{URL: url})
			}
			if _, err := push.New(push.Options{Receivers: receivers}); err != nil {
				t.Error(err)
			}
		})
	}
}

// The real webhook, with the rights of the chart's ServiceAccount and nothing else.
func TestWebhookWorksWithWhatTheChartGivesIt(t *testing.T) {
	c := realCluster(t)
	listen, health, metrics := freeAddress(t), freeAddress(t), freeAddress(t)
	_, port, _ := net.SplitHostPort(listen)
	install(t, c, "whole", "external: {url: https://localhost:"+port+"}")
	admin := user(t, c, "")
	paths := mount(t, decode(t, helm(t, c, "", "get", "manifest", "whole", "--namespace", "whole")))

	ended := startWebhook(t,
		"--listen="+listen, "--health-listen="+health, "--metrics-listen="+metrics,
		"--namespace=whole", "--ca-secret=whole-debugsidecar-ca", "--webhook-configuration=whole-debugsidecar", "--dns-names=localhost",
		"--config="+paths.Config, "--policy-parameters="+paths.PolicyParameters, "--profiles="+paths.Profiles, "--policy-rules="+paths.Rules,
		"--kubeconfig="+kubeconfigOf(t, c, "whole", "whole-debugsidecar"), "--shutdown-delay=0s",
	)
	eventually(t, "the webhook is ready", func() error {
		select {
		case <-ended:
			t.Fatal("it ended")
		default:
		}
		response, err := http.Get("http://" + health + "/readyz")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	})
	eventually(t, "every entry has a caBundle", func() error {
		for _, e := range entries(t, c, "whole") {
			if len(e.clientConfig.CABundle) == 0 {
				return fmt.Errorf("%s has none", e.name)
			}
		}
		return nil
	})
	makeNamespace(t, c, "whole-video", map[string]string{policyLabel + "enforce": "baseline"})
	eventually(t, "a labelled pod gets its sidecar", func() error {
		pod := newPod("whole-video", "camera", map[string]string{injectLabel: "debug"})
		if err := admin.Create(t.Context(), pod, client.DryRunAll); err != nil {
			return err
		}
		for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
			if container.Name == "debugsidecar-debug" {
				return nil
			}
		}
		return errors.New("no sidecar")
	})
	bad := newPod("whole-video", "bad", nil)
	yes := true
	bad.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: &yes}
	if err := admin.Create(t.Context(), bad, client.DryRunAll); !isDenied(err) || !strings.Contains(err.Error(), "enforce.pods.debugsidecar.io") {
		t.Errorf("a privileged pod: %v", err)
	}

	// What the rights are for after the start: healing.
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "whole", Name: "whole-debugsidecar-ca"}}
	if err := admin.Delete(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the deleted CA Secret is made anew", func() error {
		err := admin.Get(t.Context(), client.ObjectKeyFromObject(secret), secret)
		if err == nil && len(secret.Data["tls.key"]) == 0 {
			return errors.New("it is empty")
		}
		return err
	})
	wiped := &admission.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "whole-debugsidecar"}}
	if err := admin.Get(t.Context(), client.ObjectKeyFromObject(wiped), wiped); err != nil {
		t.Fatal(err)
	}
	for i := range wiped.Webhooks {
		wiped.Webhooks[i].ClientConfig.CABundle = nil
	}
	if err := admin.Update(t.Context(), wiped); err != nil && !strings.Contains(err.Error(), "the object has been modified") {
		t.Fatal(err)
	}
	eventually(t, "a wiped caBundle is written again", func() error {
		if err := admin.Get(t.Context(), client.ObjectKeyFromObject(wiped), wiped); err != nil {
			return err
		}
		for _, e := range validating(wiped) {
			if len(e.clientConfig.CABundle) == 0 {
				return fmt.Errorf("%s has none", e.name)
			}
		}
		return nil
	})
	// Helm can still upgrade what the webhook wrote into.
	helm(t, c, "external: {url: https://localhost:"+port+"}\npolicy: {default: baseline}",
		"upgrade", "whole", chartDir, "--namespace", "whole", "--values", "-")

	// The webhook still runs and would make the Secret anew, if it still might.
	helm(t, c, "", "uninstall", "whole", "--namespace", "whole")
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err := gone(t, c, secret); err != nil {
			t.Fatal(err)
		}
	}
}

// beWebhook makes the test's binary a webhook, for it has all the code.
const beWebhook = "DEBUGSIDECAR_TEST_WEBHOOK"

// runWebhook is that webhook. It ends with its standard input, so also when the
// test is killed.
func runWebhook() error {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	command := server.Command(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	command.SetArgs(os.Args[1:])
	return command.ExecuteContext(ctx)
}

// startWebhook starts it, and ends it with the test. The channel is closed when
// it has ended.
func startWebhook(t *testing.T, args ...string) <-chan struct{} {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), beWebhook+"=yes")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err = cmd.Wait()
	}()
	t.Cleanup(func() {
		stdin.Close()
		<-ended
		if err != nil || t.Failed() {
			t.Errorf("the webhook ended with %v and said:\n%s", err, output.String())
		}
	})
	return ended
}

// freeAddress returns an address on loopback that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	free, err := freeport.Find(1)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", free[0])
}

// kubeconfigOf writes the kubeconfig of a service account and returns its path.
func kubeconfigOf(t *testing.T, c *cluster.Cluster, namespace, name string) string {
	t.Helper()
	seconds := int64(time.Hour / time.Second)
	token := &authentication.TokenRequest{Spec: authentication.TokenRequestSpec{ExpirationSeconds: &seconds}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := user(t, c, "").SubResource("token").Create(t.Context(), account, token); err != nil {
		t.Fatal(err)
	}
	k := clientcmdapi.NewConfig()
	k.Clusters["test"] = &clientcmdapi.Cluster{Server: c.Config.Host, CertificateAuthorityData: c.Config.CAData}
	k.AuthInfos["test"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	k.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	k.CurrentContext = "test"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*k, path); err != nil {
		t.Fatal(err)
	}
	return path
}
