package debug

import (
	"net/http"
	"strings"
	"testing"
)

func TestWhatOfAPodsNeighboursMayNotBeReadIsTold(t *testing.T) {
	const base = "/namespaces/n/"
	pages := func(items ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			next, item := "", items[0]
			if r.URL.Query().Get("continue") == "" && len(items) > 1 {
				next = "more"
			} else {
				item = items[len(items)-1]
			}
			_, _ = w.Write([]byte(`{"metadata":{"continue":"` + next + `"},"items":[` + item + `]}`))
		}
	}
	api := server(t, map[string]http.HandlerFunc{
		"/api/v1" + base + "services":                           pages(`{"metadata":{"name":"a"},"spec":{"selector":{"app":"web"}}}`, `{"metadata":{"name":"b"}}`),
		"/apis/networking.k8s.io/v1" + base + "networkpolicies": pages(`{"metadata":{"name":"p"},"spec":{"podSelector":{}}}`),
		"/apis/apps/v1" + base + "replicasets":                  pages(`{"metadata":{"name":"r"},"spec":{"selector":{"matchLabels":{"app":"web"}}}}`),
		"/api/v1" + base + "replicationcontrollers":             pages(`{"metadata":{"name":"c"},"spec":{"selector":{"app":"old"}}}`),
		"/apis/policy/v1" + base + "poddisruptionbudgets":       pages(`{"metadata":{"name":"none"},"spec":{}}`),
		"/apis/batch/v1" + base + "jobs":                        pages(`{"spec":{"selector":"broken"}}`),
	})
	n, notKnown := api.neighbours(t.Context(), "n")
	if len(n.Services) != 2 || len(n.NetworkPolicies) != 1 || len(n.Controllers) != 2 {
		t.Errorf("%+v", n)
	}
	for _, c := range n.Controllers {
		if want := map[string]string{"ReplicaSet": "web", "ReplicationController": "old"}[c.Kind]; c.Selector.MatchLabels["app"] != want {
			t.Errorf("%s selects %v", c.Kind, c.Selector)
		}
	}
	if u := n.Unknown; u.Services || u.NetworkPolicies || !u.Controllers || !u.Claims {
		t.Errorf("%+v", u)
	}
	text := strings.Join(notKnown, "\n")
	for _, w := range []string{"daemonsets, persistentvolumeclaims, statefulsets of namespace n: you may not list them", "jobs of namespace n: reading its selector"} {
		if !strings.Contains(text, w) {
			t.Errorf("it does not say %q: %s", w, text)
		}
	}
}
