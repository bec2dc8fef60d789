package debug_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/debugsidecar/debugsidecar/test/debug"
	"github.com/debugsidecar/debugsidecar/test/node"
)

// TestDebug is one test, for a node takes half a minute to start. Its parts have
// namespaces of their own.
func TestDebug(t *testing.T) {
	l := start(t)
	for _, part := range []struct {
		claim string
		test  func(*testing.T, lab)
	}{
		{"a person gets a shell, with its size and keys, and its end", shell},
		{"a connection that is lost can be come back to", dropped},
		{"the same request attaches", repeated},
		{"an image that does not exist is told", noImage},
		{"a policy that denies is told before anything is added", policy},
		{"a pod that ends meanwhile is told", podEnds},
		{"one of a Deployment's pods is chosen", deployment},
		{"a CronJob leads to its newest job's pod", cronJob},
		{"a pod that crashes is copied", crashing},
		{"a dry run shows what would be added", dryRun},
		{"output and status of a command are whole", command},
		{"another image says what it can't do", foreign},
		{"the chart's role is enough", role},
	} {
		begin := time.Now()
		t.Run(strings.ReplaceAll(part.claim, " ", "-"), func(t *testing.T) { part.test(t, l) })
		t.Logf("%s: %.1f s", part.claim, time.Since(begin).Seconds())
	}
}

// ready is the prompt in the debug container, which is root's in a pod.
const ready = "root@web:/#"

func shell(t *testing.T, l lab) {
	l.namespace(t, "shell", nil, debug.App("web", "work", "--for=1h"), "web")
	x := l.terminal(t, l.Kubeconfig)
	begin := time.Now()
	x.line("kubectl-debugsidecar debug web -n shell --reason 'a test'; echo status=$?")
	x.shows("beside app: profile general", ready)
	t.Logf("from Enter to prompt, seen by tmux every 50 ms: %.2f s", time.Since(begin).Seconds())
	x.shows("in pod shell/web") // the greeting is not lost
	x.line("stty size")
	x.shows("40 120")
	if err := x.Resize(t.Context(), 100, 30); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	x.line("stty size")
	x.shows("30 100")
	// Ctrl-C is the remote command's.
	x.line("sleep 1000; echo after=$?")
	time.Sleep(time.Second)
	x.key("C-c")
	x.line("echo still-$((40+2))")
	x.shows("still-42")
	x.line("tr '\\0' '\\n' < /proc/1/cmdline | tail -1; echo $TARGET_ROOT")
	x.shows("--for=1h", "/proc/1/root")
	x.line("exit 7")
	x.shows("the shell ended with status 7", "status=7")
	// The terminal is as it was.
	x.line("stty -a | tr ' ;' '\\n\\n' | grep -x -e echo -e icanon | tr '\\n' +")
	x.shows("icanon+echo+")
	c := l.pod(t, "shell", "web").Spec.EphemeralContainers[0]
	if c.TargetContainerName != "app" || !c.TTY || !c.Stdin {
		t.Errorf("the container is %+v", c)
	}
	t.Log(x.screen())
}

// throughProxy is a kubeconfig that goes through a proxy.
func (l lab) throughProxy(t *testing.T) (*debug.Proxy, string) {
	t.Helper()
	config, err := clientcmd.LoadFromFile(l.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	cluster := config.Clusters[config.Contexts[config.CurrentContext].Cluster]
	server, err := url.Parse(cluster.Server)
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := debug.NewProxy(server.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	cluster.TLSServerName = server.Hostname()
	cluster.Server = "https://" + proxy.Address()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return proxy, file
}

func dropped(t *testing.T, l lab) {
	l.namespace(t, "dropped", nil, debug.App("web", "work", "--for=1h"), "web")
	proxy, kubeconfig := l.throughProxy(t)
	x := l.terminal(t, kubeconfig)
	x.line("kubectl-debugsidecar debug web -n dropped; echo status=$?")
	x.shows(ready)
	x.line("MARK=kept-$((1+1)); echo set-$MARK")
	x.shows("set-kept-2") // it arrived
	proxy.Cut(false)
	x.shows("the connection was lost", "still runs; come back by: kubectl debugsidecar debug web -n dropped -c debugger-", "status=1")
	x.line("stty -a | tr ' ;' '\\n\\n' | grep -x -e echo -e icanon | tr '\\n' +")
	x.shows("icanon+echo+")
	t.Log(x.screen())
	// The way that it named.
	back := regexp.MustCompile(`come back by: kubectl debugsidecar (debug .* --attach)`).FindStringSubmatch(x.screen())
	if back == nil {
		t.Fatal("it names no way back")
	}
	if err := x.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.line("kubectl-debugsidecar " + back[1] + "; echo status=$?")
	x.shows("back in debugger-", ready)
	x.line("echo $MARK")
	x.shows("kept-2")
	if n := l.added(t, "dropped", "web"); n != 1 {
		t.Errorf("there are %d debug containers", n)
	}
	// And with the API server out of reach.
	proxy.Cut(true)
	x.shows("the API server is not reached", "may still run", "status=1")
	t.Log(x.screen())
}

func repeated(t *testing.T, l lab) {
	l.namespace(t, "repeated", nil, debug.App("web", "work", "--for=1h"), "web")
	a := l.debug(t, "", "web", "-n", "repeated", "--detach", "-o", "json")
	says(t, a.out, `"added": true`, `"profile": "general"`)
	if a = l.debug(t, "", "web", "-n", "repeated", "--detach", "-o", "json"); a.status != 0 {
		t.Error("the second time it failed")
	}
	says(t, a.out, `"added": false`)
	says(t, a.err, "back in debugger-")
	if n := l.added(t, "repeated", "web"); n != 1 {
		t.Errorf("after the same request there are %d debug containers", n)
	}
	for _, other := range [][]string{{"--new"}, {"--profile=baseline"}} {
		before := l.added(t, "repeated", "web")
		says(t, l.debug(t, "", append([]string{"web", "-n", "repeated", "--detach", "-o", "json"}, other...)...).out, `"added": true`)
		if n := l.added(t, "repeated", "web"); n != before+1 {
			t.Errorf("after %v there are %d debug containers, not %d", other, n, before+1)
		}
	}
	if a = l.debug(t, "", "web", "-n", "repeated", "--attach"); a.status == 0 {
		t.Error("of several it took one without being told which")
	}
	says(t, a.err, "pod web has 3 debug containers; choose one with -c:")
	l.namespace(t, "nobody", nil, debug.App("web", "work", "--for=1h"), "web")
	says(t, l.debug(t, "", "web", "-n", "nobody", "--attach").err, "there is no debug container that runs for pod web")
}

func noImage(t *testing.T, l lab) {
	l.namespace(t, "noimage", nil, debug.App("web", "work", "--for=1h"), "web")
	a := l.debug(t, "", "web", "-n", "noimage", "--image=debugsidecar/debug:absent", "--", "id")
	if a.status != 1 {
		t.Errorf("the status is %d", a.status)
	}
	says(t, a.err, "error: image debugsidecar/debug:absent can't be pulled:", "check its name and tag", "imagePullSecrets")
	a = l.debug(t, "", "web", "-n", "noimage", "--image=debugsidecar/debug:never", "--image-pull-policy=Never", "--", "id")
	says(t, a.err, "error: image debugsidecar/debug:never is not on the node, and must not be pulled")
	a = l.debug(t, "", "web", "-n", "noimage", "--", "/no/such/program")
	if a.status == 0 {
		t.Error("a program that there is not ended well")
	}
	says(t, a.out, "/no/such/program")
	a = l.debug(t, "", "web", "-n", "noimage", "--image="+node.AppImage, "--no-ttl", "--", "/no/such/program")
	says(t, a.err, "the image has no such program")
}

func policy(t *testing.T, l lab) {
	restricted := strings.Replace(debug.App("web", "work", "--for=1h"), "args:", `securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, runAsUser: 1000, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}, args:`, 1)
	l.namespace(t, "strict", []string{"pod-security.kubernetes.io/enforce=restricted"}, restricted, "web")
	a := l.debug(t, "", "web", "-n", "strict", "--profile=general", "--", "id")
	if a.status != 1 {
		t.Errorf("the status is %d", a.status)
	}
	says(t, a.err, "nothing was added to pod web: profile general is denied", "Pod Security restricted", "profile restricted would pass: --profile=restricted", "without: ")
	if n := l.added(t, "strict", "web"); n != 0 {
		t.Errorf("a denied request added %d", n)
	}
	a = l.debug(t, "", "web", "-n", "strict", "--", "id", "-u")
	says(t, a.err, "profile restricted")
	if a.status != 0 || strings.TrimSpace(a.out) != "1000" {
		t.Errorf("in a restricted namespace it ran as %q, status %d", a.out, a.status)
	}
	if !l.chart {
		return
	}
	l.namespace(t, "ours", []string{"policy.debugsidecar.io/enforce=baseline"}, debug.App("web", "work", "--for=1h"), "web")
	a = l.debug(t, "", "web", "-n", "ours", "--profile=sysadmin", "--", "id")
	says(t, a.err, "nothing was added to pod web: profile sysadmin is denied", "policy.debugsidecar.io/enforce baseline", "to pass:", "would pass: --profile=")
	if n := l.added(t, "ours", "web"); n != 0 {
		t.Errorf("a denied request added %d", n)
	}
	// Who may not read the namespace's labels gets the webhook's own words.
	if _, _, err := l.Kubectl(t.Context(), blind, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := l.User(t.Context(), t.TempDir(), "ours", "stranger", "blind")
	if err != nil {
		t.Fatal(err)
	}
	a = l.debugAs(t, kubeconfig, "", "web", "-n", "ours", "--profile=sysadmin", "--", "id")
	says(t, a.err, "nothing was added to pod web: profile sysadmin is denied", "admission webhook", "would pass: --profile=")
	// With these rights one comes in all the same, and nothing is lost on the way.
	x := l.terminal(t, kubeconfig)
	x.line("kubectl-debugsidecar debug web -n ours; echo status=$?")
	x.shows("beside app: profile baseline", "in pod ours/web", ready)
	x.line("exit 0")
	says(t, x.ended(), "status=0")
}

// blind is the least with which one can debug: no namespaces, events, logs, and
// nothing to watch.
const blind = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: blind}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get]}
- {apiGroups: [""], resources: [pods/ephemeralcontainers], verbs: [update]}
- {apiGroups: [""], resources: [pods/attach], verbs: [get, create]}
`

func podEnds(t *testing.T, l lab) {
	l.namespace(t, "ends", nil, debug.App("web", "work", "--for=1h"), "web")
	x := l.terminal(t, l.Kubeconfig)
	x.line("kubectl-debugsidecar debug web -n ends; echo status=$?")
	x.shows(ready)
	if _, _, err := l.Kubectl(t.Context(), "", "--namespace=ends", "delete", "pod", "web", "--wait=false"); err != nil {
		t.Fatal(err)
	}
	screen := x.ended()
	if strings.Contains(screen, "status=0") || !strings.Contains(screen, "was deleted") && !strings.Contains(screen, "ended with status") {
		t.Errorf("it does not say that the pod is gone:\n%s", screen)
	}
	t.Log(screen)
	// While it waits: the image never comes, and the pod goes.
	l.namespace(t, "waits", nil, debug.App("web", "work", "--for=1h"), "web")
	said := make(chan answer, 1)
	go func() {
		said <- l.debug(t, "", "web", "-n", "waits", "--image=192.0.2.200/never/comes:1", "--no-ttl", "--", "id")
	}()
	time.Sleep(2 * time.Second)
	if _, _, err := l.Kubectl(context.Background(), "", "--namespace=waits", "delete", "pod", "web", "--now", "--wait=false"); err != nil {
		t.Fatal(err)
	}
	a := <-said
	if a.status != 1 || !strings.Contains(a.err, "is being deleted") && !strings.Contains(a.err, "was deleted meanwhile") && !strings.Contains(a.err, "can't be pulled") {
		t.Errorf("of a pod that ended meanwhile it says %s", a.err)
	}
}

const two = `apiVersion: apps/v1
kind: Deployment
metadata: {name: many}
spec:
  replicas: 2
  selector: {matchLabels: {app: many}}
  template:
    metadata: {labels: {app: many}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: app, image: "` + node.AppImage + `", imagePullPolicy: IfNotPresent, args: [work, --for=1h]}
`

func deployment(t *testing.T, l lab) {
	l.namespace(t, "many", nil, two)
	if _, _, err := l.Kubectl(t.Context(), "", "--namespace=many", "rollout", "status", "deployment/many", "--timeout=60s"); err != nil {
		t.Fatal(err)
	}
	a := l.debug(t, "", "deploy/many", "-n", "many", "--", "id")
	if a.status != 1 {
		t.Errorf("of two pods it took one without being told which: status %d", a.status)
	}
	says(t, a.err, "deployment/many has 2 pods; choose one with --pod:", "Running")
	name := regexp.MustCompile(`many-[a-z0-9]+-[a-z0-9]+`).FindString(a.err)
	if a = l.debug(t, "", "deploy/many", "-n", "many", "--pod", name, "--", "cat", "/etc/hostname"); strings.TrimSpace(a.out) != name {
		t.Errorf("--pod=%s leads to %s", name, a.out)
	}
	x := l.terminal(t, l.Kubeconfig)
	x.line("kubectl-debugsidecar debug deploy/many -n many -- cat /etc/hostname; echo status=$?")
	x.shows("deployment/many has 2 pods:", "Which one (1 to 2, or its name)?")
	second := regexp.MustCompile(`2  (many-[a-z0-9-]+)`).FindStringSubmatch(x.screen())
	if second == nil {
		t.Fatal(x.screen())
	}
	x.line("3")
	x.shows(`"3" is none of them.`)
	x.line("2")
	x.shows("status=0")
	if n := strings.Count(x.screen(), second[1]); n < 2 {
		t.Errorf("the second was chosen, and it ran elsewhere:\n%s", x.screen())
	}
	t.Log(x.screen())
}

func cronJob(t *testing.T, l lab) {
	l.namespace(t, "nightly", nil, nightly)
	kubeconfig := l.Kubeconfig
	if l.chart {
		var err error
		if kubeconfig, err = l.User(t.Context(), t.TempDir(), "nightly", "person", node.Release+"-debug"); err != nil {
			t.Fatal(err)
		}
	}
	a := l.debugAs(t, kubeconfig, "", "cronjob/nightly", "-n", "nightly", "--", "id")
	if a.status != 1 {
		t.Errorf("a CronJob without a job: status %d", a.status)
	}
	says(t, a.err, "it has no job now; `kubectl create job --from=cronjob/nightly` starts one")
	if _, _, err := l.Kubectl(t.Context(), "", "--namespace=nightly", "create", "job", "tonight", "--from=cronjob/nightly"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Kubectl(t.Context(), "", "--namespace=nightly", "wait", "--for=jsonpath={.status.ready}=1", "job/tonight", "--timeout=60s"); err != nil {
		t.Fatal(err)
	}
	if a = l.debugAs(t, kubeconfig, "", "cronjob/nightly", "-n", "nightly", "--", "cat", "/etc/hostname"); a.status != 0 || !strings.HasPrefix(a.out, "tonight-") {
		t.Errorf("it leads to %q, status %d", a.out, a.status)
	}
}

func crashing(t *testing.T, l lab) {
	l.namespace(t, "crash", nil, debug.App("web", "no-such-command"))
	// Until it has crashed.
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		if s := l.pod(t, "crash", "web").Status.ContainerStatuses; len(s) == 1 && s[0].RestartCount > 0 && s[0].State.Running == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the pod does not crash")
		}
	}
	a := l.debug(t, "", "web", "-n", "crash", "--", "id")
	if a.status != 1 {
		t.Errorf("the status is %d", a.status)
	}
	says(t, a.err, "a copy of it can be debugged: --allow-terminated")
	x := l.terminal(t, l.Kubeconfig)
	x.line("kubectl-debugsidecar debug web -n crash --allow-terminated; echo status=$?")
	x.shows("beside app: profile", "root@web-debugger-")
	// The target's files are there, and its program is not run.
	x.line("ls $TARGET_ROOT/app 2>&1; ls $TARGET_ROOT; echo seen")
	x.shows("seen")
	out, _, err := l.Kubectl(t.Context(), "", "--namespace=crash", "get", "pods", "-l", "debugsidecar.io/copy-of="+string(l.pod(t, "crash", "web").UID),
		"-o", `jsonpath={.items[*].metadata.labels.app}|{.items[*].metadata.ownerReferences[*].name}|{.items[*].spec.activeDeadlineSeconds}`)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out, "|web|3600") {
		t.Errorf("the copy's labels, owner and time are %s", out)
	}
	// The same request goes back into it.
	says(t, l.debug(t, "", "web", "-n", "crash", "--attach", "-c", "app", "--timeout=20s", "--detach").err, "--attach adds nothing")
	x.line("exit 4")
	x.shows("the shell ended with status 4", "status=4")
	t.Log(x.screen())
}

func dryRun(t *testing.T, l lab) {
	l.namespace(t, "dry", nil, debug.App("web", "work", "--for=1h"), "web")
	for _, where := range []string{"client", "server"} {
		a := l.debug(t, "", "web", "-n", "dry", "--dry-run="+where, "-o", "yaml", "--ticket=OPS-1")
		if a.status != 0 {
			t.Errorf("--dry-run=%s: status %d", where, a.status)
		}
		says(t, a.out, "ephemeralContainers:", "targetContainerName: app", "DEBUGSIDECAR_SESSION_TICKET", "OPS-1")
		if l.chart && where == "server" {
			says(t, a.out, "DEBUGSIDECAR_SESSION_USER") // the webhook's part
		}
		if defaulted := strings.Contains(a.out, "terminationMessagePath"); defaulted != (where == "server") {
			t.Errorf("--dry-run=%s has the API server's defaults: %t", where, defaulted)
		}
		a = l.debug(t, "", "web", "-n", "dry", "--dry-run="+where, "--allow-terminated", "-o", "json")
		says(t, a.out, `"ephemeralContainers"`) // a pod that runs takes no copy
	}
	if n := l.added(t, "dry", "web"); n != 0 {
		t.Errorf("dry runs added %d", n)
	}
}

func command(t *testing.T, l lab) {
	l.namespace(t, "command", nil, debug.App("web", "work", "--for=1h"), "web")
	a := l.debug(t, "", "web", "-n", "command", "--", "sh", "-c", "seq 1 20000; exit 3")
	lines := strings.Fields(a.out)
	if a.status != 3 || len(lines) != 20000 || lines[0] != "1" || lines[19999] != "20000" {
		t.Errorf("status %d, %d lines", a.status, len(lines))
	}
	a = l.debug(t, "one\ntwo\n", "web", "-n", "command", "-i", "--", "wc", "-l")
	if a.status != 0 || strings.TrimSpace(a.out) != "2" {
		t.Errorf("of two lines of standard input it says %q, status %d", a.out, a.status)
	}
	x := l.terminal(t, l.Kubeconfig)
	x.line("kubectl-debugsidecar debug web -n command -- sh -c 'echo first-$((1+1)); exit 9'; echo status=$?")
	x.shows("first-2", "status=9")
}

func foreign(t *testing.T, l lab) {
	l.namespace(t, "foreign", nil, debug.App("web", "work", "--for=1h"), "web")
	a := l.debug(t, "", "web", "-n", "foreign", "--image="+node.AppImage, "--", "/usr/bin/app", "work")
	if a.status != 1 {
		t.Errorf("the status is %d", a.status)
	}
	says(t, a.err, "it can't be made to end by itself after a time: say that with --no-ttl")
	a = l.debug(t, "", "web", "-n", "foreign", "--image="+node.AppImage, "--no-ttl", "--", "/usr/bin/app", "work")
	if a.status != 0 {
		t.Errorf("with --no-ttl the status is %d", a.status)
	}
	says(t, a.out, "done")
	says(t, a.err, "without an end")
}

var nightly = fmt.Sprintf(`apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 3 * * *"
  suspend: true
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          terminationGracePeriodSeconds: 1
          containers:
          - {name: app, image: %q, imagePullPolicy: IfNotPresent, args: ["work", "--for=1h"]}
`, node.AppImage)

// role is a person with the chart's roles and no other right.
func role(t *testing.T, l lab) {
	if !l.chart {
		t.Skip("takes the chart")
	}
	l.namespace(t, "role", nil, debug.App("web", "work", "--for=1h")+"---\n"+debug.App("crash", "no-such-command"), "web")
	kubeconfig, err := l.User(t.Context(), t.TempDir(), "role", "person", node.Release+"-debug")
	if err != nil {
		t.Fatal(err)
	}
	a := l.debugAs(t, kubeconfig, "", "web", "-n", "role", "-v", "--", "id", "-u")
	if a.status != 0 || strings.TrimSpace(a.out) != "0" {
		t.Errorf("status %d, %q", a.status, a.out)
	}
	says(t, a.err, "image, times and highest profile come from ConfigMap "+node.Namespace+"/"+node.Release+"-debug")
	a = l.debugAs(t, kubeconfig, "", "crash", "-n", "role", "--allow-terminated", "--", "id", "-u")
	says(t, a.err, "you may not make copies of pods", "services, statefulsets of namespace role: you may not list them")
	kubeconfig, err = l.User(t.Context(), t.TempDir(), "role", "copier", node.Release+"-debug", node.Release+"-debug-copies")
	if err != nil {
		t.Fatal(err)
	}
	a = l.debugAs(t, kubeconfig, "", "crash", "-n", "role", "--allow-terminated", "--", "id", "-u")
	if a.status != 0 || strings.Contains(a.err, "not known") {
		t.Errorf("with both roles: status %d", a.status)
	}
	kubeconfig, err = l.User(t.Context(), t.TempDir(), "role", "nobody")
	if err != nil {
		t.Fatal(err)
	}
	says(t, l.debugAs(t, kubeconfig, "", "web", "-n", "role").err, "you may not get pods in namespace role: ask for the role of debugging")
	_ = os.Remove(kubeconfig)
}
