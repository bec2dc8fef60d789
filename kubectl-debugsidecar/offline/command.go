// Package offline is the kubectl plugin's command line. Its commands work on
// manifests alone, with the very code of the webhook; no cluster is asked.
package offline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// Exit codes.
const (
	exitFine   = 0
	exitFailed = 1 // something is denied, or could not be done
	exitUsage  = 2
)

// failure is an error of a command that was called rightly.
type failure struct{ error }

// errDenied is a failure about which everything was printed.
var errDenied = errors.New("denied")

// Main runs the command line, with more commands beside those of this package,
// and returns the exit code. An error with a method ExitCode chooses its own; one
// without a text was told already.
func Main(ctx context.Context, args []string, streams genericiooptions.IOStreams, more ...*cobra.Command) int {
	c := newCommand(streams)
	c.AddCommand(more...)
	c.SetArgs(args)
	called, err := c.ExecuteContextC(ctx)
	if err == nil {
		return exitFine
	}
	for _, problem := range problems(err) {
		if problem != "" {
			fmt.Fprintf(streams.ErrOut, "error: %s\n", problem)
		}
	}
	if coded, ok := errors.AsType[interface {
		error
		ExitCode() int
	}](err); ok {
		return coded.ExitCode()
	}
	if _, failed := errors.AsType[failure](err); failed {
		return exitFailed
	}
	fmt.Fprintf(streams.ErrOut, "See '%s --help' for usage.\n", called.CommandPath())
	return exitUsage
}

// problems returns the texts of all errors in err, without what was printed.
func problems(err error) []string {
	switch e := err.(type) { //nolint:errorlint // this one, not what it wraps
	case failure:
		return problems(e.error)
	case usageError:
		return problems(e.error)
	case interface{ Unwrap() []error }:
		var all []string
		for _, one := range e.Unwrap() {
			all = append(all, problems(one)...)
		}
		return all
	}
	if errors.Is(err, errDenied) {
		return nil
	}
	return []string{strings.TrimSpace(err.Error())}
}

func newCommand(streams genericiooptions.IOStreams) *cobra.Command {
	c := &cobra.Command{
		Use:   "kubectl-debugsidecar",
		Short: "Inject debug and video-probe sidecars, check policies, and look after an installation",
		Long: `Inject debug and video-probe sidecars, check policies, and look after an installation.

inject, uninject, explain and check run the webhook's own code on manifests and
ask no cluster: what it would know comes from Namespace, LimitRange and
ResourceQuota objects among the manifests, and from flags. status and doctor ask
the cluster.`,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl debugsidecar"},
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.SetIn(streams.In)
	c.SetOut(streams.Out)
	c.SetErr(streams.ErrOut)
	c.AddCommand(newInject(streams), newUninject(streams), newExplain(streams), newCheck(streams), newPolicy(streams))
	return c
}

// subcommand completes a command: it takes no arguments, and an error of run is
// a failure unless it is about usage.
func subcommand(c *cobra.Command, o *options, check func() error, run func(context.Context) error) *cobra.Command {
	c.Args = cobra.NoArgs
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := errors.Join(o.check(), check()); err != nil {
			return err
		}
		err := run(c.Context())
		if _, usage := err.(usageError); err == nil || usage { //nolint:errorlint // never wrapped
			return err
		}
		return failure{err}
	}
	o.addFlags(c)
	return c
}

// usageError is a mistake in the call that shows only once the input is read.
type usageError struct{ error }

// oneOf checks the value of a flag.
func oneOf(flag, value string, allowed ...string) error {
	if value == "" || slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("--%s: %q is none of %s", flag, value, strings.Join(allowed, ", "))
}
