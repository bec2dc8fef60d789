package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/debugsidecar/debugsidecar/test/cache"
)

// debianPackage is a package that an image has files of.
type debianPackage struct {
	Name, Version, Architecture string

	licences []string // as its copyright file names them
}

// copyright is the name of the file that has its licences.
func (p debianPackage) copyright() string { return "usr/share/doc/" + p.Name + "/copyright" }

func sortPackages(packages []debianPackage) {
	slices.SortFunc(packages, func(a, b debianPackage) int {
		return strings.Compare(a.Name+" "+a.Version, b.Name+" "+b.Version)
	})
}

// union returns the packages of both lists, each version once.
func union(a, b []debianPackage) []debianPackage {
	all := append(slices.Clone(a), b...)
	sortPackages(all)
	return slices.CompactFunc(all, func(a, b debianPackage) bool { return a.Name == b.Name && a.Version == b.Version })
}

// download returns where the files of each package are, as a tar file. They come
// from the cache if they are there.
func download(ctx context.Context, log func(string), packages []debianPackage) (func(debianPackage) string, error) {
	shelf, err := cache.NewShelf("debs")
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	for _, p := range packages {
		fmt.Fprintf(h, "%s=%s %s\n", p.Name, p.Version, p.Architecture)
	}
	dir, err := shelf.Fill(ctx, hex.EncodeToString(h.Sum(nil)[:8]), func(ctx context.Context, dir string) error {
		if len(packages) == 1 {
			log("downloading Debian's package " + packages[0].Name)
		} else {
			log(fmt.Sprintf("downloading %d of Debian's packages", len(packages)))
		}
		args := []string{"-qq", "download"}
		for _, p := range packages {
			args = append(args, p.Name+"="+p.Version)
		}
		get := exec.CommandContext(ctx, "apt-get", args...)
		get.Dir = dir
		if err := run(get); err != nil {
			return err
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := unpack(ctx, file); err != nil {
				return err
			}
		}
		return nil
	}, func() { log("waiting for another process that downloads packages") })
	return func(p debianPackage) string { return filepath.Join(dir, p.Name+".tar") }, err
}

// unpack replaces a package by NAME.tar, the archive of its files: decompressing
// takes longer than all else that is done with it.
func unpack(ctx context.Context, deb string) error {
	name, _, _ := strings.Cut(filepath.Base(deb), "_")
	out, err := os.Create(filepath.Join(filepath.Dir(deb), name+".tar"))
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	var failure strings.Builder
	cmd.Stdout, cmd.Stderr = out, &failure
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("unpacking %s: %w: %s", filepath.Base(deb), err, failure.String())
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Remove(deb)
}
