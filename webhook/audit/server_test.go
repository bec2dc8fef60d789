package audit

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// server is an API server as far as an audit sees one, with the faults that one
// can have.
type server struct {
	*httptest.Server
	mu sync.Mutex

	pods     int                                                          // in each namespace
	pod      func(w io.Writer, ns string, i int)                          // writes the i-th; default: a good one
	gone     func(ns string, i int) bool                                  // it vanished
	before   func(w http.ResponseWriter, r *http.Request, list bool) bool // true: it answered
	noCRD    bool
	ownerUID string
	selector string // of the webhook configuration, JSON

	reports  map[string]map[string]any // by namespace/name
	version  int
	requests []string // method and path of each
	lists    int
	limits   []string
}

func newServer(t *testing.T, pods int) *server {
	t.Helper()
	s := &server{pods: pods, reports: map[string]map[string]any{}, ownerUID: "owner-1",
		selector: `{"matchExpressions":[{"key":"kubernetes.io/metadata.name","operator":"NotIn","values":["kube-system"]}]}`}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) client(t *testing.T) *Client {
	t.Helper()
	c, err := NewClient(&rest.Config{Host: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fast is a client without a limit of its rate.
func (s *server) fast(t *testing.T) *Client {
	t.Helper()
	config := &rest.Config{Host: s.URL}
	c, err := newClient(config, -1)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func refuse(w http.ResponseWriter, code int, reason metav1.StatusReason, token string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(metav1.Status{ //nolint:errcheck // the test sees it
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, ListMeta: metav1.ListMeta{Continue: token},
		Status: "Failure", Code: int32(code), Reason: reason, Message: string(reason),
	})
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path)
	before := s.before
	s.mu.Unlock()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	isPods := len(parts) == 5 && parts[4] == "pods"
	if before != nil && before(w, r, isPods) {
		return
	}
	answer := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(v) //nolint:errcheck // likewise
	}
	switch {
	case isPods:
		s.list(w, r, parts[3])
	case strings.Contains(r.URL.Path, "validatingwebhookconfigurations"):
		fmt.Fprintf(w, `{"webhooks":[{"name":"enforce","namespaceSelector":%s,"rules":[{"operations":["CREATE"],"resources":["pods"]}]}]}`, s.selector)
	case strings.Contains(r.URL.Path, "clusterroles"):
		answer(map[string]any{"metadata": map[string]any{"uid": s.ownerUID}})
	case s.noCRD:
		refuse(w, 404, metav1.StatusReasonNotFound, "")
	case r.URL.Path == reportsRoot:
		answer(metav1.APIResourceList{APIResources: []metav1.APIResource{{Name: "policyreports", Kind: reportKind}}})
	default:
		s.serveReports(w, r, parts, answer)
	}
}

// list writes a page, one pod at a time, as an API server does that streams.
func (s *server) list(w http.ResponseWriter, r *http.Request, ns string) {
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	from, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	s.mu.Lock()
	s.lists++
	s.limits = append(s.limits, r.URL.Query().Get("limit"))
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	to, token := min(from+limit, s.pods), ""
	if to < s.pods {
		token = strconv.Itoa(to)
	}
	fmt.Fprintf(w, `{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":%q},"items":[`, token)
	first := true
	for i := from; i < to; i++ {
		if s.gone != nil && s.gone(ns, i) {
			continue
		}
		if !first {
			io.WriteString(w, ",") //nolint:errcheck // likewise
		}
		first = false
		if s.pod == nil {
			goodPod(w, ns, i)
		} else {
			s.pod(w, ns, i)
		}
	}
	io.WriteString(w, "]}\n") //nolint:errcheck // likewise
}

func (s *server) serveReports(w http.ResponseWriter, r *http.Request, parts []string, answer func(any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := func(name string) string { return parts[4] + "/" + name }
	var body map[string]any
	if r.Method == "POST" || r.Method == "PUT" {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			refuse(w, 400, metav1.StatusReasonBadRequest, "")
			return
		}
	}
	store := func(name string) {
		s.version++
		meta := body["metadata"].(map[string]any)
		meta["resourceVersion"], meta["namespace"] = strconv.Itoa(s.version), parts[4]
		s.reports[key(name)] = body
		answer(body)
	}
	switch {
	case r.Method == "GET" && parts[len(parts)-1] == "policyreports":
		items := []any{}
		for _, k := range sortedKeys(s.reports) {
			items = append(items, s.reports[k])
		}
		answer(map[string]any{"kind": "List", "metadata": map[string]any{}, "items": items})
	case r.Method == "POST":
		store(body["metadata"].(map[string]any)["name"].(string))
	default:
		name := parts[6]
		there := s.reports[key(name)]
		switch {
		case there == nil:
			refuse(w, 404, metav1.StatusReasonNotFound, "")
		case r.Method == "GET":
			answer(there)
		case r.Method == "DELETE":
			delete(s.reports, key(name))
			answer(map[string]any{"kind": "Status", "status": "Success"})
		case body["metadata"].(map[string]any)["resourceVersion"] != there["metadata"].(map[string]any)["resourceVersion"]:
			refuse(w, 409, metav1.StatusReasonConflict, "")
		default:
			store(name)
		}
	}
}

// report is what there is of a namespace; nil if there is none.
func (s *server) report(t *testing.T, ns string) *Report {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	there := s.reports[ns+"/debugsidecar"]
	if there == nil {
		return nil
	}
	text, err := json.Marshal(there)
	if err != nil {
		t.Fatal(err)
	}
	r := &Report{}
	if err := json.Unmarshal(text, r); err != nil {
		t.Fatal(err)
	}
	return r
}

// count is how many requests began so.
func (s *server) count(prefix string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.requests {
		if strings.HasPrefix(r, prefix) {
			n++
		}
	}
	return n
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func goodPod(w io.Writer, ns string, i int) {
	fmt.Fprintf(w, `{"metadata":{"name":"pod-%05d","namespace":%q,"uid":"uid-%d"},"spec":{"containers":[{"name":"app","image":"app:1"}]}}`, i, ns, i)
}

func privilegedPod(w io.Writer, ns string, i int) {
	fmt.Fprintf(w, `{"metadata":{"name":"pod-%05d","namespace":%q,"uid":"uid-%d"},"spec":{"hostPID":true,"containers":[`+
		`{"name":"app","image":"app:1","securityContext":{"privileged":true}},{"name":"more","image":"app:1","securityContext":{"privileged":true}}]}}`, i, ns, i)
}
