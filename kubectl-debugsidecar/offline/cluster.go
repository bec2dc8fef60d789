package offline

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	kjson "sigs.k8s.io/json"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/manifest"
	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

// cluster stands in for the cluster: what is known of it, and the manifests.
type cluster struct {
	options    *options
	config     *config.Snapshot
	documents  []*manifest.Document
	namespaces map[string]*inject.Namespace
	declared   map[string]bool // namespaces with a Namespace object
	pods       []pod
}

// pod is a pod or a workload's pod template among the manifests.
type pod struct {
	object    manifest.Object
	manifest  *manifest.Pod
	document  *manifest.Document
	namespace string
}

// name names the pod's object, and where it stands, for messages.
func (p *pod) name() string {
	o := p.object
	o.Namespace = p.namespace
	return o.At + ": " + o.String()
}

// load reads the configuration and the manifests. The cluster holds what could
// be read; the error names everything that could not. Without a configuration
// the cluster is nil.
func (o *options) load() (*cluster, error) {
	snapshot, configErr := o.configuration()
	documents, err := manifest.Read(o.sources)
	if configErr != nil {
		return nil, errors.Join(configErr, err)
	}
	c, objectsErr := o.gather(snapshot, documents)
	if len(c.pods) == 0 && err == nil && objectsErr == nil {
		fmt.Fprintln(o.streams.ErrOut, "there are no pods and no workloads in the input")
	}
	return c, errors.Join(err, objectsErr)
}

// gather finds the pods and what is known of the cluster.
func (o *options) gather(snapshot *config.Snapshot, documents []*manifest.Document) (*cluster, error) {
	c := &cluster{
		options: o, config: snapshot, documents: documents,
		namespaces: map[string]*inject.Namespace{}, declared: map[string]bool{},
	}
	var errs []error
	empty := true
	for _, d := range documents {
		objects, err := d.Objects()
		errs = append(errs, err)
		empty = empty && d.Root == nil
		for _, object := range objects {
			errs = append(errs, c.add(d, object))
		}
	}
	if empty {
		errs = append(errs, errors.New("there are no objects in the input"))
	}
	return c, errors.Join(errs...)
}

func (c *cluster) add(d *manifest.Document, o manifest.Object) error {
	known, err := c.know(&o)
	if known || err != nil {
		return err
	}
	found, err := o.Pod()
	if found == nil || err != nil {
		return err
	}
	namespace, err := c.namespaceOf(&o)
	if err != nil {
		return err
	}
	c.pods = append(c.pods, pod{o, found, d, namespace})
	return nil
}

// know takes in an object that says something about the cluster.
func (c *cluster) know(o *manifest.Object) (known bool, err error) {
	if o.APIVersion != "v1" {
		return false, nil
	}
	switch o.Kind {
	case "Namespace":
		var ns corev1.Namespace
		if err := decode(o.Content, &ns); err != nil {
			return true, fmt.Errorf("%s: %s can't be read: %w", o.At, o, err)
		}
		known := c.namespace(ns.Name)
		known.Labels, known.Annotations = ns.Labels, ns.Annotations
		c.declared[ns.Name] = true
		return true, nil
	case "LimitRange", "ResourceQuota":
		namespace, err := c.namespaceOf(o)
		if err != nil {
			return true, err
		}
		ns := c.namespace(namespace)
		var lr corev1.LimitRange
		var quota corev1.ResourceQuota
		if o.Kind == "LimitRange" {
			if err = decode(o.Content, &lr); err == nil {
				setLimitRangeDefaults(&lr)
				ns.LimitRanges = append(ns.LimitRanges, lr)
			}
		} else if err = decode(o.Content, &quota); err == nil {
			ns.Quotas = append(ns.Quotas, quota)
		}
		if err != nil {
			return true, fmt.Errorf("%s: %s can't be read: %w", o.At, o, err)
		}
		return true, nil
	}
	return false, nil
}

// namespace returns what is known of a namespace, to be added to.
func (c *cluster) namespace(name string) *inject.Namespace {
	if c.namespaces[name] == nil {
		c.namespaces[name] = &inject.Namespace{Name: name}
	}
	return c.namespaces[name]
}

// namespaceOf is kubectl's choice: the object's own namespace, else -n, else the
// kubeconfig's, else default.
func (c *cluster) namespaceOf(o *manifest.Object) (string, error) {
	if o.Namespace != "" {
		return o.Namespace, nil
	}
	namespace, _, err := c.options.kube.Config().Namespace()
	if err != nil {
		return "", fmt.Errorf("%s: %s names no namespace, and the kubeconfig can't be read: %w", o.At, o, err)
	}
	return namespace, nil
}

// podSecurityLabel sets the level of the built-in Pod Security admission.
const podSecurityLabel = "pod-security.kubernetes.io/enforce"

// namespaceLabels are a namespace's labels, with what flags say instead.
func (o *options) namespaceLabels(labels map[string]string) map[string]string {
	for label, level := range map[string]string{podSecurityLabel: o.podSecurity, policies.EnforceLabel: o.level} {
		if level != "" {
			labels = withLabel(labels, label, level)
		}
	}
	return labels
}

// facts gathers what the decision about a pod depends on.
func (c *cluster) facts(p *pod) (inject.Facts, error) {
	read := &facts.Pod{}
	if err := decode(p.manifest.Content, read); err != nil {
		return inject.Facts{}, fmt.Errorf("%s can't be read: %w", p.name(), err)
	}
	ns := *c.namespace(p.namespace)
	ns.Labels = c.options.namespaceLabels(ns.Labels)
	if profile := c.options.profile; profile != "" && read.Metadata.Labels[inject.Label] != inject.Disabled {
		read.Metadata.Labels = withLabel(read.Metadata.Labels, inject.Label, profile)
	}
	read.Metadata.Namespace = p.namespace
	setPodDefaults(read, ns.LimitRanges)
	return inject.Facts{
		Pod:       read,
		Namespace: ns,
		Cluster:   c.config.Cluster(c.options.nativeSidecars, ""),
		Profiles:  c.config.Profiles,
		SELinux:   c.config.Parameters.SELinux(p.namespace, ns.Annotations),
		Full: func() (*corev1.Pod, error) {
			full := &corev1.Pod{}
			return full, decode(p.manifest.Content, full)
		},
	}, nil
}

func withLabel(labels map[string]string, key, value string) map[string]string {
	out := maps.Clone(labels)
	if out == nil {
		out = map[string]string{}
	}
	out[key] = value
	return out
}

// decode reads an object as an API server does: the case of names counts.
func decode(content map[string]any, into any) error {
	data, err := json.Marshal(content)
	if err != nil {
		return err
	}
	return kjson.UnmarshalCaseSensitivePreserveInts(data, into)
}
