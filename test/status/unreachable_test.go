package status

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/webhook/reach"
)

// pointAt sends the self-probe's entry somewhere and returns where it led.
func pointAt(t *testing.T, url string) (before string) {
	t.Helper()
	configurations := env.client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	c, err := configurations.Get(t.Context(), "debugsidecar", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range c.Webhooks {
		if c.Webhooks[i].Name == reach.Entry {
			before, c.Webhooks[i].ClientConfig.URL = *c.Webhooks[i].ClientConfig.URL, &url
		}
	}
	if _, err := configurations.Update(t.Context(), c, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	return before
}

func TestAnUnreachableWebhookSaysSoAndStaysReady(t *testing.T) {
	reachable := func(want float64) error {
		for _, r := range env.installation.Running() {
			if v, err := r.Metric("debugsidecar_webhook_reachable"); err != nil || v != want {
				return fmt.Errorf("%v, %v", v, err)
			}
		}
		return nil
	}
	eventually(t, "reached before", func() error { return reachable(1) })
	before := pointAt(t, "https://localhost:1/self-probe") // nobody listens there
	eventually(t, "unreachable", func() error { return reachable(0) })
	eventually(t, "an Event says so", func() error {
		events, err := env.client.CoreV1().Events(env.installation.Namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, e := range events.Items {
			if e.Reason == "WebhookUnreachable" && strings.Contains(e.Message, "connection refused") && e.Type == "Warning" {
				return nil
			}
		}
		return fmt.Errorf("not among %d Events", len(events.Items))
	})
	const ns = "unreachable"
	namespace(t, ns, nil)
	if pod := create(t, ns, "app", "debug"); len(pod.Spec.InitContainers) != 1 {
		t.Error("the replicas became unready: the pod has no sidecar")
	}
	code, out, _ := plugin(t, "doctor")
	if code != 1 || !strings.Contains(out, "nothing listens where the API server looks") {
		t.Errorf("status %d\n%s", code, out)
	}
	pointAt(t, before)
	eventually(t, "reached again", func() error { return reachable(1) })
}
