package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// auditPolicy has the API server write down who made pods, and what webhooks said
// about that.
const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update]
  resources: [{group: "", resources: [pods, pods/ephemeralcontainers]}]
- level: None
`

// auditLog is where the API server writes.
func auditLog() string { return filepath.Join(env.dir, "audit.log") }

// auditArgs are the API server's arguments for an audit log.
func auditArgs() ([]string, error) {
	policy := filepath.Join(env.dir, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, err
	}
	return []string{"--audit-policy-file=" + policy, "--audit-log-path=" + auditLog(), "--audit-log-mode=blocking"}, nil
}

// audited returns the annotations that the audit log has of the last request
// about a pod.
func audited(t *testing.T, ns, pod string) (annotations map[string]string) {
	t.Helper()
	eventually(t, "the audit log knows "+ns+"/"+pod, func() error {
		data, err := os.ReadFile(auditLog())
		if err != nil {
			return err
		}
		found := false
		for line := range strings.Lines(string(data)) {
			var event struct {
				ObjectRef   struct{ Namespace, Name string } `json:"objectRef"`
				Annotations map[string]string                `json:"annotations"`
			}
			if !strings.HasSuffix(line, "\n") || json.Unmarshal([]byte(line), &event) != nil {
				continue // it is being written
			}
			if event.ObjectRef.Namespace == ns && event.ObjectRef.Name == pod {
				annotations, found = event.Annotations, true
			}
		}
		if !found {
			return fmt.Errorf("%d bytes without it", len(data))
		}
		return nil
	})
	return annotations
}
