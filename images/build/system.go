package build

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/debugsidecar/debugsidecar/test/debian"
)

// system is what programs expect of any system: names for the user IDs, how hosts
// are looked up, and directories to mount on.
func system() []entry {
	text := func(name, content string) entry { return entry{name: name, mode: 0o644, data: []byte(content)} }
	out := []entry{
		text("etc/passwd", fmt.Sprintf("root:x:0:0:root:/:/sbin/nologin\nnonroot:x:%d:%d:nonroot:/:/sbin/nologin\n", nonRoot, nonRoot)),
		text("etc/group", fmt.Sprintf("root:x:0:\nnonroot:x:%d:\n", nonRoot)),
		text("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
		{name: "run/debugsidecar", mode: 0o755, dir: true},
		{name: "tmp", mode: 0o1777, dir: true},
	}
	// By it scanners know whose advisories apply.
	if release, err := os.ReadFile("/etc/os-release"); err == nil {
		out = append(out, text("usr/lib/os-release", string(release)), entry{name: "etc/os-release", mode: 0o777, link: "../usr/lib/os-release"})
	}
	for _, dir := range merged {
		out = append(out, entry{name: dir, mode: 0o777, link: "usr/" + dir}, entry{name: "usr/" + dir, mode: 0o755, dir: true})
	}
	return out
}

// authorities returns the certificates of TLS's authorities, from Debian's package:
// the bundle of this machine may have others, whom nobody else trusts.
func authorities(ctx context.Context, log func(string)) (entry, debianPackage, error) {
	newest, err := debian.Newest(ctx, "ca-certificates")
	if err != nil {
		return entry{}, debianPackage{}, err
	}
	found, entries, err := contents(ctx, log, []debianPackage{{Name: newest.Name, Version: newest.Version, Architecture: "all"}})
	if err != nil {
		return entry{}, debianPackage{}, err
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	var bundle bytes.Buffer
	for _, e := range entries {
		if !strings.HasPrefix(e.name, "usr/share/ca-certificates/") || !strings.HasSuffix(e.name, ".crt") {
			continue
		}
		if _, err := e.copyTo(&bundle); err != nil {
			return entry{}, debianPackage{}, err
		}
		if !bytes.HasSuffix(bundle.Bytes(), []byte("\n")) {
			bundle.WriteByte('\n')
		}
	}
	if bundle.Len() == 0 {
		return entry{}, debianPackage{}, fmt.Errorf("the package ca-certificates %s has no certificates", newest.Version)
	}
	return entry{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, data: bundle.Bytes()}, found[0], nil
}

// registered lists packages where scanners look for them in images without dpkg
// (as those of distroless have them).
func registered(packages []debianPackage) []entry {
	var out []entry
	for _, p := range packages {
		out = append(out, entry{
			name: "var/lib/dpkg/status.d/" + p.Name, mode: 0o644,
			data: fmt.Appendf(nil, "Package: %s\nStatus: install ok installed\nArchitecture: %s\nVersion: %s\n", p.Name, p.Architecture, p.Version),
		})
	}
	return out
}
