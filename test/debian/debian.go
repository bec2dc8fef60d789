// Package debian takes files out of Debian's packages, without installing them:
// kernels to boot, and services that would start if they were installed.
package debian

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/debugsidecar/debugsidecar/test/cache"
)

// ErrUnavailable says that there are no such packages on this machine.
var ErrUnavailable = errors.New("not available here")

// Package is one version of a package.
type Package struct{ Name, Version string }

var (
	dependsLine = regexp.MustCompile(`(?m)^\s*Depends: (\S+)$`)
	versionLine = regexp.MustCompile(`(?m)^Version: (\S+)$`)
)

// Newest returns the version of a package that apt would install. Where apt knows
// none, its lists are fetched first.
func Newest(ctx context.Context, name string) (Package, error) {
	if err := tools(); err != nil {
		return Package{}, err
	}
	show, err := output(ctx, "apt-cache", "show", "--no-all-versions", name)
	if err != nil {
		if _, err := output(ctx, "apt-get", "-qq", "update"); err != nil {
			return Package{}, fmt.Errorf("%w: apt's lists: %v", ErrUnavailable, err)
		}
		if show, err = output(ctx, "apt-cache", "show", "--no-all-versions", name); err != nil {
			return Package{}, fmt.Errorf("%w: no package %s: %v", ErrUnavailable, name, err)
		}
	}
	m := versionLine.FindStringSubmatch(show)
	if m == nil {
		return Package{}, fmt.Errorf("package %s has no version", name)
	}
	return Package{name, m[1]}, nil
}

// newest returns what Newest does for each name. Where apt knows them all, it is
// asked once, for it takes most of a second to read its lists.
func newest(ctx context.Context, names []string) ([]Package, error) {
	var packages []Package
	if show, err := output(ctx, "apt-cache", append([]string{"show", "--no-all-versions"}, names...)...); err == nil {
		if m := versionLine.FindAllStringSubmatch(show, -1); len(m) == len(names) {
			for i, name := range names {
				packages = append(packages, Package{name, m[i][1]})
			}
			return packages, nil
		}
	}
	for _, name := range names {
		p, err := Newest(ctx, name)
		if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
	return packages, nil
}

// Depends returns the packages that a package depends on, by name.
func (p Package) Depends(ctx context.Context) ([]string, error) {
	text, err := output(ctx, "apt-cache", "depends", p.Name)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range dependsLine.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names, nil
}

// Unpack downloads the package and puts its files into dir, as / would have them.
func (p Package) Unpack(ctx context.Context, dir string) error {
	download, err := os.MkdirTemp(dir, "download-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(download)
	get := exec.CommandContext(ctx, "apt-get", "-qq", "download", p.Name+"="+p.Version)
	get.Dir = download
	if out, err := get.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: downloading %s: %v: %s", ErrUnavailable, p.Name, err, out)
	}
	files, err := filepath.Glob(filepath.Join(download, "*.deb"))
	if err != nil || len(files) != 1 {
		return fmt.Errorf("downloading %s: got %q (%v)", p.Name, files, err)
	}
	_, err = output(ctx, "dpkg-deb", "-x", files[0], dir)
	return err
}

// Tree returns a directory with the files of packages, from the cache if they are
// there. report is told what takes long.
func Tree(ctx context.Context, report func(string), names ...string) (string, error) {
	packages, err := newest(ctx, names)
	if err != nil {
		return "", err
	}
	shelf, err := cache.NewShelf("debian")
	if err != nil {
		return "", err
	}
	key := sha256.Sum256(fmt.Append(nil, packages))
	return shelf.Fill(ctx, hex.EncodeToString(key[:8]), func(ctx context.Context, dir string) error {
		for _, p := range packages {
			report(fmt.Sprintf("downloading %s %s", p.Name, p.Version))
			if err := p.Unpack(ctx, dir); err != nil {
				return err
			}
		}
		return nil
	}, func() { report("waiting for another process that downloads " + strings.Join(names, ", ")) })
}

func tools() error {
	for _, program := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w: this takes Debian's packages, and there is no %s", ErrUnavailable, program)
		}
	}
	return nil
}

func output(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var failure strings.Builder
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, failure.String())
	}
	return string(out), nil
}
