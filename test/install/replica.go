package install

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/debugsidecar/debugsidecar/test/freeport"
)

// Replica is a webhook process.
type Replica struct {
	// Log is the path of what it writes to standard error.
	Log string
	// StartToReady is the time from its start until it was ready.
	StartToReady time.Duration

	cmd                     *exec.Cmd
	address, health, metric string
	exited                  chan struct{}
	err                     error // valid when exited is closed
}

// StartReplica starts one more replica and returns when it is ready.
func (i *Installation) StartReplica(ctx context.Context) (*Replica, error) {
	i.mu.Lock()
	i.started++
	number := i.started
	i.mu.Unlock()
	addresses, err := freeAddresses(3)
	if err != nil {
		return nil, err
	}
	r := &Replica{
		Log:     filepath.Join(i.options.Dir, fmt.Sprintf("webhook-%d.log", number)),
		address: addresses[0], health: addresses[1], metric: addresses[2],
		exited: make(chan struct{}),
	}
	args := append([]string{
		"--listen=" + r.address, "--health-listen=" + r.health, "--metrics-listen=" + r.metric,
		"--namespace=" + i.Namespace,
		"--config=" + filepath.Join(i.configDir("config"), "config.yaml"),
		"--policy-parameters=" + filepath.Join(i.configDir("config"), "policy.yaml"),
		"--profiles=" + i.configDir("profiles"),
		"--policy-rules=" + i.configDir("rules"),
		"--ca-secret=" + i.options.Release + "-ca",
		"--webhook-configuration=" + i.options.Release,
		"--dns-names=localhost",
		"--kubeconfig=" + i.kubeconfig,
		"--shutdown-delay=1s",
	}, i.options.Args...)
	start := time.Now()
	if err := r.start(i.options.Binary, args); err != nil {
		return nil, err
	}
	if err := waitUntil(ctx, func() bool { return r.ready() || r.hasExited() }); err != nil || r.hasExited() {
		r.Kill()
		log, _ := os.ReadFile(r.Log)
		return nil, fmt.Errorf("the webhook did not become ready: %w; its log:\n%s", firstError(err, r.err), tail(string(log), 20))
	}
	r.StartToReady = time.Since(start)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.replicas = append(i.replicas, r)
	return r, nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// start runs the process. It dies with the thread that started it, so that the
// thread is kept, and a killed test leaves nothing behind.
func (r *Replica) start(binary string, args []string) error {
	log, err := os.Create(r.Log)
	if err != nil {
		return fmt.Errorf("making the webhook's log: %w", err)
	}
	r.cmd = exec.Command(binary, args...)
	r.cmd.Stderr = log
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer log.Close()
		defer close(r.exited)
		err := r.cmd.Start()
		started <- err
		if err == nil {
			r.err = r.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("starting the webhook: %w", err)
	}
	return nil
}

// Stop sends SIGTERM and waits for the end. It returns an error if the webhook
// did not exit with status 0.
func (r *Replica) Stop(ctx context.Context) error {
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping the webhook: %w", err)
	}
	select {
	case <-r.exited:
		return r.err
	case <-ctx.Done():
		return fmt.Errorf("the webhook did not stop: %w", ctx.Err())
	}
}

// Kill sends SIGKILL and waits for the end.
func (r *Replica) Kill() {
	_ = r.cmd.Process.Kill()
	<-r.exited
}

func (r *Replica) hasExited() bool {
	select {
	case <-r.exited:
		return true
	default:
		return false
	}
}

// PID is the replica's process ID.
func (r *Replica) PID() int { return r.cmd.Process.Pid }

var probe = &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func (r *Replica) ready() bool {
	if r.hasExited() {
		return false
	}
	resp, err := probe.Get("http://" + r.health + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Metric returns the value of a metric's line, such as
// `x_total{a="b"}`; 0 if there is none.
func (r *Replica) Metric(line string) (float64, error) {
	resp, err := probe.Get("http://" + r.metric + "/metrics")
	if err != nil {
		return 0, fmt.Errorf("reading metrics: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, fmt.Errorf("reading metrics: %w", err)
	}
	for l := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(l, line+" "); ok {
			var v float64
			_, err := fmt.Sscan(value, &v)
			return v, err
		}
	}
	return 0, nil
}

// freeAddresses returns loopback addresses that nobody listens on.
func freeAddresses(n int) ([]string, error) {
	free, err := freeport.Find(n)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, port := range free {
		out = append(out, fmt.Sprintf("127.0.0.1:%d", port))
	}
	return out, nil
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Address is where the replica itself answers reviews.
func (r *Replica) Address() string { return r.address }
