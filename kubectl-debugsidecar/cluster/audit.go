package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/admit"
	"github.com/debugsidecar/debugsidecar/webhook/audit"
	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

type auditOptions struct {
	options
	all     bool
	level   string
	reports bool
}

func newAudit(streams genericiooptions.IOStreams) *cobra.Command {
	o := &auditOptions{options: options{streams: streams}}
	c := &cobra.Command{
		Use:   "audit [-n NAMESPACE | -A] [--level LEVEL]",
		Short: "Judge the pods that run already, as the webhook would judge new ones",
		Long: `Judge the pods that run already, as the webhook would judge new ones: by their
namespace's levels, or with --level as if that were enforced. With --report,
nothing is judged: it shows what the webhook's own audit found last.

It asks for pods slowly, with your rights. The status is 1 if a pod would be
denied, or if pods could not be read or judged.`,
		Example: `  kubectl debugsidecar audit -A
  kubectl debugsidecar audit -n cameras --level restricted
  kubectl debugsidecar audit -A --report -o json`,
	}
	o.complete(c, "namespace of the pods (default: the context's)", []string{"json", "table"}, o.run)
	f := c.Flags()
	f.BoolVarP(&o.all, "all-namespaces", "A", false, "pods of all namespaces")
	f.StringVar(&o.level, "level", "", "level to judge by: baseline or restricted (default: each namespace's own)")
	f.BoolVar(&o.reports, "report", false, "show the PolicyReports that the webhook's audit wrote")
	timeout := f.Lookup("timeout") // five requests a second take longer than others'
	timeout.DefValue = "10m0s"
	timeout.Value.Set(timeout.DefValue)                                                                                                                                 //nolint:errcheck // it is a duration
	c.RegisterFlagCompletionFunc("level", cobra.FixedCompletions([]string{string(policies.Baseline), string(policies.Restricted)}, cobra.ShellCompDirectiveNoFileComp)) //nolint:errcheck // the flag exists
	return c
}

func (o *auditOptions) run(ctx context.Context, c *client) error {
	switch policies.Level(o.level) {
	case "", policies.Baseline, policies.Restricted:
	default:
		return fmt.Errorf("--level: %q is neither %s nor %s", o.level, policies.Baseline, policies.Restricted)
	}
	if o.reports && o.level != "" {
		return errors.New("--report shows what was found already; leave out --level")
	}
	namespace := metav1.NamespaceAll
	if !o.all {
		var err error
		if namespace, _, err = o.kube.Config().Namespace(); err != nil {
			return fmt.Errorf("reading the kubeconfig: %w", err)
		}
	}
	slow, err := audit.NewClient(c.config)
	if err != nil {
		return err
	}
	if o.reports {
		return o.showReports(ctx, slow, namespace)
	}
	a, err := o.auditor(ctx, c, slow, namespace)
	if err != nil {
		return err
	}
	found, err := a.audit(ctx)
	if err != nil {
		return err
	}
	if err := o.print(found); err != nil {
		return err
	}
	if found.bad {
		return told{}
	}
	return nil
}

// auditor judges with what a person may read of the cluster.
type auditor struct {
	level      policies.Level // empty: each namespace's own
	all        bool
	slow       *audit.Client
	deps       admit.Deps
	judged     audit.Judged // nil: not known
	namespaces []corev1.Namespace
	known      known
	notKnown   []string
}

func (o *auditOptions) auditor(ctx context.Context, c *client, slow *audit.Client, namespace string) (*auditor, error) {
	a := &auditor{level: policies.Level(o.level), all: o.all, slow: slow, known: known{}, notKnown: []string{}}
	if err := a.readNamespaces(ctx, c, namespace); err != nil {
		return nil, err
	}
	w := o.where
	if m, err := c.mutating(ctx, w); err == nil {
		if w.name = m.Name; w.namespace == "" {
			w.namespace = namespaceOf(m)
		}
	} else if w.namespace != "" && w.name == "" {
		w.name = "debugsidecar"
	}
	settings, err := c.settings(ctx, w)
	if err != nil {
		a.unknown("the cluster's profiles, grants, parameters and default level, so this build's defaults are used", "get", "the ConfigMaps of the webhook", err)
		if settings, err = config.Load(config.Paths{}); err != nil {
			return nil, err
		}
	}
	v, err := c.admission.ValidatingWebhookConfigurations().Get(ctx, w.name, metav1.GetOptions{})
	if err == nil {
		a.judged, err = audit.JudgedBy(v)
	}
	if err != nil {
		a.unknown("which namespaces are excluded, so none but kube-system is", "get", "validatingwebhookconfigurations", err)
	}
	native, err := c.nativeSidecars(ctx)
	if err != nil {
		return nil, err
	}
	evaluator, err := policies.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("compiling the policies: %w", err)
	}
	evaluator.SetParameters(settings.Parameters)
	a.deps = admit.Deps{
		Config:     func() *config.Snapshot { return settings },
		Recent:     func() []*config.Snapshot { return []*config.Snapshot{settings} },
		Namespaces: a.known, Policies: evaluator, NativeSidecars: native, OwnNamespace: w.namespace,
		Log: slog.New(slog.DiscardHandler),
	}
	return a, nil
}

// unknown notes what could not be read, and what that means.
func (a *auditor) unknown(what, verb, object string, err error) {
	a.notKnown = append(a.notKnown, what+": "+notKnown(verb, object, err))
}

// readNamespaces reads one namespace, or all. A level that is given makes up for
// a namespace that can't be read.
func (a *auditor) readNamespaces(ctx context.Context, c *client, name string) error {
	if name == metav1.NamespaceAll {
		for next := ""; ; {
			list, err := c.core.Namespaces().List(ctx, metav1.ListOptions{Limit: audit.Page, Continue: next})
			if apierrors.IsForbidden(err) {
				return errors.New("you may not list namespaces: name one that you may read with -n")
			}
			if err != nil {
				return fmt.Errorf("listing namespaces: %w", err)
			}
			a.namespaces = append(a.namespaces, list.Items...)
			if next = list.Continue; next == "" {
				break
			}
		}
	} else {
		ns, err := c.core.Namespaces().Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil:
		case apierrors.IsForbidden(err) && a.level != "":
			a.unknown("the labels of namespace "+name+", so a sidecar that only they ask for is not taken for ours", "get", "namespaces", err)
			ns = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		case apierrors.IsForbidden(err):
			return fmt.Errorf("you may not get namespace %s, so its level is not known: give --level", name)
		default:
			return fmt.Errorf("reading namespace %s: %w", name, err)
		}
		a.namespaces = []corev1.Namespace{*ns}
	}
	for i := range a.namespaces {
		ns := &a.namespaces[i]
		labels := maps.Clone(ns.Labels)
		if labels == nil {
			labels = map[string]string{}
		}
		if a.level != "" {
			labels[policies.EnforceLabel] = string(a.level)
			labels[policies.WarnLabel], labels[policies.AuditLabel] = string(policies.Off), string(policies.Off)
		}
		a.known[ns.Name] = inject.Namespace{Name: ns.Name, Labels: labels, Annotations: ns.Annotations}
	}
	return nil
}

// known has what is known of namespaces. Of what a pod's identity rests on,
// limits and quotas don't count for a pod that is there already.
type known map[string]inject.Namespace

func (k known) Namespace(_ context.Context, name string) inject.Namespace { return k[name] }

func (k known) Labels(_ context.Context, name string) (map[string]string, bool) {
	ns, ok := k[name]
	return ns.Labels, ok
}
