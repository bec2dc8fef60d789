package build

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var loaded = regexp.MustCompile(`^\s*(?:(\S+) => )?(/\S+) \(0x[0-9a-f]+\)$`)

// closure returns the libraries that the loader loads for a program, each under
// the name by which it is found, and the packages that they come from. They are
// the installed ones, since the program was linked with those.
func closure(ctx context.Context, program string) ([]entry, []debianPackage, error) {
	cmd := exec.CommandContext(ctx, "ldd", program)
	// Without LD_LIBRARY_PATH and LD_PRELOAD: the image has neither.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	text, err := cmd.Output()
	if err != nil {
		return nil, nil, fmt.Errorf("asking for the libraries of %s: %w", program, err)
	}
	var (
		entries []entry
		names   []string
	)
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "not found") {
			return nil, nil, fmt.Errorf("a library of %s is missing: %s", program, strings.TrimSpace(line))
		}
		m := loaded.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue // the kernel's own
		}
		found, err := library(m[2])
		if err != nil {
			return nil, nil, err
		}
		entries = append(entries, found...)
		names = append(names, m[2])
	}
	if len(entries) == 0 {
		return nil, nil, fmt.Errorf("%s is said to load no library:\n%s", program, text)
	}
	packages, err := owners(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	for i := range packages {
		p := &packages[i]
		text, err := os.ReadFile("/" + p.copyright())
		if err != nil {
			continue // a machine may be without documentation
		}
		p.licences = licences(string(text))
		entries = append(entries, entry{name: p.copyright(), mode: 0o644, data: text})
	}
	return entries, packages, nil
}

// library returns a library as its package has it: often a link to a name with a
// longer version. What an alternative leads to is there by the first name alone.
func library(file string) ([]entry, error) {
	target, err := filepath.EvalSymlinks(file)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(target)
	if err != nil {
		return nil, err
	}
	mode := int64(info.Mode().Perm()) // the loader is a program
	name, real := canonical(file), canonical(target)
	if name == real || filepath.Dir(name) != filepath.Dir(real) {
		return []entry{{name: name, mode: mode, file: target, size: -1}}, nil
	}
	return []entry{
		{name: real, mode: mode, file: target, size: -1},
		{name: name, mode: 0o777, link: filepath.Base(real)},
	}, nil
}

// owners returns the installed packages that files belong to.
func owners(ctx context.Context, files []string) ([]debianPackage, error) {
	// dpkg knows a file by the name that its package has, in /lib or /usr/lib,
	// and not the links that alternatives make.
	var ask []string
	for _, file := range files {
		target, err := filepath.EvalSymlinks(file)
		if err != nil {
			return nil, err
		}
		for _, f := range []string{file, target} {
			ask = append(ask, f, "/usr"+f, strings.TrimPrefix(f, "/usr"))
		}
	}
	slices.Sort(ask)
	cmd := exec.CommandContext(ctx, "dpkg-query", append([]string{"--search"}, slices.Compact(ask)...)...)
	text, err := cmd.Output() // fails for the names that are not known
	if len(text) == 0 {
		return nil, fmt.Errorf("asking dpkg for the packages of libraries: %w", err)
	}
	names := map[string]bool{}
	for scan := bufio.NewScanner(bytes.NewReader(text)); scan.Scan(); {
		if owner, _, ok := strings.Cut(scan.Text(), ": "); ok && !strings.HasPrefix(owner, "diversion ") {
			names[owner] = true
		}
	}
	args := []string{"--show", "--showformat=${Package} ${Version} ${Architecture}\n"}
	for name := range names {
		args = append(args, name)
	}
	text, err = exec.CommandContext(ctx, "dpkg-query", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("asking dpkg for versions: %w", err)
	}
	var out []debianPackage
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 {
			out = append(out, debianPackage{Name: f[0], Version: f[1], Architecture: f[2]})
		}
	}
	sortPackages(out)
	return out, nil
}
