package policies

import (
	"strconv"

	"github.com/debugsidecar/debugsidecar/policies/selinux"
)

// OpenShiftRangeAnnotation is where OpenShift's controller writes the range of a
// namespace: https://docs.openshift.com/container-platform, "Pre-allocated
// values for security context constraints".
const OpenShiftRangeAnnotation = "openshift.io/sa.scc.mcs"

// Parameters that Go reads.
const (
	rangePath         = "selinux.range"
	fromOpenShiftPath = "selinux.rangeFromOpenShift"
	fillPath          = "selinux.fill"
)

// spcType is the type of super-privileged containers, which SELinux does not
// confine (container-selinux).
const spcType = "spc_t"

// SELinux says which levels the pods of one namespace may have.
type SELinux struct {
	// Confined says that a level has to be within Range. Where Range is nil, no
	// level may be named at all.
	Confined bool
	Range    *selinux.Range
	// Source is where the range comes from, or why there is none; for people.
	Source string
	// Fill says that pods which name no level are to get the range as theirs.
	Fill bool
}

// SELinux returns what holds in a namespace with these annotations.
func (p *Parameters) SELinux(namespace string, annotations map[string]string) SELinux {
	return p.of(namespace).selinux.with(annotations)
}

// ReadAnnotations says whether annotations of a namespace count at all.
func (p *Parameters) ReadAnnotations(namespace string) bool {
	return p.of(namespace).selinux.fromOpenShift
}

// rangeSource is what the parameters say about the SELinux levels of a namespace.
type rangeSource struct {
	parameter     SELinux // as the parameters alone say
	fromOpenShift bool    // the namespace's annotation counts
}

// read takes the parameters out of the settings.
func (l *rangeSource) read(lists map[string]setting) {
	*l = rangeSource{fromOpenShift: lists[fromOpenShiftPath].on}
	l.parameter.Fill = lists[fillPath].on
	if text := lists[rangePath].text; text != "" {
		r, _ := selinux.ParseRange(text) // it is canonical
		l.parameter.Confined, l.parameter.Range = true, &r
		l.parameter.Source = "the policy's parameter " + rangePath
	}
}

// with returns what holds where the namespace has these annotations. What the
// administrator wrote wins over the annotation. A namespace whose annotation
// counts and is missing or broken is shut: whoever could remove it would
// otherwise be free.
func (l *rangeSource) with(annotations map[string]string) SELinux {
	s := l.parameter
	if s.Confined || !l.fromOpenShift {
		return s
	}
	s.Confined = true
	text, set := annotations[OpenShiftRangeAnnotation]
	if !set {
		s.Source = "the namespace has no annotation " + OpenShiftRangeAnnotation
		return s
	}
	r, err := selinux.ParseRange(text)
	if err != nil {
		s.Source = "the namespace's annotation " + OpenShiftRangeAnnotation + " is no range: " + err.Error()
		return s
	}
	s.Range, s.Source = &r, "the namespace's annotation "+OpenShiftRangeAnnotation
	return s
}

// within answers for the levels of a pod; nil where each will do.
func (s SELinux) within() func(level string) bool {
	switch {
	case !s.Confined:
		return nil
	case s.Range == nil:
		return func(string) bool { return false }
	}
	return func(level string) bool {
		r, err := selinux.ParseRange(level)
		return err == nil && s.Range.Contains(r)
	}
}

// allowed says which levels may be named, for messages.
func (s SELinux) allowed() string {
	switch {
	case !s.Confined:
		return "any level"
	case s.Range == nil:
		return "no level, since " + s.Source
	}
	return "only levels within " + strconv.Quote(s.Range.String()) + ", from " + s.Source
}
