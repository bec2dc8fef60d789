package build

import (
	"regexp"
	"slices"
	"strings"
)

var licenceLine = regexp.MustCompile(`(?m)^License:[ \t]*(\S.*)$`)

// licences returns the short names of licences in a copyright file, sorted, if it
// has Debian's format
// (https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/).
func licences(text string) []string {
	if first, _, _ := strings.Cut(text, "\n"); !strings.Contains(first, "copyright-format") {
		return nil
	}
	var out []string
	for _, m := range licenceLine.FindAllStringSubmatch(text, -1) {
		out = append(out, strings.TrimSpace(m[1]))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// spdxNames are SPDX's names of licences by Debian's, in lower case.
var spdxNames = map[string]string{
	"expat": "MIT", "mit": "MIT", "isc": "ISC", "zlib": "Zlib", "curl": "curl", "openssl": "OpenSSL",
	"apache-2": "Apache-2.0", "apache-2.0": "Apache-2.0", "artistic": "Artistic-1.0-Perl", "bsl-1.0": "BSL-1.0",
	"bsd-2-clause": "BSD-2-Clause", "bsd-3-clause": "BSD-3-Clause", "bsd-4-clause": "BSD-4-Clause", "cc0-1.0": "CC0-1.0",
	"gpl-1+": "GPL-1.0-or-later", "gpl-2": "GPL-2.0-only", "gpl-2+": "GPL-2.0-or-later", "gpl-3": "GPL-3.0-only", "gpl-3+": "GPL-3.0-or-later",
	"lgpl-2": "LGPL-2.0-only", "lgpl-2+": "LGPL-2.0-or-later", "lgpl-2.1": "LGPL-2.1-only", "lgpl-2.1+": "LGPL-2.1-or-later",
	"lgpl-3": "LGPL-3.0-only", "lgpl-3+": "LGPL-3.0-or-later", "mpl-1.1": "MPL-1.1", "mpl-2.0": "MPL-2.0", "postgresql": "PostgreSQL",
}

// expression returns an SPDX expression for names of Debian's, or NOASSERTION if one
// of them can't be told for sure.
func expression(names []string) string {
	var out []string
	for _, name := range names {
		id, ok := spdxNames[strings.ToLower(name)]
		if !ok {
			return noAssertion
		}
		out = append(out, id)
	}
	if len(out) == 0 {
		return noAssertion
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), " AND ")
}
