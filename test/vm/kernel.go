// Package vm runs Go tests under other Linux kernels: Debian's, in QEMU.
//
// Nothing is installed for it but QEMU: the kernel comes out of Debian's own
// package, and a virtual machine holds a program of ours as its first process,
// the modules that the tests take, and the test binaries.
package vm

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
	"runtime"
	"slices"
	"strings"

	"github.com/debugsidecar/debugsidecar/test/cache"
)

// Kernel is one that tests run under.
type Kernel struct {
	// Name is what people call it: 6.1.
	Name string
	// Package is Debian's, which depends on the newest build of it.
	Package string
}

// Kernels are those that debugsidecar is tested with, besides the machine's own.
var Kernels = []Kernel{
	{Name: "6.1", Package: "linux-image-amd64"},
	{Name: "6.12", Package: "linux-image-6.12-amd64"},
}

// modules are loaded in each machine, with what they depend on. What tests load
// by themselves is in lazy.
var (
	modules = []string{"veth", "sch_tbf", "sch_ingress", "cls_bpf", "dummy"}
	lazy    = []string{"vivid"}
)

// ErrUnavailable says that this machine can't run virtual machines.
var ErrUnavailable = errors.New("not available here")

// image is a kernel that is ready to boot.
type image struct {
	release string // as uname -r
	vmlinux string
	modules string // a folder of .ko files
}

const (
	fileVmlinux = "vmlinux"
	fileRelease = "release"
	dirModules  = "modules"
	// layout is part of the key: what is kept of a package.
	layout = "1"
)

// fetch returns a kernel from the cache, or downloads Debian's package into it.
func (k Kernel) fetch(ctx context.Context, report func(string)) (image, error) {
	if runtime.GOARCH != "amd64" {
		return image{}, fmt.Errorf("%w: kernels are taken for amd64 alone, this is %s", ErrUnavailable, runtime.GOARCH)
	}
	for _, program := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			return image{}, fmt.Errorf("%w: kernels come from Debian's packages, and there is no %s", ErrUnavailable, program)
		}
	}
	name, version, err := k.resolve(ctx)
	if err != nil {
		return image{}, err
	}
	shelf, err := cache.NewShelf("kernels")
	if err != nil {
		return image{}, err
	}
	key := sha256.Sum256(fmt.Append(nil, layout, name, version, modules, lazy))
	dir, err := shelf.Fill(ctx, hex.EncodeToString(key[:8]), func(ctx context.Context, dir string) error {
		report(fmt.Sprintf("downloading %s %s", name, version))
		return unpack(ctx, name, version, dir)
	}, func() { report("waiting for another process that downloads " + name) })
	if err != nil {
		return image{}, err
	}
	release, err := os.ReadFile(filepath.Join(dir, fileRelease))
	return image{string(release), filepath.Join(dir, fileVmlinux), filepath.Join(dir, dirModules)}, err
}

var (
	dependsLine = regexp.MustCompile(`(?m)^\s*Depends: (linux-image-\S+)$`)
	versionLine = regexp.MustCompile(`(?m)^Version: (\S+)$`)
)

// resolve finds the package that holds the kernel. Where apt knows none, its
// lists are fetched first.
func (k Kernel) resolve(ctx context.Context) (name, version string, err error) {
	depends, err := output(ctx, "apt-cache", "depends", k.Package)
	if err != nil {
		if _, err := output(ctx, "apt-get", "-qq", "update"); err != nil {
			return "", "", fmt.Errorf("%w: apt's lists: %v", ErrUnavailable, err)
		}
		if depends, err = output(ctx, "apt-cache", "depends", k.Package); err != nil {
			return "", "", fmt.Errorf("%w: no package %s: %v", ErrUnavailable, k.Package, err)
		}
	}
	m := dependsLine.FindStringSubmatch(depends)
	if m == nil {
		return "", "", fmt.Errorf("%w: package %s depends on no kernel", ErrUnavailable, k.Package)
	}
	show, err := output(ctx, "apt-cache", "show", "--no-all-versions", m[1])
	if err != nil {
		return "", "", err
	}
	v := versionLine.FindStringSubmatch(show)
	if v == nil {
		return "", "", fmt.Errorf("package %s has no version", m[1])
	}
	return m[1], v[1], nil
}

// unpack puts into dir what a machine needs of a kernel's package.
func unpack(ctx context.Context, name, version, dir string) error {
	tmp := filepath.Join(dir, "package")
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	download := exec.CommandContext(ctx, "apt-get", "-qq", "download", name+"="+version)
	download.Dir = tmp
	if out, err := download.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: downloading %s: %v: %s", ErrUnavailable, name, err, out)
	}
	debs, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil || len(debs) != 1 {
		return fmt.Errorf("downloading %s: got %q (%v)", name, debs, err)
	}
	if _, err := output(ctx, "dpkg-deb", "-x", debs[0], tmp); err != nil {
		return err
	}
	compressed, err := filepath.Glob(filepath.Join(tmp, "boot", "vmlinuz-*"))
	if err != nil || len(compressed) != 1 {
		return fmt.Errorf("%s has the kernels %q", name, compressed)
	}
	release := strings.TrimPrefix(filepath.Base(compressed[0]), "vmlinuz-")
	if err := os.WriteFile(filepath.Join(dir, fileRelease), []byte(release), 0o644); err != nil {
		return err
	}
	if err := extract(ctx, compressed[0], filepath.Join(dir, fileVmlinux)); err != nil {
		return fmt.Errorf("%s: %w", compressed[0], err)
	}
	all, err := findModules(tmp)
	if err != nil {
		return err
	}
	return keep(ctx, all, slices.Concat(modules, lazy), filepath.Join(dir, dirModules))
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
