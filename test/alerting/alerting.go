// Package alerting runs Debian's Prometheus and Alertmanager on loopback, so that
// tests and benchmarks see what they make of the sidecar. Nothing is installed.
package alerting

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/debugsidecar/debugsidecar/test/debian"
	"github.com/debugsidecar/debugsidecar/test/freeport"
)

// Programs are the files of the packages.
type Programs struct{ root string }

func (p Programs) binary(name string) string { return filepath.Join(p.root, "usr/bin", name) }

// Fetch takes the programs from the cache, or downloads Debian's packages into
// it. The error wraps debian.ErrUnavailable where there are none.
func Fetch(ctx context.Context, report func(string)) (Programs, error) {
	root, err := debian.Tree(ctx, report, "prometheus", "prometheus-alertmanager")
	return Programs{root}, err
}

// Service is a program while it runs.
type Service struct {
	// URL is its base URL.
	URL   string
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
}

// Alertmanager starts one that notifies webhook at once. Its files are in dir.
func (p Programs) Alertmanager(ctx context.Context, dir, webhook string) (*Service, error) {
	config := filepath.Join(dir, "alertmanager.yml")
	text := fmt.Sprintf(`route:
  receiver: test
  group_by: ['...']
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: test
    webhook_configs:
      - url: %s
        send_resolved: true
`, webhook)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	// Debian's Alertmanager reads its templates from /usr/share, and there alone: it
	// gets a /usr/share of its own.
	inside := []string{"--mount"}
	if os.Geteuid() != 0 {
		inside = append(inside, "--map-root-user")
	}
	inside = append(inside, "sh", "-c", `mount --bind "$0" /usr/share && exec "$@"`, filepath.Join(p.root, "usr/share"))
	return start(ctx, "unshare", address, "/-/ready", filepath.Join(dir, "alertmanager.log"), append(inside, p.binary("prometheus-alertmanager"),
		"--config.file="+config, "--storage.path="+filepath.Join(dir, "alertmanager"),
		"--web.listen-address="+address, "--cluster.listen-address=")...)
}

// Rule is an alerting rule of Prometheus.
type Rule struct{ Alert, Expr string }

// Prometheus starts one that scrapes target ("127.0.0.1:9400") and evaluates the
// rules, each at the interval, and tells Alertmanager. Its files are in dir.
func (p Programs) Prometheus(ctx context.Context, dir, target string, alertmanager *Service, interval time.Duration, rules ...Rule) (*Service, error) {
	rulesFile, config := filepath.Join(dir, "rules.yml"), filepath.Join(dir, "prometheus.yml")
	text := "groups:\n  - name: test\n    rules:\n"
	for _, r := range rules {
		text += fmt.Sprintf("      - alert: %s\n        expr: %s\n        labels: {way: scraped}\n", r.Alert, r.Expr)
	}
	if err := os.WriteFile(rulesFile, []byte(text), 0o600); err != nil {
		return nil, err
	}
	text = fmt.Sprintf(`global:
  scrape_interval: %[1]s
  scrape_timeout: %[1]s
  evaluation_interval: %[1]s
rule_files: [%[2]s]
scrape_configs:
  - job_name: debugsidecar
    static_configs: [{targets: [%[3]q]}]
alerting:
  alertmanagers:
    - static_configs: [{targets: [%[4]q]}]
`, interval, rulesFile, target, strings.TrimPrefix(alertmanager.URL, "http://"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	return start(ctx, p.binary("prometheus"), address, "/-/ready", filepath.Join(dir, "prometheus.log"),
		"--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "prometheus"), "--web.listen-address="+address,
		"--enable-feature=native-histograms,exemplar-storage", "--web.console.templates="+dir, "--web.console.libraries="+dir)
}

// readyWithin is how long a program may take to be ready on a busy machine.
const readyWithin = 2 * time.Minute

// start starts a program that serves address, and waits until its path ready says
// that it is. It ends with this process, however that ends.
func start(ctx context.Context, binary, address, ready, log string, args ...string) (*Service, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s := &Service{URL: "http://" + address, cmd: exec.Command(binary, args...), log: log, ended: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// The death signal is sent when the thread that started the program ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			_ = s.cmd.Wait()
			close(s.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", filepath.Base(binary), err)
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for !s.ready(ctx, ready) {
		select {
		case <-time.After(20 * time.Millisecond):
			continue
		case <-s.ended:
			err = fmt.Errorf("%s ended", filepath.Base(binary))
		case <-ctx.Done():
			err = fmt.Errorf("%s is not ready: %w", filepath.Base(binary), ctx.Err())
		}
		s.Stop()
		text, _ := os.ReadFile(log)
		return nil, fmt.Errorf("%w; its log:\n%s", err, text)
	}
	return s, nil
}

func (s *Service) ready(ctx context.Context, path string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// until waits until a Prometheus has an answer to a query.
func (s *Service) until(ctx context.Context, query string) error {
	for {
		var result struct {
			Data struct{ Result []json.RawMessage }
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/v1/query?query="+url.QueryEscape(query), nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			return fmt.Errorf("asking Prometheus for %s: %w", query, err)
		}
		err = json.NewDecoder(answer.Body).Decode(&result)
		_ = answer.Body.Close()
		if err == nil && len(result.Data.Result) > 0 {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("never true: %s: %w", query, ctx.Err())
		}
	}
}

// Stop ends the program and waits for that.
func (s *Service) Stop() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// freePort returns a port on which nothing listens now.
func freePort() (int, error) {
	free, err := freeport.Find(1)
	if err != nil {
		return 0, err
	}
	return free[0], nil
}
