package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/debugsidecar/debugsidecar/test/debian"
)

// packages hold what a node takes besides Kubernetes: with it the libraries that
// a small Debian may not have. They are unpacked and never installed, for an
// installed containerd runs as a service.
var packages = []string{
	"containerd", "runc", "libseccomp2", "containernetworking-plugins",
	"nftables", "libnftables1", "libnftnl11", "libmnl0", "libxtables12", "libjansson4",
	"libgmp10", "libedit2", "libbsd0", "libmd0", "libtinfo6",
}

// programs are those of a node that are not Kubernetes'.
type programs struct {
	tree  string // files of packages, as / would have them
	node  string // cmd/node
	pause string // cmd/pause
}

// path returns where a file of the packages is.
func (p programs) path(name string) string { return filepath.Join(p.tree, filepath.FromSlash(name)) }

// env is the environment of all that runs in the node. It has nothing of the
// caller's: proxies, for one, are not for the node's traffic.
func (p programs) env() []string {
	libraries := []string{}
	for _, dir := range []string{"usr/lib", "lib"} {
		found, _ := filepath.Glob(p.path(dir) + "/*-linux-gnu*") // the pattern is right
		libraries = append(libraries, found...)
	}
	return []string{
		"PATH=" + p.path("usr/sbin") + ":" + p.path("usr/bin") + ":/usr/sbin:/usr/bin:/sbin:/bin",
		"LD_LIBRARY_PATH=" + strings.Join(libraries, ":"),
	}
}

// findPrograms gets the packages from the cache or from apt, and builds our own
// programs into dir.
func findPrograms(ctx context.Context, dir string, report func(string)) (programs, error) {
	tree, err := debian.Tree(ctx, report, packages...)
	if errors.Is(err, debian.ErrUnavailable) {
		return programs{}, fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	if err != nil {
		return programs{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return programs{}, err
	}
	const here = "github.com/debugsidecar/debugsidecar/test/cluster/cmd/"
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", dir+"/", here+"node", here+"pause")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return programs{}, fmt.Errorf("building the node's programs: %w\n%s", err, out)
	}
	return programs{tree, filepath.Join(dir, "node"), filepath.Join(dir, "pause")}, nil
}
