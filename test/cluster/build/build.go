// Package build makes the programs that a test cluster consists of, from the
// Go modules in test/cluster/kube, test/tools and test/certmanager/controllers,
// and keeps them in a cache.
//
// Nothing is downloaded but Go modules. A first build of Kubernetes takes
// about 20 CPU-minutes; later ones find the result in the cache.
package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/debugsidecar/debugsidecar/test/cache"
)

// program is one binary and where it comes from.
type program struct {
	name    string   // of the binary
	title   string   // for people
	dir     string   // of its Go module, in this repository
	pkg     string   // package to build, seen from dir
	module  string   // module whose version is the program's version
	sources []string // what the binary depends on besides Go itself, in dir
	links   []string // other names by which the binary can be called
	ldflags func(version string) string
}

var kube = program{
	name:    "kube",
	title:   "Kubernetes",
	dir:     "test/cluster/kube",
	pkg:     ".",
	module:  "k8s.io/kubernetes",
	sources: []string{"go.mod", "go.sum", "main.go"},
	links:   []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet"},
	ldflags: func(version string) string {
		// What hack/lib/version.sh of Kubernetes sets, as far as /version shows it.
		const p = "k8s.io/component-base/version."
		part := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
		return fmt.Sprintf("-s -w -X %sgitVersion=%s -X %sgitMajor=%s -X %sgitMinor=%s", p, version, p, part[0], p, part[1])
	},
}

var helm = program{
	name:    "helm",
	title:   "Helm",
	dir:     "test/tools",
	pkg:     "helm.sh/helm/v4/cmd/helm",
	module:  "helm.sh/helm/v4",
	sources: []string{"go.mod", "go.sum"},
	ldflags: func(version string) string {
		return "-s -w -X helm.sh/helm/v4/internal/version.version=" + version
	},
}

var certManager = program{
	name:    "certmanager",
	title:   "cert-manager",
	dir:     "test/certmanager/controllers",
	pkg:     ".",
	module:  "github.com/cert-manager/cert-manager",
	sources: []string{"go.mod", "go.sum", "inject.go", "issue.go", "main.go"},
	ldflags: func(version string) string {
		return "-s -w -X github.com/cert-manager/cert-manager/pkg/util.AppVersion=" + version
	},
}

// Kube returns the path of the binary that holds etcd, the control plane, the
// node's programs and kubectl. Beside it stand links by those names, so its
// directory can be put into PATH.
//
// It builds the binary if the cache hasn't got it, and then calls report every
// few seconds with a line that says how far it is. report may be nil.
func Kube(ctx context.Context, report func(line string)) (string, error) {
	return kube.get(ctx, report)
}

// Helm returns the path of the helm binary, as Kube does.
func Helm(ctx context.Context, report func(line string)) (string, error) {
	return helm.get(ctx, report)
}

// CertManager returns the path of a binary with cert-manager's controllers, as
// Kube does.
func CertManager(ctx context.Context, report func(line string)) (string, error) {
	return certManager.get(ctx, report)
}

func (p *program) get(ctx context.Context, report func(string)) (string, error) {
	if report == nil {
		report = func(string) {}
	}
	path, err := p.cached(ctx, report)
	if err != nil {
		return "", fmt.Errorf("building %s: %w", p.title, err)
	}
	return path, nil
}

func (p *program) cached(ctx context.Context, report func(string)) (string, error) {
	tc, err := findToolchain(ctx)
	if err != nil {
		return "", err
	}
	b := builder{
		program: p,
		title:   p.title,
		dir:     filepath.Join(tc.root, filepath.FromSlash(p.dir)),
		report:  report,
	}
	version, err := b.version()
	if err != nil {
		return "", err
	}
	b.title += " " + strings.TrimPrefix(version, "v")
	b.flags = []string{"-mod=readonly", "-trimpath", "-ldflags", p.ldflags(version)}
	key, err := b.key(tc.platform)
	if err != nil {
		return "", err
	}
	shelf, err := cache.NewShelf(p.name)
	if err != nil {
		return "", err
	}
	dir, err := shelf.Fill(ctx, key, b.build, func() {
		report("waiting for another process that builds " + b.title)
	})
	return filepath.Join(dir, p.name), err
}

// toolchain is the Go installation in PATH, and this repository.
type toolchain struct {
	root     string // of this repository
	platform string // version, operating system and architecture
}

func findToolchain(ctx context.Context) (toolchain, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD", "GOVERSION", "GOOS", "GOARCH").Output()
	if err != nil {
		return toolchain{}, fmt.Errorf("asking the go command for its version: %w", err)
	}
	line := strings.Split(strings.TrimSpace(string(out)), "\n")
	root := filepath.Dir(line[0])
	if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(kube.dir), "go.mod")); err != nil {
		return toolchain{}, fmt.Errorf("the working directory is not within the main Go module of debugsidecar: %w", err)
	}
	return toolchain{root: root, platform: strings.Join(line[1:], " ")}, nil
}

// builder builds one program.
type builder struct {
	*program
	title  string // with version
	dir    string // absolute
	flags  []string
	report func(string)
}

// version reads the program's version from its go.mod.
func (b *builder) version() (string, error) {
	mod, err := os.ReadFile(filepath.Join(b.dir, "go.mod"))
	if err != nil {
		return "", err
	}
	m := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(b.module) + ` (v\d+\.\d+\.\S+)`).FindSubmatch(mod)
	if m == nil {
		return "", fmt.Errorf("no version of %s in %s", b.module, filepath.Join(b.dir, "go.mod"))
	}
	return string(m[1]), nil
}

// key names the binary by all that decides what is in it.
func (b *builder) key(platform string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%q\n%s\n", platform, b.flags, b.pkg)
	for _, name := range b.sources {
		f, err := os.Open(filepath.Join(b.dir, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s\n", name)
		_, err = io.Copy(h, f)
		_ = f.Close()
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// build puts the binary and its links into the directory out.
func (b *builder) build(ctx context.Context, out string) error {
	start := time.Now()
	total, err := b.stale(ctx)
	if err != nil {
		return err
	}
	if err := b.compile(ctx, filepath.Join(out, b.name), total); err != nil {
		return err
	}
	for _, link := range b.links {
		if err := os.Symlink(b.name, filepath.Join(out, link)); err != nil {
			return err
		}
	}
	b.report(fmt.Sprintf("built %s in %s", b.title, time.Since(start).Round(time.Second)))
	return nil
}
