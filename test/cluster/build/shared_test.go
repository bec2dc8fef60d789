package build

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A module at two versions is compiled twice, and Kubernetes' libraries are most
// of what there is to compile.
func TestProgramsAreBuiltFromTheProductsVersions(t *testing.T) {
	if testing.Short() {
		t.Skip("downloads the modules of Helm and cert-manager; run without -short")
	}
	tc, err := findToolchain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	product := modules(t, tc.root, "./webhook", "./kubectl-debugsidecar")
	for _, p := range []program{helm, certManager} {
		theirs := modules(t, filepath.Join(tc.root, filepath.FromSlash(p.dir)), p.pkg)
		if len(theirs) < 50 || len(product) < 50 {
			t.Fatalf("found %d modules of %s and %d of the product", len(theirs), p.title, len(product))
		}
		for path, version := range theirs {
			if want, ok := product[path]; ok && version != want {
				t.Errorf("%s/go.mod has %s %s, and go.mod has %s", p.dir, path, version, want)
			}
		}
	}
}

// A file that is not in the key could change without the binary.
func TestKeysKnowEachFileOfOurOwnPrograms(t *testing.T) {
	tc, err := findToolchain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []program{kube, certManager} {
		files, err := filepath.Glob(filepath.Join(tc.root, filepath.FromSlash(p.dir), "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has the files %q, %v", p.dir, files, err)
		}
		for _, file := range files {
			if name := filepath.Base(file); !slices.Contains(p.sources, name) {
				t.Errorf("%s/%s is not among the sources of %s", p.dir, name, p.title)
			}
		}
	}
}

// modules returns the versions of the modules that packages are built from.
func modules(t *testing.T, dir string, packages ...string) map[string]string {
	t.Helper()
	args := []string{"list", "-mod=readonly", "-deps", "-f", "{{with .Module}}{{if .Version}}{{.Path}} {{.Version}}{{end}}{{end}}"}
	cmd := exec.CommandContext(t.Context(), "go", append(args, packages...)...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		if path != "" {
			versions[path] = version
		}
	}
	return versions
}
