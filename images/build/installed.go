package build

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// debugTools are the packages of the debug image: what it is for, and a shell with
// what people expect beside it.
var debugTools = []string{
	"strace", "tcpdump", "jq", "curl", "netcat-openbsd", "iproute2", "gdb", "bpftrace",
	"bash", "dash", "coreutils", "grep", "sed", "findutils", "less", "procps", "ncurses-base",
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
	packages, entries, err := contents(ctx, log, packages)
	if err != nil {
		return nil, nil, err
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
		out = append(out, debianPackage{Name: m[1], Version: m[2], Architecture: m[3]})
	}
	sortPackages(out)
	return out, nil
}

// contents returns the files of packages, and the packages with their licences.
func contents(ctx context.Context, log func(string), packages []debianPackage) ([]debianPackage, []entry, error) {
	archives, err := download(ctx, log, packages)
	if err != nil {
		return nil, nil, err
	}
	var all []entry
	packages = slices.Clone(packages)
	for i := range packages {
		p := &packages[i]
		entries, err := readTar(archives(*p))
		if err != nil {
			return nil, nil, fmt.Errorf("package %s: %w", p.Name, err)
		}
		for _, e := range entries {
			if e.name == p.copyright() && e.file != "" {
				var text strings.Builder
				if _, err := e.copyTo(&text); err != nil {
					return nil, nil, err
				}
				p.licences = licences(text.String())
			}
		}
		all = append(all, entries...)
	}
	return packages, all, nil
}

// readTar returns the entries of a package's archive; their content stays in it.
func readTar(file string) ([]entry, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []entry
	for archive := tar.NewReader(f); ; {
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
			e.mode, e.link = 0o777, header.Linkname
		case tar.TypeLink:
			e.hard = canonical(header.Linkname)
		case tar.TypeReg:
			// Nobody becomes somebody else by a file in here.
			e.mode &^= 0o6000
			e.file, e.size = file, header.Size
			// The reader takes whole blocks and no more, so the content is next.
			if e.at, err = f.Seek(0, io.SeekCurrent); err != nil {
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
