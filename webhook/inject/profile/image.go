package profile

import "encoding/json"

// WithImage is the sidecar with another image, such as the same one with its
// digest. Its Hash stays: that names what was rendered.
func (s *Sidecar) WithImage(image string) *Sidecar {
	if s.Container.Image == image {
		return s
	}
	out := *s
	out.Container.Image = image
	data, err := json.Marshal(&out.Container)
	if err != nil {
		return s // it was encoded before, and a string can't fail
	}
	out.ContainerJSON = data
	return &out
}
