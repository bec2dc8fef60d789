// Package build makes the container images of debugsidecar: OCI archives with a
// software bill of materials beside each. The same inputs give the same bytes.
package build

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The images, and where a program lies in them.
const (
	Webhook = "webhook"
	Sidecar = "sidecar"
	Debug   = "debug"

	bin = "usr/bin/"
)

// nonRoot is who programs run as, unless a pod says otherwise.
const nonRoot = 65532

// Options say what is built.
type Options struct {
	Root  string            // of this repository
	Out   string            // directory for NAME.tar and NAME.spdx.json
	Names []string          // default: all
	Log   func(line string) // may be nil
}

// Image is one that was built.
type Image struct {
	Name       string // as in a pod
	Archive    string // path of the OCI archive
	Digest     string // of its manifest
	Compressed int64  // bytes of its layers, as they are pulled
	Unpacked   int64  // bytes of its files
}

// Images builds images.
func Images(ctx context.Context, o Options) ([]Image, error) {
	if o.Log == nil {
		o.Log = func(string) {}
	}
	all := []string{Webhook, Sidecar, Debug}
	if len(o.Names) == 0 {
		o.Names = all
	}
	for _, name := range o.Names {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("there is no image %q, only %s", name, strings.Join(all, ", "))
		}
	}
	version, err := appVersion(o.Root)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp("", "images-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	b := builder{Options: o, version: version, work: work}
	var out []Image
	for _, name := range o.Names {
		image, err := b.image(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("building the image %s: %w", name, err)
		}
		out = append(out, image)
	}
	return out, nil
}

// appVersion is the tag that the chart asks for.
func appVersion(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "charts", "debugsidecar", "Chart.yaml"))
	if err != nil {
		return "", err
	}
	m := regexp.MustCompile(`(?m)^appVersion: "?([^"\n]+)"?$`).FindSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("the chart has no appVersion")
	}
	return string(m[1]), nil
}

type builder struct {
	Options
	version string
	work    string // directory for programs
}

func (b *builder) image(ctx context.Context, name string) (Image, error) {
	var (
		r   recipe
		err error
	)
	switch name {
	case Webhook:
		r, err = b.webhook(ctx)
	case Sidecar:
		r, err = b.sidecar(ctx)
	case Debug:
		r, err = b.debug(ctx)
	}
	if err != nil {
		return Image{}, err
	}
	return b.write(ctx, name, r)
}

// recipe is what an image consists of.
type recipe struct {
	title    string
	layers   [][]entry // what changes least comes first
	program  string    // that it runs
	packages []debianPackage
	programs []string // on this machine, with Go modules in them
}

func (b *builder) webhook(ctx context.Context) (recipe, error) {
	program, err := b.compile(ctx, "webhook")
	if err != nil {
		return recipe{}, err
	}
	return recipe{
		title:    "admission webhook of debugsidecar",
		layers:   [][]entry{{executable(bin+"webhook", program)}},
		program:  "/" + bin + "webhook",
		programs: []string{program},
	}, nil
}

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
	base, err := baseFiles()
	if err != nil {
		return recipe{}, err
	}
	return recipe{
		title:    "video probe of debugsidecar",
		layers:   [][]entry{append(base, libraries...), {executable(bin+"sidecar", program), executable(bin+"debugsidecar-capture", worker)}},
		program:  "/" + bin + "sidecar",
		packages: packages,
		programs: []string{program, worker},
	}, nil
}

func (b *builder) debug(ctx context.Context) (recipe, error) {
	program, err := b.compile(ctx, "sidecar")
	if err != nil {
		return recipe{}, err
	}
	tools, packages, err := installed(ctx, b.Log, debugTools)
	if err != nil {
		return recipe{}, err
	}
	base, err := baseFiles()
	if err != nil {
		return recipe{}, err
	}
	return recipe{
		title:    "debugging tools of debugsidecar",
		layers:   [][]entry{append(tools, base...), {executable(bin+"sidecar", program)}},
		program:  "/" + bin + "sidecar",
		packages: packages,
		programs: []string{program},
	}, nil
}

// compile builds one of our static programs.
func (b *builder) compile(ctx context.Context, name string) (string, error) {
	out := filepath.Join(b.work, name)
	if _, err := os.Stat(out); err == nil {
		return out, nil
	}
	b.Log("compiling the " + name)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", out, "./"+name)
	cmd.Dir = b.Root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return out, run(cmd)
}

// worker builds the capture program, which is linked with Debian's OpenCV.
func (b *builder) worker(ctx context.Context) (string, error) {
	b.Log("compiling the capture program")
	out := filepath.Join(b.work, "debugsidecar-capture")
	cmd := exec.CommandContext(ctx, "go", "run", "-trimpath", "-buildvcs=false", "./sidecar/capture/worker/build", "-o", out)
	cmd.Dir = b.Root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false")
	return out, run(cmd)
}

func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}
