package cluster

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"
)

// webhookInPod proves that the API server reaches a Service, which it does by
// the Service's cluster address.
func webhookInPod(t *testing.T, c *Cluster) {
	keys := pki{t.TempDir()}
	by, err := keys.authority("ca")
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.issue(by, "server", certificate{name: "webhook", dns: []string{"webhook.default.svc"}}); err != nil {
		t.Fatal(err)
	}
	text := map[string]string{}
	for _, name := range []string{"ca.crt", "server.crt", "server.key"} {
		b, err := os.ReadFile(keys.path(name))
		if err != nil {
			t.Fatal(err)
		}
		text[name] = string(b)
	}
	runPod(t, c, "webhook", "Running", fmt.Sprintf("args: [webhook], env: [{name: CERTIFICATE, value: %q}, {name: KEY, value: %q}], readinessProbe: {tcpSocket: {port: 8443}, periodSeconds: 1}", text["server.crt"], text["server.key"]), "")
	kubectl(t, c, "", "wait", "--for=condition=Ready", "pod/webhook", "--timeout=60s")
	kubectl(t, c, fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: webhook}
spec: {selector: {pod: webhook}, ports: [{port: 443, targetPort: 8443}]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: test}
webhooks:
- name: test.registry.example
  clientConfig: {service: {name: webhook, namespace: default}, caBundle: %s}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  sideEffects: None
  admissionReviewVersions: [v1]
`, base64.StdEncoding.EncodeToString([]byte(text["ca.crt"]))), "apply", "-f", "-")
	defer kubectl(t, c, "", "delete", "validatingwebhookconfiguration", "test")
	eventually(t, "the webhook's answer", func() error {
		_, _, err := c.Kubectl(t.Context(), "", "create", "configmap", "refused")
		if err == nil {
			kubectl(t, c, "", "delete", "configmap", "refused")
			return fmt.Errorf("was not asked for")
		}
		if !strings.Contains(err.Error(), "refused by webhook") {
			return err
		}
		return nil
	})
	kubectl(t, c, "", "create", "configmap", "allowed")
}
