package live_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

// relay leads to the API server, and can be cut.
type relay struct {
	kubeconfig string
	mu         sync.Mutex
	conns      []net.Conn
	away       bool
}

func newRelay(t *testing.T, l lab) *relay {
	t.Helper()
	config, err := clientcmd.LoadFromFile(l.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	r := &relay{kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	cluster := config.Clusters[config.Contexts[config.CurrentContext].Cluster]
	server, err := url.Parse(cluster.Server)
	if err != nil {
		t.Fatal(err)
	}
	cluster.Server = "https://" + listener.Addr().String()
	if err := clientcmd.WriteToFile(*config, r.kubeconfig); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", server.Host)
			r.mu.Lock()
			if err != nil || r.away {
				_ = from.Close()
				r.mu.Unlock()
				continue
			}
			r.conns = append(r.conns, from, to)
			r.mu.Unlock()
			go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
			go func() { _, _ = io.Copy(from, to); _ = from.Close() }()
		}
	}()
	return r
}

// cut ends all connections, and takes no new one while away.
func (r *relay) cut(away bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns, r.away = nil, away
}

var links = regexp.MustCompile(`http://127\.0\.0\.1:(\d+)/\?token=[A-Za-z0-9_-]{32,}`)

// page is what a browser gets for a link.
func page(t *testing.T, link string) (*http.Client, error) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(link)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || !strings.Contains(string(text), "<html") || response.Request.URL.RawQuery != "") {
		err = fmt.Errorf("%s, %s: %.200s", response.Status, response.Request.URL, text)
	}
	return client, err
}

func get(client *http.Client, url string) (int, string, error) {
	response, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

func openServesThePage(t *testing.T, l lab, pod, _ string) {
	r := newRelay(t, l)
	began := time.Now()
	p := l.begin(t, r.kubeconfig, "open", "deploy/ingest", "-n", "cameras", "--no-browser")
	p.says(t, &p.out, "token=")
	t.Logf("the link is there after %.2f s", time.Since(began).Seconds())
	link := links.FindString(p.out.String())
	base, _, _ := strings.Cut(link, "?")
	client, err := page(t, link)
	if err != nil {
		t.Fatal(err)
	}
	status, text, err := get(client, base+"api/v1/status")
	if err != nil || status != http.StatusOK || !strings.Contains(text, `"pod":"`+pod+`"`) {
		t.Errorf("the status with the cookie: %d, %v: %.200s", status, err, text)
	}
	// Without the token nothing, and nothing for a name that leads here.
	if status, _, err = get(http.DefaultClient, base+"api/v1/status"); err != nil || status != http.StatusUnauthorized {
		t.Errorf("without the token: %d, %v", status, err)
	}
	request, _ := http.NewRequest(http.MethodGet, link, nil)
	request.Host = "evil.example"
	if response, err := http.DefaultClient.Do(request); err != nil || response.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("with a foreign Host: %+v, %v", response, err)
	}
	if strings.Contains(p.err.String(), "token=") {
		t.Error("the token is on standard error")
	}

	cut := time.Now()
	r.cut(true)
	p.says(t, &p.err, "the connection is lost")
	t.Logf("that is said after %.2f s", time.Since(cut).Seconds())
	time.Sleep(time.Second)
	r.cut(false)
	p.says(t, &p.err, "connected again")
	t.Logf("away for a second more; connected again %.2f s after the cut", time.Since(cut).Seconds())
	if status, text, err = get(client, base+"api/v1/status"); err != nil || status != http.StatusOK {
		t.Errorf("after that, by the same link: %d, %v: %.200s", status, err, text)
	}
	end := p.interrupt(t)
	if end.status != 0 || strings.Count(end.out, "\n") != 1 {
		t.Errorf("after Ctrl-C: %+v", end)
	}
	t.Logf("standard error:\n%s", end.err)
	if _, err := net.DialTimeout("tcp", strings.TrimSuffix(strings.TrimPrefix(base, "http://"), "/"), time.Second); err == nil {
		t.Error("the port is still open")
	}

	// A browser is given a link without the token, that works once.
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "xdg-open"), []byte("#!/bin/sh\necho \"$1\" > "+dir+"/link\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("DISPLAY", ":0")
	p = l.begin(t, r.kubeconfig, "open", pod, "-n", "cameras")
	var once string
	l.until(t, "the browser is started", func(context.Context) error {
		text, err := os.ReadFile(filepath.Join(dir, "link"))
		if once = strings.TrimSpace(string(text)); err == nil && once == "" {
			err = fmt.Errorf("with nothing")
		}
		return err
	})
	if strings.Contains(once, "token") {
		t.Errorf("the browser's arguments have the token: %s", once)
	}
	if _, err := page(t, once); err != nil {
		t.Errorf("the browser's link: %v", err)
	}
	if status, _, err := get(http.DefaultClient, once); err != nil || status != http.StatusGone {
		t.Errorf("the browser's link for the second time: %d, %v", status, err)
	}
	if end := p.interrupt(t); end.status != 0 || end.out != "" {
		t.Errorf("with a browser: %+v", end)
	}
}

func openSaysWhatAUserMayNot(t *testing.T, l lab, pod, _ string) {
	const pods, enter, ports = `{apiGroups: [""], resources: [pods], verbs: [get]}`,
		`{apiGroups: [""], resources: [pods/exec], verbs: [get, create]}`, `{apiGroups: [""], resources: [pods/portforward], verbs: [get, create]}`
	l.kubectl(t, "", "create", "namespace", "plain")
	l.apply(t, "plain", "work.yaml", "debugsidecar.io/inject: PROFILE", "a: b", "NAME", "bare", "COMMAND", "work, --for=1h", "PARAMS", "{}")
	for _, c := range []struct {
		name, kubeconfig string
		args             []string
		says             []string
	}{
		{"no pod", l.Kubeconfig, []string{"nowhere"}, []string{"there is no pod nowhere in namespace cameras"}},
		{"no probe", l.Kubeconfig, []string{"bare", "-n", "plain"}, []string{"has no video probe", "debugsidecar.io/inject"}},
		{"no rights", l.user(t, "outsider", ""), []string{pod}, []string{"you may not get pods in namespace cameras"}},
		{"no exec", l.user(t, "watcher", pods), []string{pod}, []string{"you may not exec in container debugsidecar-video-probe", "pods/exec"}},
		{"kernel tier", l.user(t, "caller", pods+","+enter+","+ports), []string{pod}, []string{"you may not exec in container debugsidecar-video-probe", "grant"}},
	} {
		r := l.run(t, c.kubeconfig, append([]string{"open", "--no-browser", "-n", "cameras"}, c.args...)...)
		if r.status != 1 || r.out != "" {
			t.Errorf("%s: %+v", c.name, r)
		}
		for _, text := range c.says {
			if !strings.Contains(r.err, text) {
				t.Errorf("%s: it does not say %q: %s", c.name, text, r.err)
			}
		}
		t.Logf("%s: %s", c.name, strings.TrimSpace(r.err))
	}
	// The port-forward, where exec is permitted: the user tier, in a namespace
	// without a grant.
	l.apply(t, "plain", "work.yaml", "PROFILE", "video-probe", "NAME", "watched", "COMMAND", "work, --for=1h", "PARAMS", "{}")
	l.kubectl(t, "", "-n", "plain", "wait", "--for=condition=Ready", "pod/watched", "--timeout=60s")
	half := l.user(t, "half", "")
	l.kubectl(t, `{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: half}, rules: [`+pods+","+enter+`]}`, "apply", "-n", "plain", "-f", "-")
	l.kubectl(t, "", "create", "rolebinding", "half", "--role=half", "--serviceaccount=cameras:half", "-n", "plain")
	if r := l.run(t, half, "open", "watched", "-n", "plain", "--no-browser"); r.status != 1 || !strings.Contains(r.err, "you may not port-forward to pod plain/watched") {
		t.Errorf("no port-forward: %+v", r)
	}
	// With all that docs/top.md names, and nothing else.
	whole := l.user(t, "whole", "")
	l.kubectl(t, `{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: whole}, rules: [`+pods+","+enter+","+ports+`]}`, "apply", "-n", "plain", "-f", "-")
	l.kubectl(t, "", "create", "rolebinding", "whole", "--role=whole", "--serviceaccount=cameras:whole", "-n", "plain")
	p := l.begin(t, whole, "open", "watched", "-n", "plain", "--no-browser")
	p.says(t, &p.out, "token=")
	if _, err := page(t, links.FindString(p.out.String())); err != nil {
		t.Error(err)
	}
	if r := p.interrupt(t); r.status != 0 {
		t.Errorf("%+v", r)
	}
}

func openFollowsTheProbe(t *testing.T, l lab, _, _ string) {
	pod := l.pod(t, "plain", "app=watched")
	p := l.begin(t, l.Kubeconfig, "open", "watched", "-n", "plain", "--no-browser")
	p.says(t, &p.out, "token=")
	pid, err := findProcess(string(pod.UID), "video-probe")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.says(t, &p.err, "the probe was started again")
	l.until(t, "there is a second link", func(context.Context) error {
		all := links.FindAllString(p.out.String(), -1)
		if len(all) != 2 || all[0] == all[1] {
			return fmt.Errorf("links: %d", len(all))
		}
		_, err := page(t, all[1])
		return err
	})
	if r := p.interrupt(t); r.status != 0 {
		t.Errorf("%+v", r)
	}
}

func openEndsWithThePod(t *testing.T, l lab, pod, _ string) {
	p := l.begin(t, l.Kubeconfig, "open", pod, "-n", "cameras", "--no-browser")
	p.says(t, &p.out, "token=")
	x := l.begin(t, l.Kubeconfig, "top", "-n", "cameras", "-o", "json")
	x.says(t, &x.out, pod)
	l.kubectl(t, "", "-n", "cameras", "delete", "pod", pod, "--wait=false")
	r := p.wait(t, 60*time.Second)
	if r.status != 1 || !strings.Contains(r.err, "error: pod cameras/"+pod+": the pod has ended") {
		t.Errorf("%+v", r)
	}
	l.until(t, "top has another pod instead", func(context.Context) error {
		lines := strings.Split(strings.TrimSpace(x.out.String()), "\n")
		if last := lines[len(lines)-1]; strings.Contains(last, pod) || !strings.Contains(last, `"ingest-`) {
			return fmt.Errorf("%s", last)
		}
		return nil
	})
	if r := x.interrupt(t); r.status != 0 {
		t.Errorf("top: %+v", r.status)
	}
}
