// Command drop measures what package bpf/drop costs: a drop that it counts, a
// drop of somebody else, and no drop at all; beside a program that does nothing
// (the floor) and bpftrace (the peer) in the same run.
//
// All of it is in a network namespace of this process's own. Blocks of
// datagrams alternate between the subjects, so that a slow moment of the
// machine meets all of them; what is reported is the difference between
// neighbouring blocks with its 95 % interval.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func main() {
	out := flag.String("o", "", "also write the table to this file")
	rounds := flag.Int("rounds", 20, "how often each cost of a drop is measured, in turn")
	pairs := flag.Int("pairs", 400, "how many pairs of blocks, with and without the probe, compare the throughput without drops")
	burst := flag.Duration("burst", 5*time.Second, "how long drops are made at the rate at which no event may be lost")
	flag.Parse()
	runtime.LockOSThread() // it is in the namespace, and so is what it opens
	var b strings.Builder
	err := run(&b, *rounds, *pairs, *burst)
	fmt.Print(b.String())
	if err == nil && *out != "" {
		err = os.WriteFile(*out, []byte(b.String()), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, rounds, pairs int, burst time.Duration) error {
	if err := ownNamespace(); err != nil {
		return err
	}
	if err := costOfDrops(w, rounds); err != nil {
		return err
	}
	if err := costOfNoDrops(w, pairs); err != nil {
		return err
	}
	return noEventLost(w, burst)
}

func ownNamespace() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("a network namespace needs CAP_SYS_ADMIN: %w", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
