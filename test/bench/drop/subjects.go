package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/drop"
)

// subject is something that watches drops, from start until stop. stop says how
// many it counted.
type subject struct {
	name   string
	counts bool // all that is dropped here
	start  func() (stop func() (int64, error), err error)
}

func subjects(own uint32) []subject {
	all := []subject{
		{"floor: a program that returns at once", false, startFloor},
		{"probe, a drop of another pod", false, func() (func() (int64, error), error) {
			return startProbe(drop.Options{Target: bpf.Target{Netns: []uint32{own + 1}}})
		}},
		{"probe, counted", true, func() (func() (int64, error), error) { return startProbe(drop.Options{}) }},
		{"probe, counted, and each event read", true, func() (func() (int64, error), error) {
			return startProbe(drop.Options{Detail: true})
		}},
	}
	if _, err := exec.LookPath("bpftrace"); err != nil {
		progress("bpftrace is not installed: the peer is left out (apt-get install bpftrace)")
		return all
	}
	if err := ownTracefs(); err != nil {
		progress("bpftrace needs tracefs: the peer is left out: %v", err)
		return all
	}
	return append(all, subject{"bpftrace, the same count", true, func() (func() (int64, error), error) { return startBpftrace(own) }})
}

func startFloor() (func() (int64, error), error) {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.RawTracepoint, License: "Dual MIT/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return nil, err
	}
	l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: "kfree_skb", Program: program})
	if err != nil {
		return nil, err
	}
	return func() (int64, error) { return 0, errors.Join(l.Close(), program.Close()) }, nil
}

func startProbe(o drop.Options) (func() (int64, error), error) {
	o.MaxTier = bpf.TierKernel
	p, err := drop.Open(o)
	if err != nil {
		return nil, err
	}
	if p.Tier() != bpf.TierKernel {
		return nil, p.Why()
	}
	var seen int64
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	if o.Detail {
		go func() { done <- p.Events(ctx, func(drop.Event) { seen++ }) }()
	}
	return func() (int64, error) {
		defer p.Close()
		defer cancel()
		counts, err := p.Counts()
		if err != nil {
			return 0, err
		}
		stats, err := p.Stats()
		if err != nil {
			return 0, err
		}
		var total int64
		for _, c := range counts {
			total += int64(c.Drops)
		}
		if o.Detail {
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				return 0, err
			}
			if seen+int64(stats.LostEvents) != total {
				return 0, fmt.Errorf("%d events read and %d lost are not %d drops", seen, stats.LostEvents, total)
			}
		}
		return total, nil
	}, nil
}

// startBpftrace lets bpftrace count by reason, in this namespace alone where the
// kernel names the receiving socket.
func startBpftrace(own uint32) (func() (int64, error), error) {
	script := fmt.Sprintf(`BEGIN { printf("ready\n"); }
tracepoint:skb:kfree_skb {
	$sk = (struct sock *)args->rx_sk;
	if ($sk->__sk_common.skc_net.net->ns.inum == %d) { @[args->reason] = count(); }
}`, own)
	cmd := exec.Command("bpftrace", "-e", script)
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	var failure bytes.Buffer
	cmd.Stderr = &failure
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			_ = cmd.Wait()
			return nil, fmt.Errorf("bpftrace: %w: %s", err, failure.Bytes())
		}
		if line == "ready\n" {
			break
		}
	}
	time.Sleep(500 * time.Millisecond) // it attaches the rest after BEGIN
	return func() (int64, error) {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			return 0, err
		}
		rest, err := io.ReadAll(lines)
		if err := errors.Join(err, cmd.Wait()); err != nil {
			return 0, fmt.Errorf("bpftrace: %w: %s", err, failure.Bytes())
		}
		var total int64
		for _, m := range regexp.MustCompile(`@\[\d+\]: (\d+)`).FindAllSubmatch(rest, -1) {
			n, _ := strconv.ParseInt(string(m[1]), 10, 64)
			total += n
		}
		return total, nil
	}, nil
}

// ownTracefs mounts tracefs where bpftrace looks for it, in a mount namespace of
// the calling thread's own. The probe needs none.
func ownTracefs() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for _, fs := range []struct{ kind, path string }{
		{"debugfs", "/sys/kernel/debug"}, {"tracefs", "/sys/kernel/debug/tracing"}, {"tracefs", "/sys/kernel/tracing"},
	} {
		if err := unix.Mount(fs.kind, fs.path, fs.kind, 0, ""); err != nil {
			return fmt.Errorf("%s: %w", fs.kind, err)
		}
	}
	return nil
}
