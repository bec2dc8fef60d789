package debug

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug/shape"
)

// rung is what a profile makes of a request.
type rung struct {
	profile          shape.Profile
	container, image string
	leavesOut        []string
	// known is why it is refused, as far as that is known without asking.
	known []string
	// local is a copy as this program makes it; nil where the pod is there.
	local *corev1.Pod
	// put asks the API server for it.
	put func(dry bool) (*corev1.Pod, error)
}

// climb asks for the rungs, one after the other, until one is permitted. Those that
// are known to be refused come first; a cluster may exempt someone from its rules,
// so a dry run is asked about them where one was named, or where there is no other.
func (c *client) climb(ladder []rung, isNamed, dryRun bool) (*added, error) {
	var tried []denial
	try := func(r *rung, dry bool) (*added, error) {
		c.warnings.take()
		pod, err := r.put(dry)
		if err == nil {
			return &added{pod: pod, rung: r, lower: tried}, nil
		}
		if !isDenied(err) {
			return nil, err
		}
		lines := denialLines(err)
		if len(r.known) > 0 {
			lines = r.known // they have the smallest change, too
		}
		tried = append(tried, denial{r.profile, lines})
		return nil, nil
	}
	others := slices.ContainsFunc(ladder, func(r rung) bool { return len(r.known) == 0 })
	for i := range ladder {
		r := &ladder[i]
		if len(r.known) > 0 {
			if others && !isNamed {
				tried = append(tried, denial{r.profile, r.known})
				continue
			}
			a, err := try(r, true)
			if err != nil {
				return nil, err
			}
			if a == nil {
				continue
			}
			if dryRun {
				return a, nil
			}
		}
		if a, err := try(r, dryRun); a != nil || err != nil {
			return a, err
		}
	}
	return nil, &denied{denials: tried}
}

// passing finds the highest profile below the one that was asked for that would
// pass, by dry runs.
func (d *denied) passing(ladder []rung) error {
	below := slices.Index(shape.Profiles(), d.asked)
	for i := range ladder {
		r := &ladder[i]
		if len(r.known) > 0 || slices.Index(shape.Profiles(), r.profile) >= below {
			continue
		}
		_, err := r.put(true)
		switch {
		case err == nil:
			d.passes, d.leavesOut = r.profile, r.leavesOut
			return nil
		case !isDenied(err):
			return err
		}
	}
	return nil
}

// atHome is the rung that is permitted as far as is known without asking.
func atHome(ladder []rung, what string, asked shape.Profile) (*added, error) {
	var lower []denial
	for i := range ladder {
		if r := &ladder[i]; len(r.known) == 0 {
			return &added{rung: r, lower: lower}, nil
		}
		lower = append(lower, denial{ladder[i].profile, ladder[i].known})
	}
	return nil, &denied{what: what, asked: asked, denials: lower, notAsked: true}
}
