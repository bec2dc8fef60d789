// Command dropwatch prints the network packets that the kernel drops, by the
// kernel's own names for why, as it happens: of its own network namespace, or of
// another process's.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/drop"
	"github.com/debugsidecar/debugsidecar/bpf/netns"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "dropwatch:", err)
		os.Exit(1)
	}
}

// flags are what the user asked for.
type flags struct {
	netns, cgroup  string
	all, json      bool
	duration, tick time.Duration
	ringBytes      int
}

func command() *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "dropwatch",
		Short: "Print the network packets that the kernel drops, and why",
		Long: `Prints the network packets that the kernel drops, by the kernel's own names for
why, as it happens.

With CAP_BPF and CAP_PERFMON it sees every drop, with addresses. Without them it
shows the four reasons of UDP that /proc counts, and says so. Sums are exact in
both cases: they come from counters, which lose nothing that the kernel tells of.`,
		Example: `  dropwatch                         drops of this network namespace
  dropwatch --netns 4711            of the one that process 4711 is in
  dropwatch --netns /run/netns/cam  of one that has a name
  dropwatch --all --for 10s         of the whole node, for ten seconds
  dropwatch --json | jq .reason     an object a line`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := f.options()
			if err != nil {
				return err
			}
			return watch(c.Context(), c.OutOrStdout(), c.ErrOrStderr(), o, f)
		},
	}
	fs := c.Flags()
	fs.StringVar(&f.netns, "netns", "", "watch the network namespace of this process id, or at this path")
	fs.StringVar(&f.cgroup, "cgroup", "", "watch the control group (v2) at this path, and those below")
	fs.BoolVar(&f.all, "all", false, "watch every network namespace of the node")
	fs.BoolVar(&f.json, "json", false, "print an object a line: ts, reason, family, proto, count, and src, dst where known")
	fs.DurationVar(&f.duration, "for", 0, "stop after this time, as 10s (default: at Ctrl-C)")
	fs.DurationVar(&f.tick, "every", time.Second, "how often lines are printed")
	fs.IntVar(&f.ringBytes, "ring-bytes", 0, "the ring's size; for tests")
	_ = fs.MarkHidden("ring-bytes")
	c.MarkFlagsMutuallyExclusive("netns", "cgroup", "all")
	return c
}

func (f *flags) options() (drop.Options, error) {
	o := drop.Options{Detail: true, RingBytes: f.ringBytes}
	if f.tick < 10*time.Millisecond {
		return o, fmt.Errorf("--every %v: 10ms at least", f.tick)
	}
	if f.duration < 0 {
		return o, fmt.Errorf("--for %v: a time that has passed", f.duration)
	}
	switch {
	case f.all:
		o.Target.All = true
	case f.cgroup != "":
		id, err := cgroupID(f.cgroup)
		if err != nil {
			return o, err
		}
		o.Target.Cgroup = id
	case f.netns != "":
		path := f.netns
		if pid, err := strconv.Atoi(path); err == nil {
			path = netns.PathOf(pid)
			o.ProcNet = fmt.Sprintf("/proc/%d/net", pid)
		}
		inode, err := netns.Inode(path)
		if errors.Is(err, os.ErrNotExist) {
			return o, fmt.Errorf("--netns %s: there is no such process or file", f.netns)
		}
		if err != nil {
			return o, fmt.Errorf("--netns %s: %w", f.netns, err)
		}
		o.Target.Netns = []uint32{inode}
	}
	return o, nil
}

// cgroupID returns the id of a control group: its directory's inode number.
func cgroupID(path string) (uint64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return 0, fmt.Errorf("--cgroup %s: %w", path, err)
	}
	if fs.Type != unix.CGROUP2_SUPER_MAGIC {
		return 0, fmt.Errorf("--cgroup %s: not a control group of version 2", path)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Clean(path), &st); err != nil {
		return 0, fmt.Errorf("--cgroup %s: %w", path, err)
	}
	return st.Ino, nil
}

// describe says what is watched, and what is not, in a line.
func describe(p *drop.Probe) string {
	if p.Tier() == bpf.TierKernel {
		return "every drop, by the kernel's reason"
	}
	return "UDP's counters of /proc only (" + strings.Join(seen(p), ", ") + "); " + p.Why().Error()
}

func seen(p *drop.Probe) (reasons []string) {
	for _, r := range []string{"NO_SOCKET", "SOCKET_RCVBUFF", "PROTO_MEM", "UDP_CSUM"} {
		if p.Sees(r) {
			reasons = append(reasons, r)
		}
	}
	return reasons
}
