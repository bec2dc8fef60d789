package config

import (
	"fmt"

	"github.com/debugsidecar/debugsidecar/webhook/trust"
)

// loadTrust makes the policy of image trust; it stays nil where that is off.
func (s *Snapshot) loadTrust(name string) error {
	f := &s.File
	var err error
	if s.Trust, err = trust.Compile(f.ImageTrust); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	images := map[string]string{"images.sidecar": f.Images.Sidecar, "images.debug": f.Images.Debug}
	if f.Canary.Percent > 0 {
		images["canary.images.sidecar"], images["canary.images.debug"] = f.Canary.Images.Sidecar, f.Canary.Images.Debug
	}
	if err := s.Trust.CheckImages(images); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// OwnImages are those that the configuration names, the canary's too.
func (s *Snapshot) OwnImages() []string {
	f := &s.File
	out := []string{f.Images.Sidecar, f.Images.Debug}
	for _, image := range []string{f.Canary.Images.Sidecar, f.Canary.Images.Debug} {
		if f.Canary.Percent > 0 && image != "" {
			out = append(out, image)
		}
	}
	return out
}
