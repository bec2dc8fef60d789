package debug

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// result is what -o json prints of a debug container that runs.
type result struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Pod        string `json:"pod"`
	Container  string `json:"container"`
	Target     string `json:"target"`
	Image      string `json:"image"`
	Profile    string `json:"profile"`
	// Added is false if it was there already.
	Added bool `json:"added"`
	// Attach is the command that attaches to it.
	Attach string `json:"attach"`
}

// report says that a debug container runs.
func (o *options) report(d *debugger) error {
	if o.output != "json" {
		note(o.streams.Out, "%s/%s/%s", d.pod.Namespace, d.pod.Name, d.container)
		note(o.streams.ErrOut, "attach by: %s", d.comeBack())
		return nil
	}
	r := result{
		APIVersion: "debugsidecar.io/v1alpha1", Kind: "DebugContainer", Namespace: d.pod.Namespace, Pod: d.pod.Name,
		Container: d.container, Added: d.added, Attach: d.comeBack(),
	}
	if c := containerOf(d.pod, d.container); c != nil {
		r.Image, r.Profile, r.Target = c.Image, envOf(c.Env, profileVar), envOf(c.Env, session.TargetContainerVar)
	}
	return o.print(r)
}

// shown is what is added to a pod.
type shown struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        map[string]string `json:"metadata"`
	Spec            struct {
		EphemeralContainers []corev1.EphemeralContainer `json:"ephemeralContainers"`
	} `json:"spec"`
}

// show prints what would be added: as this program makes it, or as the API server
// and its webhooks would have it.
func (o *options) show(ctx context.Context, c *client, f *facts, r *request) error {
	err := c.canBeAdded(f.pod, r.shape.Target)
	if t, ok := errors.AsType[*terminated](err); ok && o.allowTerminated {
		note(o.streams.ErrOut, "%s", t.text)
		return o.showCopy(ctx, c, f, r)
	}
	if err != nil {
		return err
	}
	var a *added
	if o.dryRun == "server" {
		if a, err = c.add(ctx, f.pod, r, true); err != nil {
			return err
		}
	} else {
		ladder, plan, err := c.ladder(ctx, f.pod, r)
		if err != nil {
			return err
		}
		if a, err = atHome(ladder, "nothing can be added to pod "+f.pod.Name, r.shape.Profile); err != nil {
			return err
		}
		a.notes, a.pod = plan.Notes, f.pod.DeepCopy()
		for i := range plan.Candidates {
			if c := &plan.Candidates[i]; c.Profile == a.profile {
				a.pod.Spec.EphemeralContainers = append(a.pod.Spec.EphemeralContainers, c.Container)
			}
		}
	}
	o.told(c, r, a)
	s := shown{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		Metadata: map[string]string{"namespace": f.pod.Namespace, "name": f.pod.Name},
	}
	for i := range a.pod.Spec.EphemeralContainers {
		if c := &a.pod.Spec.EphemeralContainers[i]; c.Name == r.shape.Name {
			s.Spec.EphemeralContainers = append(s.Spec.EphemeralContainers, *c)
		}
	}
	return o.print(s)
}

// print writes an object in the format that was asked for.
func (o *options) print(object any) error {
	data, err := json.MarshalIndent(object, "", "    ")
	if err != nil {
		return fmt.Errorf("writing it: %w", err)
	}
	if o.output != "json" {
		if data, err = yaml.JSONToYAML(data); err != nil {
			return fmt.Errorf("writing it: %w", err)
		}
	}
	if _, err := fmt.Fprintf(o.streams.Out, "%s\n", bytes.TrimRight(data, "\n")); err != nil {
		return fmt.Errorf("writing it: %w", err)
	}
	return nil
}
