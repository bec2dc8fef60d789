package build

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A module at two versions is compiled twice, and Kubernetes' libraries are most
// of what there is to compile.
func TestHelmIsBuiltFromTheProductsVersions(t *testing.T) {
	if testing.Short() {
		t.Skip("downloads Helm's modules; run without -short")
	}
	tc, err := findToolchain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	product := modules(t, tc.root, "./webhook", "./kubectl-debugsidecar")
	helms := modules(t, filepath.Join(tc.root, filepath.FromSlash(helm.dir)), helm.pkg)
	if len(helms) < 50 || len(product) < 50 {
		t.Fatalf("found %d modules of Helm and %d of the product", len(helms), len(product))
	}
	for path, version := range helms {
		if want, ok := product[path]; ok && version != want {
			t.Errorf("%s/go.mod has %s %s, and go.mod has %s", helm.dir, path, version, want)
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
