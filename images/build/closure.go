package build

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// debianPackage is a package that an image has files of.
type debianPackage struct{ Name, Version, Architecture string }

var loaded = regexp.MustCompile(`^\s*(?:(\S+) => )?(/\S+) \(0x[0-9a-f]+\)$`)

// closure returns the libraries that the loader loads for a program, each under
// the name by which it is found, and the packages that they come from. They are
// the installed ones, since the program was linked with those.
func closure(ctx context.Context, program string) ([]entry, []debianPackage, error) {
	cmd := exec.CommandContext(ctx, "ldd", program)
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
		entries = append(entries, entry{name: canonical(m[2]), mode: 0o755, file: m[2]})
		names = append(names, m[2])
	}
	if len(entries) == 0 {
		return nil, nil, fmt.Errorf("%s is said to load no library:\n%s", program, text)
	}
	packages, err := owners(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range packages {
		file := "/usr/share/doc/" + p.Name + "/copyright"
		if _, err := os.Stat(file); err == nil {
			entries = append(entries, entry{name: file[1:], mode: 0o644, file: file})
		}
	}
	return entries, packages, nil
}

// owners returns the installed packages that files belong to.
func owners(ctx context.Context, files []string) ([]debianPackage, error) {
	// dpkg knows a file by the name that its package has, in /lib or /usr/lib,
	// and not the links that alternatives make.
	var ask []string
	for _, file := range files {
		target, err := resolve(file)
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
			out = append(out, debianPackage{f[0], f[1], f[2]})
		}
	}
	slices.SortFunc(out, func(a, b debianPackage) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
