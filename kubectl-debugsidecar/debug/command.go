// Package debug has the plugin's command `debug`: a debug container in a pod with
// one command, and a terminal in it. What is added, package shape says; this one
// asks the cluster, waits, and attaches.
package debug

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug/shape"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/kubeconfig"
	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// options are the command's flags, and what they lead to.
type options struct {
	streams  genericiooptions.IOStreams
	kube     kubeconfig.Flags
	terminal *terminal
	keyboard *keyboard

	pod             string
	container       string
	image           string
	pullPolicy      string
	profile         string
	attach          bool
	detach          bool
	fresh           bool
	stdin           bool
	allowTerminated bool
	runInit         bool
	dryRun          string
	output          string
	reason, ticket  string
	ttl             time.Duration
	noTTL           bool
	timeout         time.Duration
	verbose         bool

	webhookNamespace, webhookName string

	target  named
	command []string
	ttlSet  bool
}

// Command returns the command.
func Command(streams genericiooptions.IOStreams) *cobra.Command {
	o := &options{streams: streams, keyboard: newKeyboard(streams.In)}
	c := &cobra.Command{
		Use:   "debug (POD | TYPE/NAME) [-c CONTAINER] [-- COMMAND...]",
		Short: "Add a debug container to a pod, and open a terminal in it",
		Long: `Add a debug container to a pod, wait for it while saying what it waits for, and
open a terminal in it. The status is that of the program in it.

It gets what fits the container that it debugs: its user, its mounts, what sees
its processes; with the highest profile that the namespace permits, and with what
that leaves out in words. A request that is denied adds nothing, and names the
smallest change that passes.

Containers that were added can't be removed from a pod, so the same request again
goes back into the one that is there.`,
		Example: `  # a shell beside the only, or the default, container of a pod
  kubectl debugsidecar debug web-0
  # beside another container, in any pod of a Deployment
  kubectl debugsidecar debug deploy/web -c app
  # one command; its status is this command's
  kubectl debugsidecar debug web-0 -- ss -tlnp
  # back into the debug container that is there
  kubectl debugsidecar debug web-0 --attach
  # a copy of a pod that crashes
  kubectl debugsidecar debug web-0 --allow-terminated
  # what would be added
  kubectl debugsidecar debug web-0 --dry-run=server -o yaml
  # another image, which does not end by itself
  kubectl debugsidecar debug web-0 --image=busybox:1.37 --no-ttl -- sh`,
		Args: func(c *cobra.Command, args []string) error { return o.arguments(c, args) },
		RunE: func(c *cobra.Command, _ []string) error { return o.execute(c) },
	}
	f := c.Flags()
	o.kube.AddTo(f, "namespace of the pod (default: the context's)")
	f.StringVar(&o.pod, "pod", "", "the pod; beside TYPE/NAME, which of its pods")
	f.StringVarP(&o.container, "container", "c", "", "container to debug (default: the pod's default or first one); with --attach also a debug container")
	f.StringVar(&o.image, "image", "", "image of the debug container (default: the installation's)")
	f.StringVar(&o.pullPolicy, "image-pull-policy", "", "Always, IfNotPresent or Never (default: as the API server decides)")
	f.StringVar(&o.profile, "profile", "", "how much it may do: "+strings.Join(profiles(), ", ")+" (default: the highest up to general that is permitted)")
	f.BoolVar(&o.attach, "attach", false, "attach to a debug container that is there, add none")
	f.BoolVar(&o.detach, "detach", false, "end when it runs, and do not attach")
	f.BoolVar(&o.fresh, "new", false, "add one even if there is one of the same request")
	f.BoolVarP(&o.stdin, "stdin", "i", false, "pass standard input on, where it is not a terminal")
	f.BoolVar(&o.allowTerminated, "allow-terminated", false, "debug a copy of a pod that has ended or crashes again and again")
	f.BoolVar(&o.runInit, "run-init", false, "with --allow-terminated: the pod's init containers run in the copy, too")
	f.StringVar(&o.dryRun, "dry-run", "", "client or server: show what would be added, and add nothing")
	f.StringVarP(&o.output, "output", "o", "", "format: json or yaml, with --dry-run; json with --detach")
	f.StringVar(&o.reason, "reason", "", "why, for the record")
	f.StringVar(&o.ticket, "ticket", "", "the ticket's number, for the record")
	f.DurationVar(&o.ttl, "ttl", 0, "how long the session may last (default: the installation's)")
	f.BoolVar(&o.noTTL, "no-ttl", false, "let it last as long as its pod")
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "how long to wait for its start at most")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "say more of what is chosen, and why")
	f.StringVar(&o.webhookNamespace, "webhook-namespace", "", "namespace of the webhook (default: as its configuration says)")
	f.StringVar(&o.webhookName, "webhook-name", "", "name of the webhook's objects (default: that of the configuration that is found)")
	o.completions(c)
	return c
}

func profiles() []string {
	var out []string
	for _, p := range shape.Profiles() {
		out = append(out, string(p))
	}
	return out
}

// arguments reads what stands before and after the dashes.
func (o *options) arguments(c *cobra.Command, args []string) error {
	before := args
	if n := c.ArgsLenAtDash(); n >= 0 {
		before, o.command = args[:n], args[n:]
		if len(o.command) == 0 {
			return errors.New("there is no command after --")
		}
	}
	switch {
	case len(before) > 1 && c.ArgsLenAtDash() < 0:
		return fmt.Errorf("%q is too much: a command to run stands after --", before[1])
	case len(before) > 1:
		return fmt.Errorf("one pod at a time: there are %s", strings.Join(before, " and "))
	case len(before) == 0 && o.pod == "":
		return errors.New("name a pod, or TYPE/NAME as in deploy/web")
	case len(before) == 0:
		o.target = named{pod: o.pod}
		return nil
	}
	var err error
	if o.target, err = parseNamed(before[0]); err != nil {
		return err
	}
	if o.target.workload == nil && o.pod != "" && o.pod != o.target.pod {
		return fmt.Errorf("it is either pod %s or --pod=%s", o.target.pod, o.pod)
	}
	return nil
}

// check finds flags that don't go together.
func (o *options) check(c *cobra.Command) error {
	o.ttlSet = c.Flags().Changed("ttl")
	changed := func(names ...string) (out []string) {
		for _, n := range names {
			if c.Flags().Changed(n) {
				out = append(out, "--"+n)
			}
		}
		return out
	}
	oneOf := func(flag, value string, allowed ...string) error {
		if value == "" || slices.Contains(allowed, value) {
			return nil
		}
		return fmt.Errorf("--%s: %q is none of %s", flag, value, strings.Join(allowed, ", "))
	}
	errs := []error{
		oneOf("profile", o.profile, profiles()...),
		oneOf("dry-run", o.dryRun, "client", "server"),
		oneOf("output", o.output, "json", "yaml"),
		oneOf("image-pull-policy", o.pullPolicy, "Always", "IfNotPresent", "Never"),
	}
	if more := changed("image", "profile", "new", "detach", "allow-terminated", "dry-run", "reason", "ticket", "ttl", "no-ttl", "image-pull-policy"); o.attach && len(more) > 0 {
		errs = append(errs, fmt.Errorf("--attach adds nothing, so %s has no meaning", strings.Join(more, ", ")))
	}
	if o.attach && len(o.command) > 0 {
		errs = append(errs, errors.New("--attach adds nothing, so a command has no meaning"))
	}
	if o.runInit && !o.allowTerminated {
		errs = append(errs, errors.New("--run-init takes --allow-terminated"))
	}
	if o.noTTL && o.ttlSet {
		errs = append(errs, errors.New("it is either --ttl or --no-ttl"))
	}
	if o.ttlSet && o.ttl <= 0 {
		errs = append(errs, fmt.Errorf("--ttl: a session can't last %s; --no-ttl is without an end", o.ttl))
	}
	if o.timeout <= 0 {
		errs = append(errs, fmt.Errorf("--timeout: %s is no time to wait", o.timeout))
	}
	if o.output != "" && o.dryRun == "" && (!o.detach || o.output != "json") {
		errs = append(errs, errors.New("--output takes --dry-run; json also goes with --detach"))
	}
	for _, text := range []struct{ flag, is string }{{"reason", o.reason}, {"ticket", o.ticket}} {
		if session.Text(text.is) != text.is {
			errs = append(errs, fmt.Errorf("--%s: it has to be printable and at most %d bytes", text.flag, session.MaxText))
		}
	}
	return errors.Join(errs...)
}

func (o *options) execute(c *cobra.Command) error {
	if err := o.check(c); err != nil {
		return err
	}
	o.terminal = terminalOf(o.streams.In, o.streams.Out)
	config, err := o.kube.Config().ClientConfig()
	if err != nil {
		return failure{fmt.Errorf("reading the kubeconfig: %w", err)}
	}
	namespace, _, err := o.kube.Config().Namespace()
	if err != nil {
		return failure{fmt.Errorf("reading the kubeconfig: %w", err)}
	}
	client, err := newClient(config)
	if err != nil {
		return failure{err}
	}
	ctx, stop := untilSignal(c.Context())
	defer stop()
	err = o.debug(ctx, client, namespace)
	if s, ok := errors.AsType[*signalled](context.Cause(ctx)); ok && err != nil {
		if _, told := errors.AsType[exitStatus](err); !told {
			note(o.streams.ErrOut, "%v", err)
			return exitStatus(s.status())
		}
	}
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[interface {
		error
		ExitCode() int
	}](err); ok {
		return err
	}
	return failure{err}
}

// untilSignal is a context that ends when somebody wants this program to end. A
// second signal ends it at once.
func untilSignal(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		select {
		case s := <-signals:
			cancel(&signalled{s})
		case <-ctx.Done():
		}
		signal.Stop(signals)
	}()
	return ctx, func() { cancel(nil) }
}
