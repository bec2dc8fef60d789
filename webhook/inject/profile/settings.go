package profile

import "strings"

// Settings are what the administrator sets for all profiles.
type Settings struct {
	// Images are image references, by the name that templates use.
	Images map[string]string
	Alerts Alerts
}

// Alerts says who is told of alerts. It comes from the administrator alone: a
// pod that chose the receivers could send what the sidecar sees anywhere.
type Alerts struct {
	// Alertmanagers are base URLs, Webhooks whole ones. None has a comma in it.
	Alertmanagers []string `json:"alertmanagers,omitempty"`
	Webhooks      []string `json:"webhooks,omitempty"`
}

// values are what templates may name, as {{ .images.sidecar }}.
func (s Settings) values() map[string]map[string]string {
	return map[string]map[string]string{
		"images": s.Images,
		"alerts": {
			"alertmanagers": strings.Join(s.Alerts.Alertmanagers, ","),
			"webhooks":      strings.Join(s.Alerts.Webhooks, ","),
		},
	}
}
