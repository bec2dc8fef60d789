package profile

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestImagesAreNeverText(t *testing.T) {
	for _, image := range nasty {
		if image == "" || strings.TrimSpace(image) != image || !utf8.ValidString(image) || strings.ContainsAny(image, "\ue000") {
			continue
		}
		p, err := Load("careless.yaml", []byte(careless), Settings{Images: map[string]string{"debug": image}})
		if err != nil {
			t.Errorf("image %q: %v", image, err)
			continue
		}
		params, err := p.Params("")
		if err != nil {
			t.Fatal(err)
		}
		s, err := p.Render(Input{Variant: Variant{User, Native}, Params: params, Port: 9400})
		if err != nil || s.Container.Image != image {
			t.Errorf("image %q became %+v, %v", image, s, err)
		}
	}
}

// The sidecar splits the value at commas.
func TestReceiversAreThoseOfTheSettings(t *testing.T) {
	for _, c := range []struct {
		alerts Alerts
		want   []string
	}{
		{Alerts{}, nil},
		{Alerts{Alertmanagers: withReceivers.Alerts.Alertmanagers}, []string{"DEBUGSIDECAR_ALERTMANAGERS=http://alertmanager-0.monitoring:9093,http://alertmanager-1.monitoring:9093"}},
		{Alerts{Webhooks: withReceivers.Alerts.Webhooks}, []string{"DEBUGSIDECAR_ALERT_WEBHOOKS=https://hooks.example/alerts?camera=all&x='y'"}},
	} {
		set, err := LoadSet("", Settings{testSettings.Images, c.alerts})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"video-probe", "full"} {
			p, _ := set.Get(name)
			params, err := p.Params("")
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range variantsOf(p.Tiers) {
				s, err := p.Render(Input{Variant: v, Params: params, Port: 9400})
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, e := range s.Container.Env {
					if strings.HasPrefix(e.Name, "DEBUGSIDECAR_ALERT") {
						got = append(got, e.Name+"="+e.Value)
					}
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("%s, %v: got %q, want %q", name, v, got, c.want)
				}
			}
		}
	}
}

func TestNoParameterNamesAReceiver(t *testing.T) {
	set, err := LoadSet("", withReceivers)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range set.Names() {
		p, _ := set.Get(name)
		for _, text := range []string{
			"alerts: {webhooks: ['http://evil.example']}", "alertmanagers: ['http://evil.example']", "webhooks: 'http://evil.example'",
			"DEBUGSIDECAR_ALERTMANAGERS: 'http://evil.example'", "env: [{name: DEBUGSIDECAR_ALERTMANAGERS, value: 'http://evil.example'}]",
		} {
			if _, err := p.Params(text); err == nil {
				t.Errorf("%s takes the parameters %s", name, text)
			}
		}
	}
}
