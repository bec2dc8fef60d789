// Command vm runs tests of some packages under another kernel, and shows the
// console: go run ./test/vm/cmd/vm -kernel 6.1 ./bpf/drop -test.run Closed
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/debugsidecar/debugsidecar/test/vm"
)

func main() {
	flag.Usage = func() {
		fmt.Fprint(os.Stderr, "usage: vm [-kernel NAME] PACKAGE... [-test.FLAG...]\n\nRuns tests under one of Debian's kernels, in QEMU.\n\n")
		flag.PrintDefaults()
	}
	name := flag.String("kernel", vm.Kernels[0].Name, "which kernel: "+names())
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *name, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, name string, args []string) error {
	var packages, flags []string
	for _, a := range args {
		if len(flags) > 0 || strings.HasPrefix(a, "-") {
			flags = append(flags, a)
		} else {
			packages = append(packages, a)
		}
	}
	if len(packages) == 0 {
		return fmt.Errorf("which packages? as ./bpf/drop")
	}
	for _, k := range vm.Kernels {
		if k.Name != name {
			continue
		}
		result, err := k.Run(ctx, packages, flags, os.Stdout, func(line string) { fmt.Fprintln(os.Stderr, line) })
		if err != nil {
			return err
		}
		fmt.Println(result.Summary())
		return nil
	}
	return fmt.Errorf("no kernel %q; there are %s", name, names())
}

func names() string {
	var all []string
	for _, k := range vm.Kernels {
		all = append(all, k.Name)
	}
	return strings.Join(all, ", ")
}
