package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// traces is what a cluster with a node has on this machine, as somebody outside
// of its namespaces sees it.
type traces struct {
	Dir       string
	Cgroup    string
	Init      int
	Processes []int  // all, containers among them
	Mount     string // mount namespace
	Network   []string
}

// traces looks for them while the node runs.
func (c *Cluster) traces() (traces, error) {
	t := traces{Dir: c.dir, Cgroup: c.node.cgroup, Init: c.node.namespaces.init}
	name, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", t.Init))
	if err != nil {
		return t, err
	}
	t.Mount = name
	t.Processes, err = descendants(t.Init)
	if err != nil {
		return t, err
	}
	seen := map[string]bool{}
	for _, pid := range t.Processes {
		if name, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid)); err == nil && !seen[name] {
			seen[name] = true
			t.Network = append(t.Network, name)
		}
	}
	return t, nil
}

// descendants returns a process and all that it started.
func descendants(pid int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		var child, parent int
		var state string
		_, after, _ := strings.Cut(string(text), ") ")
		if _, err := fmt.Sscan(after, &state, &parent); err != nil {
			return nil, err
		}
		if _, err := fmt.Sscan(string(text), &child); err != nil {
			return nil, err
		}
		children[parent] = append(children[parent], child)
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all, nil
}

// left says what is still there.
func (t traces) left() error {
	var left []error
	if _, err := os.Stat(t.Dir); !errors.Is(err, os.ErrNotExist) {
		left = append(left, fmt.Errorf("directory %s", t.Dir))
	}
	for _, pid := range t.Processes {
		if alive(pid) {
			left = append(left, fmt.Errorf("process %d", pid))
		}
	}
	cgroups, err := filepath.Glob("/sys/fs/cgroup/*/" + t.Cgroup)
	more, err2 := filepath.Glob("/sys/fs/cgroup/" + t.Cgroup)
	if len(cgroups)+len(more) > 0 || err != nil || err2 != nil {
		left = append(left, fmt.Errorf("cgroups %v %v (%v, %v)", cgroups, more, err, err2))
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), t.Dir) || strings.Contains(string(mounts), "/run/netns/cni-") {
		left = append(left, fmt.Errorf("mounts (%v): %s", err, mounts))
	}
	spaces, err := filepath.Glob("/proc/[0-9]*/ns/*")
	if err != nil {
		left = append(left, err)
	}
	for _, path := range spaces {
		if name, err := os.Readlink(path); err == nil && (name == t.Mount || slices.Contains(t.Network, name)) {
			left = append(left, fmt.Errorf("%s is %s", path, name))
		}
	}
	return errors.Join(left...)
}

// outside is what a node of its own must not change on the machine: the places
// where containerd and the kubelet put things, and settings that a kubelet makes.
func outside(t *testing.T) map[string]string {
	t.Helper()
	state := map[string]string{}
	for _, dir := range []string{"/run/containerd", "/run/netns", "/run/tunables", "/var/lib/cni", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods"} {
		entries, err := os.ReadDir(dir)
		state[dir] = fmt.Sprint(entries, err)
	}
	for _, name := range []string{
		"kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "vm/overcommit_memory", "vm/panic_on_oom",
		"net/ipv4/ip_forward", "net/netfilter/nf_conntrack_max", "kernel/hostname",
	} {
		text, err := os.ReadFile("/proc/sys/" + name)
		state[name] = fmt.Sprint(string(text), err)
	}
	return state
}

func unchanged(t *testing.T, before map[string]string) {
	t.Helper()
	for name, now := range outside(t) {
		if now != before[name] {
			t.Errorf("%s was %q and is %q", name, before[name], now)
		}
	}
}

// runCamera runs a pod, for there to be a container and all that it takes.
func (c *Cluster) runCamera(ctx context.Context) error {
	if _, _, err := c.Kubectl(ctx, "", "run", "camera", "--image="+pauseImage, "--image-pull-policy=Never"); err != nil {
		return err
	}
	_, _, err := c.Kubectl(ctx, "", "wait", "--for=condition=Ready", "pod/camera", "--timeout=60s")
	return err
}

func (t traces) complete() error {
	// The cluster's, two of the pod's, the shim, and init.
	if len(t.Processes) < 7+2+1+1 || len(t.Network) != 2 {
		return fmt.Errorf("a node with a pod has %d processes in %d network namespaces", len(t.Processes), len(t.Network))
	}
	return nil
}

func TestStopOfANodeLeavesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Kubernetes with a node; run without -short")
	}
	before := outside(t)
	c, err := Start(t.Context(), Options{Node: true})
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop() //nolint:errcheck // a test that failed earlier
	if err := c.runCamera(t.Context()); err != nil {
		t.Fatal(err)
	}
	traces, err := c.traces()
	if err == nil {
		err = traces.complete()
	}
	if err != nil {
		t.Fatal(err)
	}
	unchanged(t, before)
	begin := time.Now()
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	t.Logf("Stop took %.1f s", time.Since(begin).Seconds())
	if err := traces.left(); err != nil {
		t.Errorf("left after Stop:\n%v", err)
	}
	unchanged(t, before)
	if err := c.Wait(t.Context()); err != nil {
		t.Errorf("waiting after Stop: %v", err)
	}
}

func TestNothingOfANodeOutlivesAKilledParent(t *testing.T) {
	before := outside(t)
	killed, traces := killParent[traces](t, "node")
	if err := traces.complete(); err != nil {
		t.Error(err)
	}
	var err error
	for time.Since(killed) < orphanage {
		if err = traces.left(); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		t.Errorf("left %s after the parent's death:\n%v", orphanage, err)
	}
	t.Logf("all was gone after %.1f s", time.Since(killed).Seconds())
	unchanged(t, before)
}

func TestNothingOfANodeOutlivesItsKeeper(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Kubernetes with a node; run without -short")
	}
	c, err := Start(t.Context(), Options{Node: true})
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	traces, err := c.traces()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.node.namespaces.keeper.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), orphanage)
	defer cancel()
	if err := c.Wait(ctx); err == nil || !strings.Contains(err.Error(), "the node ended by itself") {
		t.Errorf("error is %v", err)
	}
	eventually(t, "the end of all processes", func() error {
		for _, pid := range traces.Processes {
			if alive(pid) {
				return fmt.Errorf("process %d is alive", pid)
			}
		}
		return nil
	})
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if err := traces.left(); err != nil {
		t.Errorf("left after Stop:\n%v", err)
	}
}
