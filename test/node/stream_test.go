package node_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/test/node"
)

const probe = "debugsidecar-video-probe"

// stream lets an app lose packets that its own socket has no room for, and then
// squeezes the stream.
func stream(t *testing.T, l lab) {
	l.kubectl(t, "", "create", "namespace", "cameras")
	l.apply(t, "cameras", "receiver.yaml", "PROFILE", "video-probe", "PARAMS", "{buffer: 4}")
	l.kubectl(t, "", "--namespace=cameras", "rollout", "status", "deployment/ingest", "--timeout=60s")
	pod := l.pod(t, "cameras", "app=ingest")
	init := pod.Spec.InitContainers
	if len(init) != 1 || init[0].Name != probe || init[0].RestartPolicy == nil {
		t.Fatalf("the pod has no native sidecar: %+v", init)
	}
	if got := capabilities(t, string(pod.UID), "video-probe"); !slices.Equal(got, []string{"NET_RAW", "PERFMON", "BPF"}) {
		t.Errorf("the probe's process has the capabilities %v", got)
	}

	l.apply(t, "cameras", "camera.yaml", "RECEIVER", pod.Status.PodIP+":5004")
	l.kubectl(t, "", "--namespace=cameras", "wait", "--for=condition=Ready", "pod/camera", "--timeout=60s")
	camera := l.pod(t, "cameras", "app=camera").Status.PodIP
	app := "http://" + pod.Status.PodIP + ":8090"
	report := func() node.Report {
		r, err := l.Report(t.Context(), pod.Status.PodIP)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	l.until(t, "the probe sees the stream", func(ctx context.Context) error {
		if v, err := l.Metric(ctx, pod.Status.PodIP, "debugsidecar_streams"); err != nil || v != 1 {
			return fmt.Errorf("%v streams, %w", v, err)
		}
		return nil
	})
	time.Sleep(5 * time.Second) // the stream's usual pace is known after some seconds

	// The app does not read; its socket overflows.
	paused := time.Now()
	if err := l.Post(t.Context(), app+"/pause?for=2s"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	l.until(t, "the probe's count of drops is the app's", func(ctx context.Context) error {
		want := report().Dropped
		got, err := l.Metric(ctx, pod.Status.PodIP, "debugsidecar_drops_total", "reason", "SOCKET_RCVBUFF", "class", "loss")
		if err == nil && (want == 0 || got != float64(want)) {
			err = fmt.Errorf("%v, and the app's socket dropped %d", got, want)
		}
		if err == nil {
			t.Logf("the app's socket dropped %d packets, the probe's metric says %v", want, got)
		}
		return err
	})
	l.until(t, "an alert blames the node", func(ctx context.Context) error {
		for _, a := range l.alerts(t) {
			if a.At.After(paused) && a.Alert.Cause == "node" {
				t.Logf("%s, cause %s, %.3f s after the app stopped reading", a.Alert.Kind, a.Alert.Cause, a.At.Sub(paused).Seconds())
				return nil
			}
		}
		return errors.New("none")
	})

	// The network carries a third of the stream. Viewers have 4 s.
	time.Sleep(12 * time.Second)
	before := len(report().Stalls)
	squeezed := time.Now()
	if err := l.Post(t.Context(), "http://"+camera+":8090/rate?bits=600000"); err != nil {
		t.Fatal(err)
	}
	var stall time.Time
	l.until(t, "the viewer's buffer is empty", func(context.Context) error {
		if r := report(); len(r.Stalls) > before {
			stall = r.Stalls[before].From
			return nil
		}
		return errors.New("not yet")
	})
	if err := l.Post(t.Context(), "http://"+camera+":8090/rate?bits=0"); err != nil {
		t.Fatal(err)
	}
	var first time.Time
	for _, a := range l.alerts(t) {
		if a.At.After(squeezed) && a.Alert.Kind == "stall-predicted" && a.Alert.BufferS == 4 {
			first = a.At
			t.Logf("cause %s, foreseen for %.1f s later", a.Alert.Cause, a.Alert.EtaS)
			break
		}
	}
	switch {
	case first.IsZero():
		t.Errorf("the stall was not predicted: %+v", l.alerts(t))
	case !first.Before(stall):
		t.Errorf("the stall was predicted %.2f s after it began", first.Sub(stall).Seconds())
	}
	t.Logf("squeezed; warned after %.2f s; viewers with 4 s of buffer saw a stall after %.2f s: %.2f s of warning",
		first.Sub(squeezed).Seconds(), stall.Sub(squeezed).Seconds(), stall.Sub(first).Seconds())
}

func (l lab) alerts(t *testing.T) []node.Alert {
	t.Helper()
	all, err := l.Alerts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// names of capabilities that matter here, by number
// (include/uapi/linux/capability.h).
var names = map[int]string{13: "NET_RAW", 38: "PERFMON", 39: "BPF", 21: "SYS_ADMIN", 19: "SYS_PTRACE"}

// capabilities returns what a program of a pod may do, as the kernel says.
func capabilities(t *testing.T, uid, argument string) []string {
	t.Helper()
	pid := process(t, uid, argument)
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	for scan := bufio.NewScanner(bytes.NewReader(status)); scan.Scan(); {
		if hex, ok := strings.CutPrefix(scan.Text(), "CapEff:"); ok {
			bits, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			out := []string{}
			for i := range 64 {
				if bits>>i&1 == 0 {
					continue
				}
				if name, ok := names[i]; ok {
					out = append(out, name)
				} else {
					out = append(out, strconv.Itoa(i))
				}
			}
			return out
		}
	}
	t.Fatal("no capabilities in the status")
	return nil
}

// process returns the process of a pod that has an argument.
func process(t *testing.T, uid, argument string) int {
	t.Helper()
	pid, err := findProcess(uid, argument)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func findProcess(uid, argument string) (int, error) {
	all, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	for _, dir := range all {
		pid, err := strconv.Atoi(dir.Name())
		if err != nil {
			continue
		}
		line, _ := os.ReadFile(filepath.Join("/proc", dir.Name(), "cmdline"))
		groups, _ := os.ReadFile(filepath.Join("/proc", dir.Name(), "cgroup"))
		if bytes.Contains(groups, []byte(uid)) && slices.Contains(strings.Split(string(line), "\x00"), argument) {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("pod %s has no process with the argument %s", uid, argument)
}
