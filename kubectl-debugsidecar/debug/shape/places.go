package shape

import (
	"fmt"
	"slices"
	"strings"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// places are paths, by what is said of them.
type places []place

type place struct {
	what  string
	paths []string
}

// add takes a path that a pod's owner wrote.
func (p *places) add(what, path string) {
	i := slices.IndexFunc(*p, func(e place) bool { return e.what == what })
	if i < 0 {
		i = len(*p)
		*p = append(*p, place{what: what})
	}
	(*p)[i].paths = append((*p)[i].paths, session.Text(path))
}

// lines has one for each thing that is said, with a few of its paths.
func (p places) lines() []string {
	const most = 4
	var out []string
	for _, e := range p {
		paths := strings.Join(e.paths[:min(most, len(e.paths))], ", ")
		if more := len(e.paths) - most; more > 0 {
			paths += fmt.Sprintf(" and %d more", more)
		}
		out = append(out, paths+": "+e.what)
	}
	return out
}
