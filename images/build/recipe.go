package build

import (
	"context"
)

// bin is where programs lie. The sidecar looks for its worker beside itself.
const bin = "usr/bin/"

// recipe is what an image consists of.
type recipe struct {
	title    string
	version  string
	parts    []part // a layer each; what changes least comes first
	program  string // that it runs
	user     string // as in 0:0; nobody of importance if it is empty
	packages []debianPackage
	programs []string // on this machine, with Go modules in them
}

// part is what one layer consists of.
type part struct {
	// title is for people; empty if it is packed in no time.
	title   string
	entries []entry
}

func files(entries ...entry) part { return part{entries: entries} }

func (b *builder) webhook(ctx context.Context) (recipe, error) {
	program, err := b.compile(ctx, "webhook")
	return recipe{
		title:    "admission webhook of debugsidecar",
		parts:    []part{files(executable(bin+"webhook", program))},
		program:  "/" + bin + "webhook",
		programs: []string{program},
	}, err
}

// sidecar is the smallest system in which the probe and its worker run. It has no
// shell.
func (b *builder) sidecar(ctx context.Context) (recipe, error) {
	program, err := b.compile(ctx, "sidecar")
	if err != nil {
		return recipe{}, err
	}
	worker, err := b.worker(ctx)
	if err != nil {
		return recipe{}, err
	}
	libraries, packages, err := closure(ctx, worker)
	if err != nil {
		return recipe{}, err
	}
	authorities, authority, err := authorities(ctx, b.Log)
	if err != nil {
		return recipe{}, err
	}
	packages = append(packages, authority)
	entries := append(system(), libraries...)
	entries = append(entries, authorities)
	entries = append(entries, registered(packages)...)
	return recipe{
		title:    "video probe of debugsidecar",
		parts:    []part{{"libraries of the capture program", entries}, files(executable(bin+"sidecar", program), executable(bin+"debugsidecar-capture", worker))},
		program:  "/" + bin + "sidecar",
		packages: packages,
		programs: []string{program, worker},
	}, nil
}

// debug is the sidecar's image with tools: the profile full runs the probe in it.
// Both have the same layers but for the tools', so a node that has one pulls no
// more than the tools for the other.
func (b *builder) debug(ctx context.Context) (recipe, error) {
	r, err := b.sidecar(ctx)
	if err != nil {
		return recipe{}, err
	}
	tools, packages, err := installed(ctx, b.Log, debugTools)
	if err != nil {
		return recipe{}, err
	}
	r.title = "debugging tools of debugsidecar"
	tools = append(tools, registered(packages)...)
	r.parts = []part{r.parts[0], {"debugging tools", without(tools, r.parts[0].entries)}, r.parts[1]}
	r.packages = union(r.packages, packages)
	return r, nil
}
