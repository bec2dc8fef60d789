package offline

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

func newUninject(streams genericiooptions.IOStreams) *cobra.Command {
	o := newOptions(streams)
	var output string
	c := &cobra.Command{
		Use:   "uninject -f FILE",
		Short: "Print manifests without our sidecars",
		Long: `Print manifests without our sidecars, their volumes and the annotation
` + inject.StatusAnnotation + `. It takes back what inject did; labels stay, so the
webhook would inject again.`,
		Example: `  kubectl get deployment ingest -o yaml | kubectl debugsidecar uninject -f -`,
	}
	subcommand(c, o, func() error { return oneOf("output", output, "yaml", "json") },
		func(context.Context) error { return o.rewrite(output, (*cluster).uninject) })
	addOutput(c, &output, "yaml or json", "yaml", "json")
	return c
}

// uninject decides as if the pod were labelled as disabled, for which the
// webhook takes its sidecar away.
func (c *cluster) uninject(p *pod) error {
	f, err := c.facts(p)
	if err != nil {
		return err
	}
	f.Pod.Metadata.Labels = withLabel(f.Pod.Metadata.Labels, inject.Label, inject.Disabled)
	d := inject.Decide(f)
	if d.Refused != "" {
		return fmt.Errorf("%s: %s; if a profile of yours made it, give --profiles", p.name(), d.Refused)
	}
	if err := p.apply(d.Patch()); err != nil {
		return err
	}
	p.prune(d.Patch())
	return nil
}

// prune takes lists and maps away that the patch left empty: inject makes them
// where there are none.
func (p *pod) prune(ops []inject.Operation) {
	touched := func(path string) bool {
		for _, op := range ops {
			if op.Path == path || strings.HasPrefix(op.Path, path+"/") {
				return true
			}
		}
		return false
	}
	spec, _ := p.manifest.Content["spec"].(map[string]any)
	for _, field := range []string{"initContainers", "volumes"} {
		if list, ok := spec[field].([]any); ok && len(list) == 0 && touched("/spec/"+field) {
			delete(spec, field)
		}
	}
	metadata, _ := p.manifest.Content["metadata"].(map[string]any)
	if !touched("/metadata/annotations") {
		return
	}
	if annotations, _ := metadata["annotations"].(map[string]any); len(annotations) == 0 {
		delete(metadata, "annotations")
	}
	if len(metadata) == 0 {
		delete(p.manifest.Content, "metadata")
	}
}
