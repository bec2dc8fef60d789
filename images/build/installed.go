package build

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/debugsidecar/debugsidecar/test/cache"
)

// debugTools are the packages of the debug image.
var debugTools = []string{
	"bash", "coreutils", "grep", "sed", "less", "procps", "dash",
	"strace", "tcpdump", "jq", "curl", "netcat-openbsd", "iproute2", "gdb", "bpftrace",
}

// left are directories of packages that nobody needs in a container.
var left = []string{
	"usr/share/man/", "usr/share/locale/", "usr/share/info/", "usr/share/lintian/", "usr/share/bash-completion/",
	"usr/share/bug/", "usr/share/zsh/", "usr/share/menu/", "usr/share/applications/", "usr/share/pixmaps/", "var/", "etc/init.d/",
	"usr/lib/systemd/", "usr/share/gdb/auto-load/",
}

var instLine = regexp.MustCompile(`(?m)^Inst (\S+) \((\S+) .*\[(\S+)\]`)

// installed returns the files of packages and of all that they depend on, as they
// would be in an empty system. Nothing is installed here and no maintainer script
// runs.
func installed(ctx context.Context, log func(string), names []string) ([]entry, []debianPackage, error) {
	packages, err := dependencies(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	debs, err := download(ctx, log, packages)
	if err != nil {
		return nil, nil, err
	}
	var entries []entry
	for _, p := range packages {
		files, err := unpack(ctx, filepath.Join(debs, p.Name+".deb"))
		if err != nil {
			return nil, nil, fmt.Errorf("package %s: %w", p.Name, err)
		}
		entries = append(entries, files...)
	}
	// What scripts of the packages would have made.
	return append(entries, entry{name: "usr/bin/nc", mode: 0o777, link: "nc.openbsd"}), packages, nil
}

// dependencies asks apt what it would install into an empty system.
func dependencies(ctx context.Context, names []string) ([]debianPackage, error) {
	simulate := func() ([]byte, error) {
		args := []string{"install", "--simulate", "--no-install-recommends", "-o", "Dir::State::status=/dev/null", "-o", "Debug::NoLocking=1"}
		return exec.CommandContext(ctx, "apt-get", append(args, names...)...).Output()
	}
	text, err := simulate()
	if err != nil { // its lists may be missing
		if out, err := exec.CommandContext(ctx, "apt-get", "-qq", "update").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("updating apt's lists: %w: %s", err, out)
		}
		if text, err = simulate(); err != nil {
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				err = fmt.Errorf("%w: %s", err, exit.Stderr)
			}
			return nil, fmt.Errorf("asking apt what %s depend on: %w", strings.Join(names, ", "), err)
		}
	}
	var out []debianPackage
	for _, m := range instLine.FindAllStringSubmatch(string(text), -1) {
		out = append(out, debianPackage{m[1], m[2], m[3]})
	}
	slices.SortFunc(out, func(a, b debianPackage) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// download returns a directory with the packages as NAME.deb, from the cache if
// they are there.
func download(ctx context.Context, log func(string), packages []debianPackage) (string, error) {
	shelf, err := cache.NewShelf("debs")
	if err != nil {
		return "", err
	}
	key := sha256.Sum256(fmt.Append(nil, packages))
	return shelf.Fill(ctx, hex.EncodeToString(key[:8]), func(ctx context.Context, dir string) error {
		log(fmt.Sprintf("downloading %d packages of Debian", len(packages)))
		args := []string{"-qq", "download"}
		for _, p := range packages {
			args = append(args, p.Name+"="+p.Version)
		}
		get := exec.CommandContext(ctx, "apt-get", args...)
		get.Dir = dir
		if err := run(get); err != nil {
			return err
		}
		files, err := filepath.Glob(filepath.Join(dir, "*_*.deb"))
		if err != nil {
			return err
		}
		for _, file := range files {
			name, _, _ := strings.Cut(filepath.Base(file), "_")
			if err := os.Rename(file, filepath.Join(dir, name+".deb")); err != nil {
				return err
			}
		}
		return nil
	}, func() { log("waiting for another process that downloads packages") })
}

// unpack reads the files of a package.
func unpack(ctx context.Context, deb string) ([]entry, error) {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	var failure bytes.Buffer
	cmd.Stderr = &failure
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	entries, err := readTar(pipe)
	_, drained := io.Copy(io.Discard, pipe)
	if err := errors.Join(err, drained, cmd.Wait()); err != nil {
		return nil, fmt.Errorf("%w: %s", err, failure.Bytes())
	}
	return entries, nil
}

func readTar(r io.Reader) ([]entry, error) {
	var out []entry
	for archive := tar.NewReader(r); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		e := entry{name: canonical(header.Name), mode: header.Mode & 0o7777}
		if e.name == "" || slices.Contains(merged, e.name) || !wanted(e.name) {
			continue
		}
		switch header.Typeflag {
		case tar.TypeDir:
			e.dir = true
		case tar.TypeSymlink:
			e.link = header.Linkname
		case tar.TypeLink:
			e.hard = canonical(header.Linkname)
		case tar.TypeReg:
			// Nobody becomes somebody else by a file in here.
			e.mode &^= 0o6000
			if e.data, err = io.ReadAll(archive); err != nil {
				return nil, err
			}
		default:
			continue
		}
		out = append(out, e)
	}
}

// wanted keeps licences, and leaves out the rest of what is only to be read.
func wanted(name string) bool {
	if strings.HasPrefix(name, "usr/share/doc/") {
		return strings.HasSuffix(name, "/copyright")
	}
	return !slices.ContainsFunc(left, func(dir string) bool { return strings.HasPrefix(name+"/", dir) })
}

// resolve follows links.
func resolve(file string) (string, error) { return filepath.EvalSymlinks(file) }
