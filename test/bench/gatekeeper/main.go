// Command gatekeeper measures what the rules cost here and what they cost as
// ConstraintTemplates in Gatekeeper, over the same pods and in one process. The
// templates and their Rego are our own (templates/): one for each of our rules
// that Pod Security has, at the level restricted. What they say is compared over
// Pod Security's fixtures before anything is measured.
//
// It is a module of its own, so that the product doesn't depend on Gatekeeper.
// Its versions of OPA and Kubernetes' libraries are the product's.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	out := flag.String("o", "", "also write the table to this file")
	rounds := flag.Int("rounds", 15, "how often each is measured, in turn")
	pod := flag.String("pod", "../../../policies/testdata/pod.yaml", "the pod that is reviewed")
	flag.Parse()
	if err := run(*out, *pod, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "gatekeeper:", err)
		os.Exit(1)
	}
}

func run(out, podFile string, rounds int) error {
	ctx := context.Background()
	ours, err := newOurs(ctx)
	if err != nil {
		return err
	}
	theirs, err := newGatekeeper(ctx)
	if err != nil {
		return err
	}
	compared, err := compare(ctx, ours, theirs)
	if err != nil {
		return err
	}
	subjects, size, err := prepare(ctx, ours, theirs, podFile)
	if err != nil {
		return err
	}
	results, err := measure(subjects, rounds)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "the same %d rules say the same of %d fixtures\n", len(rules), compared)
	report(&b, results, size, rounds)
	fmt.Print(b.String())
	if out == "" {
		return nil
	}
	return os.WriteFile(out, []byte(b.String()), 0o644)
}
