package inject

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/api/validation"
)

// Status is the content of the status annotation. It holds nothing but what
// follows from the pod and the configuration, so writing it twice changes
// nothing.
type Status struct {
	Profile   string `json:"profile"`
	Revision  string `json:"revision,omitempty"`
	Hash      string `json:"hash,omitempty"`
	Tier      string `json:"tier,omitempty"`
	Placement string `json:"placement,omitempty"`
	Port      int32  `json:"port,omitempty"`
	// Skipped is why the pod has no sidecar.
	Skipped string `json:"skipped,omitempty"`
}

func (s Status) String() string {
	b, _ := json.Marshal(s) // strings and a number can't fail
	return string(b)
}

const (
	annotationsPath = "/metadata/annotations"
	// statusPath has the annotation's key as a JSON Pointer's (RFC 6901).
	statusPath = annotationsPath + "/debugsidecar.io~1status"
)

func (d *Decision) setStatus(f Facts, s Status) {
	text := s.String()
	annotations := f.Pod.Metadata.Annotations
	switch {
	case annotations[StatusAnnotation] == text:
	case !fits(annotations, text):
		// The pod must not become inadmissible by what is only a remark.
		d.warn("the pod's annotations leave no room for " + StatusAnnotation)
		d.removeStatus(f)
	case len(annotations) == 0:
		value, _ := json.Marshal(map[string]string{StatusAnnotation: text})
		d.op("add", annotationsPath, value)
	default:
		value, _ := json.Marshal(text)
		d.op("add", statusPath, value) // add replaces, too
	}
}

// fits says whether the API server accepts the annotations with the status.
func fits(annotations map[string]string, status string) bool {
	size := len(StatusAnnotation) + len(status)
	for key, value := range annotations {
		if key != StatusAnnotation {
			size += len(key) + len(value)
		}
	}
	return size <= validation.TotalAnnotationSizeLimitB
}

func (d *Decision) removeStatus(f Facts) {
	annotations := f.Pod.Metadata.Annotations
	if _, ok := annotations[StatusAnnotation]; !ok {
		return
	}
	if len(annotations) == 1 {
		d.op("remove", annotationsPath, nil)
		return
	}
	d.op("remove", statusPath, nil)
}
