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
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/debugsidecar/debugsidecar/test/cache"
	"github.com/debugsidecar/debugsidecar/test/debian"
)

// Kernel is one that tests run under.
type Kernel struct {
	// Name is what people call it: 6.1.
	Name string
	// Package is Debian's, which depends on the newest build of it.
	Package string
	// Files are further ones in the machine: from a path there, without the first
	// slash, to the path here.
	Files map[string]string
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
var ErrUnavailable = debian.ErrUnavailable

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
	p, err := k.resolve(ctx)
	if err != nil {
		return image{}, err
	}
	shelf, err := cache.NewShelf("kernels")
	if err != nil {
		return image{}, err
	}
	key := sha256.Sum256(fmt.Append(nil, layout, p.Name, p.Version, modules, lazy))
	dir, err := shelf.Fill(ctx, hex.EncodeToString(key[:8]), func(ctx context.Context, dir string) error {
		report(fmt.Sprintf("downloading %s %s", p.Name, p.Version))
		return unpack(ctx, p, dir)
	}, func() { report("waiting for another process that downloads " + p.Name) })
	if err != nil {
		return image{}, err
	}
	release, err := os.ReadFile(filepath.Join(dir, fileRelease))
	return image{string(release), filepath.Join(dir, fileVmlinux), filepath.Join(dir, dirModules)}, err
}

// resolve finds the package that holds the kernel.
func (k Kernel) resolve(ctx context.Context) (debian.Package, error) {
	meta, err := debian.Newest(ctx, k.Package)
	if err != nil {
		return debian.Package{}, err
	}
	names, err := meta.Depends(ctx)
	if err != nil {
		return debian.Package{}, err
	}
	i := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, "linux-image-") })
	if i < 0 {
		return debian.Package{}, fmt.Errorf("%w: package %s depends on no kernel", ErrUnavailable, k.Package)
	}
	return debian.Newest(ctx, names[i])
}

// unpack puts into dir what a machine needs of a kernel's package.
func unpack(ctx context.Context, p debian.Package, dir string) error {
	tmp := filepath.Join(dir, "package")
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := p.Unpack(ctx, tmp); err != nil {
		return err
	}
	compressed, err := filepath.Glob(filepath.Join(tmp, "boot", "vmlinuz-*"))
	if err != nil || len(compressed) != 1 {
		return fmt.Errorf("%s has the kernels %q", p.Name, compressed)
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
