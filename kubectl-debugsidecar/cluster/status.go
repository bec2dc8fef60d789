package cluster

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/debugsidecar/debugsidecar/webhook/inject"
	"github.com/debugsidecar/debugsidecar/webhook/missed"
)

type statusOptions struct {
	options
	all bool
	ask bool
}

func newStatus(streams genericiooptions.IOStreams) *cobra.Command {
	o := &statusOptions{options: options{streams: streams}}
	c := &cobra.Command{
		Use:   "status [-n NAMESPACE | -A]",
		Short: "List the pods with a sidecar, and those that went without",
		Long: `List the pods with a sidecar: profile, revision and whether it is outdated, tier and
health, and the pods that were to have one and went without, with the reason. Pods
that ended are left out. The status is 1 if the pods can't be read.`,
		Example: `  kubectl debugsidecar status -A
  kubectl debugsidecar status -n cameras -o json`,
	}
	o.complete(c, "namespace of the pods (default: the context's)", []string{"json", "wide"}, o.run)
	c.Flags().BoolVarP(&o.all, "all-namespaces", "A", false, "pods of all namespaces")
	c.Flags().BoolVar(&o.ask, "ask-sidecars", true, "ask each running sidecar for its health, through the API server")
	return c
}

// States of a pod.
const (
	stateCurrent  = "current"
	stateOutdated = "outdated"
	stateUnknown  = "unknown"
	stateMissed   = "missed"
)

// row is a pod with a sidecar, or one that went without.
type row struct {
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	Profile   string `json:"profile"`
	// State is current, outdated or unknown (which revision there would be now
	// could not be read) of a sidecar, and missed of a pod without.
	State           string     `json:"state"`
	Revision        string     `json:"revision,omitempty"`
	CurrentRevision string     `json:"currentRevision,omitempty"`
	Tier            string     `json:"tier,omitempty"`
	Placement       string     `json:"placement,omitempty"`
	Container       *container `json:"container,omitempty"`
	// Health is healthy or another word of the sidecar's own, or what its
	// container says instead; HealthReason says why, if there is more to say.
	Health       string  `json:"health,omitempty"`
	HealthReason string  `json:"healthReason,omitempty"`
	Missed       *absent `json:"missed,omitempty"`

	port int32
}

type absent struct {
	Reason missed.Reason `json:"reason"`
	Detail string        `json:"detail"`
}

// table is what -o json prints.
type table struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Items      []row  `json:"items"`
	// NotKnown are sentences about what could not be read.
	NotKnown []string `json:"notKnown"`
}

func (o *statusOptions) run(ctx context.Context, c *client) error {
	namespace := metav1.NamespaceAll
	if !o.all {
		var err error
		if namespace, _, err = o.kube.Config().Namespace(); err != nil {
			return fmt.Errorf("reading the kubeconfig: %w", err)
		}
	}
	t, err := o.table(ctx, c, namespace)
	if err != nil {
		return err
	}
	if o.ask {
		c.askAll(ctx, t.Items)
	}
	if o.output == "json" {
		return o.json(t)
	}
	o.print(t)
	return nil
}

func (o *statusOptions) table(ctx context.Context, c *client, namespace string) (*table, error) {
	t := &table{APIVersion: "debugsidecar.io/v1alpha1", Kind: "SidecarStatus", Items: []row{}, NotKnown: []string{}}
	r := &reader{where: o.where}
	r.read(ctx, c, t)
	namespaces, err := c.namespaces(ctx, namespace)
	if err != nil {
		t.NotKnown = append(t.NotKnown, "pods that a namespace's label concerns: "+notKnown("read", "namespaces", err))
	}
	r.namespaces = namespaces
	next := ""
	for {
		pods, err := c.core.Pods(namespace).List(ctx, metav1.ListOptions{Limit: 500, Continue: next})
		if err != nil {
			return nil, fmt.Errorf("listing pods: %w", err)
		}
		for i := range pods.Items {
			if row, ok := r.row(&pods.Items[i]); ok {
				t.Items = append(t.Items, row)
			}
		}
		if next = pods.Continue; next == "" {
			return t, nil
		}
	}
}

// namespaces reads one namespace, or all.
func (c *client) namespaces(ctx context.Context, name string) (map[string]*metav1.ObjectMeta, error) {
	out := map[string]*metav1.ObjectMeta{}
	if name != metav1.NamespaceAll {
		ns, err := c.core.Namespaces().Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			out[name] = &ns.ObjectMeta
		}
		return out, err
	}
	list, err := c.core.Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return out, err
	}
	for i := range list.Items {
		out[list.Items[i].Name] = &list.Items[i].ObjectMeta
	}
	return out, nil
}

// reader knows what a pod's row depends on, as far as it can be read.
type reader struct {
	where        where
	installation *missed.Installation // nil: not known
	revisions    map[string]string    // by profile; nil: not known
	canary       map[string]string    // by profile; nil: there is none
	namespaces   map[string]*metav1.ObjectMeta
}

func (r *reader) read(ctx context.Context, c *client, t *table) {
	m, err := c.mutating(ctx, r.where)
	switch {
	case err == nil:
		if r.where.name = m.Name; r.where.namespace == "" {
			r.where.namespace = namespaceOf(m)
		}
		r.installation, err = missed.Of(m)
	case r.where.name == "" && r.where.namespace != "":
		r.where.name = "debugsidecar"
	}
	if err != nil {
		t.NotKnown = append(t.NotKnown, "which pods the webhook is asked about: "+notKnown("list", "mutatingwebhookconfigurations", err))
	}
	s, err := c.settings(ctx, r.where)
	if err != nil {
		t.NotKnown = append(t.NotKnown, "which revisions are outdated: "+notKnown("get", "the ConfigMaps of the webhook", err))
		return
	}
	r.revisions = s.Profiles.Revisions()
	if s.Canary != nil {
		r.canary = s.Canary.Revisions()
	}
}

// row returns a pod's row; false if it has no sidecar and was to have none.
func (r *reader) row(pod *corev1.Pod) (row, bool) {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return row{}, false
	}
	out := row{Namespace: pod.Namespace, Pod: pod.Name}
	status, annotated := missed.StatusOf(&pod.ObjectMeta)
	if annotated && status.Skipped == "" && has(&pod.Spec, status.Profile) {
		out.Profile, out.Revision, out.Tier, out.Placement = status.Profile, status.Revision, status.Tier, status.Placement
		out.State, out.CurrentRevision = r.state(status)
		out.port = portOf(&pod.Spec, status)
		out.Container = containerOf(pod, status.Profile)
		out.Health, out.HealthReason = out.Container.health(pod)
		return out, true
	}
	meta := pod.ObjectMeta
	if annotated && status.Skipped == "" {
		// A copy of an annotation: the webhook would have replaced it.
		meta.Annotations = nil
	}
	absence, ok := r.missed(&meta)
	out.Profile, out.State = absence.Profile, stateMissed
	out.Missed = &absent{absence.Reason, absence.Detail}
	return out, ok
}

// state compares a sidecar's revision with what a new pod would get.
func (r *reader) state(s inject.Status) (state, current string) {
	if r.revisions == nil {
		return stateUnknown, ""
	}
	current = r.revisions[s.Profile]
	switch s.Revision {
	case current, r.canary[s.Profile]:
		return stateCurrent, current
	default: // also: there is no such profile any more
		return stateOutdated, current
	}
}

// missed asks as the leader does. Where the webhook's configuration or the
// namespace can't be read, what the pod itself says is all there is.
func (r *reader) missed(pod *metav1.ObjectMeta) (missed.Pod, bool) {
	namespace := r.namespaces[pod.Namespace]
	if r.installation != nil && namespace != nil {
		return r.installation.Why(pod, namespace)
	}
	status, ok := missed.StatusOf(pod)
	if !ok || status.Skipped == "" {
		return missed.Pod{}, false
	}
	return missed.Pod{Profile: status.Profile, Reason: missed.Skipped, Detail: status.Skipped}, true
}

func (o *statusOptions) print(t *table) {
	for _, n := range t.NotKnown {
		fmt.Fprintln(o.streams.ErrOut, n)
	}
	if len(t.Items) == 0 {
		fmt.Fprintln(o.streams.ErrOut, "there are no pods with a sidecar, and none that went without")
		return
	}
	w := tabwriter.NewWriter(o.streams.Out, 0, 0, 3, ' ', 0)
	line := func(namespace string, wide []string, cells ...string) {
		if o.all {
			cells = append([]string{namespace}, cells...)
		}
		if o.output == "wide" {
			cells = append(cells, wide...)
		}
		for i, c := range cells {
			if c == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	line("NAMESPACE", []string{"PLACEMENT", "RESTARTS", "NEW PODS GET", "WHY"}, "POD", "PROFILE", "REVISION", "STATE", "TIER", "HEALTH")
	for i := range t.Items {
		r := &t.Items[i]
		wide := []string{r.Placement, "", r.CurrentRevision, clean(r.HealthReason)}
		health := r.Health
		if r.Container != nil {
			wide[1] = fmt.Sprint(r.Container.Restarts)
		}
		if r.Missed != nil {
			health, wide[3] = string(r.Missed.Reason), clean(r.Missed.Detail)
		}
		line(r.Namespace, wide, r.Pod, r.Profile, r.Revision, r.State, r.Tier, health)
	}
	w.Flush() //nolint:errcheck // as with Fprintln
	if o.output != "wide" {
		o.why(t)
	}
}

// why gives the reasons of the table's words, which have no room in it.
func (o *statusOptions) why(t *table) {
	first := true
	for i := range t.Items {
		r := &t.Items[i]
		if r.Missed == nil {
			continue
		}
		if first {
			fmt.Fprintln(o.streams.Out)
			first = false
		}
		fmt.Fprintf(o.streams.Out, "%s/%s went without: %s\n", r.Namespace, r.Pod, clean(r.Missed.Detail))
	}
}

// clean keeps a text in its line: a part of it may be what a pod's owner wrote.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}
