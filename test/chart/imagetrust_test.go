package chart

import (
	"fmt"
	"strings"
	"testing"

	admission "k8s.io/api/admissionregistration/v1"
)

const trustValues = `
sessions: {enabled: %t, ttl: 1h, maxTTL: 8h}
imageTrust:
  mode: %s
  keys: ["-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----\n"]
  images: %s
  registries: [{host: docker.io}]
`

func TestOnlyWhatMayAskARegistryWaitsLonger(t *testing.T) {
	for mode, policy := range map[string]admission.FailurePolicyType{`"off"`: "", "off": "", "warn": admission.Ignore, "enforce": admission.Fail} {
		c := render(t, fmt.Sprintf(trustValues, true, mode, "[]"))
		var found admission.FailurePolicyType
		for _, e := range append(mutating(only[*admission.MutatingWebhookConfiguration](t, c)), validating(only[*admission.ValidatingWebhookConfiguration](t, c))...) {
			switch {
			case e.name == imageTrust && e.timeoutSeconds == 5 && strings.HasSuffix(*e.clientConfig.Service.Path, "/trust"):
				found = e.failurePolicy
			case e.name == imageTrust || e.timeoutSeconds != 2:
				t.Errorf("%s: %s has %d s", mode, e.name, e.timeoutSeconds)
			}
		}
		if found != policy {
			t.Errorf("%s: failurePolicy %q, want %q", mode, found, policy)
		}
	}
}

func TestWithoutPatternsOnlyOurImagesAreAskedAbout(t *testing.T) {
	condition := func(images string) string {
		c := render(t, fmt.Sprintf(trustValues, false, "enforce", images))
		for _, e := range validating(only[*admission.ValidatingWebhookConfiguration](t, c)) {
			if e.name == imageTrust {
				return e.matchConditions[1].Expression
			}
		}
		t.Fatal("there is no entry")
		return ""
	}
	if got := condition("[]"); !strings.Contains(got, "['sidecar', 'debug'].exists(n, c.image.contains(n))") {
		t.Errorf("got %s", got)
	}
	if got := condition("[registry.example/tools/*]"); strings.Contains(got, "contains(n)") {
		t.Errorf("with patterns, the images are asked about by their names: %s", got)
	}
}

func TestTagsOfDebugContainersAreSentOnce(t *testing.T) {
	for sessions, want := range map[bool]int{true: 0, false: 1} {
		c := render(t, fmt.Sprintf(trustValues, sessions, "enforce", "[]"))
		n := 0
		for _, e := range mutating(only[*admission.MutatingWebhookConfiguration](t, c)) {
			if e.name == "ephemeral.image-trust.debugsidecar.io" {
				n++
			}
		}
		if n != want {
			t.Errorf("sessions %t: %d entries", sessions, n)
		}
	}
}

func TestImageTrustWithoutKeysOrRegistriesIsRefused(t *testing.T) {
	for _, values := range []string{
		"imageTrust: {mode: enforce}",
		"imageTrust: {mode: enforce, registries: [{host: docker.io}]}",
		"imageTrust: {mode: on}",
		"imageTrust: {images: ['a*b']}",
		"imageTrust: {registries: [{host: 'https://a'}]}",
		"imageTrust: {registries: [{host: a, plainHttp: true}]}",
		"imageTrust: {keys: ['-----BEGIN PRIVATE KEY-----']}",
	} {
		if _, err := template(t, values); err == nil {
			t.Errorf("%s was accepted", values)
		}
	}
}
