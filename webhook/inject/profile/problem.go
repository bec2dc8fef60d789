package profile

import (
	"fmt"

	"github.com/debugsidecar/debugsidecar/webhook/internal/yamlfile"
)

// problem is something wrong at a path of a profile, or of what it renders.
type problem struct{ path, text string }

func problemAt(path, format string, args ...any) *problem {
	return &problem{path, fmt.Sprintf(format, args...)}
}

// below is the problem as seen from a parent.
func (p *problem) below(parent string) *problem {
	if p.path == "" {
		return &problem{parent, p.text}
	}
	return &problem{join(parent, p.path), p.text}
}

// in gives the problem its line of the text.
func (p *problem) in(text yamlfile.Text) error {
	return fmt.Errorf("%s: %s: %s", text.At(p.path), show(p.path), p.text)
}
