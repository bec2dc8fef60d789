package chart

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/debugsidecar/debugsidecar/test/cluster"
)

// shared is the control plane of all tests of this package, and the function
// that starts it. Each test has a release and namespaces of its own.
var shared struct {
	start   func() (*cluster.Cluster, error)
	running *cluster.Cluster
}

func TestMain(m *testing.M) {
	// What the clients and the webhook's libraries log is for people who run them.
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	if os.Getenv(beWebhook) != "" {
		if err := runWebhook(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	shared.start = sync.OnceValues(func() (*cluster.Cluster, error) {
		c, err := cluster.Start(ctx, cluster.Options{Log: func(line string) { fmt.Fprintln(os.Stderr, line) }})
		shared.running = c
		return c, err
	})
	status := m.Run()
	if shared.running != nil {
		if err := shared.running.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the control plane:", err)
			status = 1
		}
	}
	cancel()
	os.Exit(status)
}

func realCluster(t *testing.T) *cluster.Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a Kubernetes control plane; run without -short")
	}
	c, err := shared.start()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// user returns a client for somebody; for the administrator, if nobody is named.
func user(t *testing.T, c *cluster.Cluster, name string, groups ...string) client.WithWatch {
	t.Helper()
	config := rest.CopyConfig(c.Config)
	if name != "" {
		config.Impersonate = rest.ImpersonationConfig{UserName: name, Groups: append(groups, "system:authenticated")}
	}
	config.WarningHandler = rest.NoWarnings{}
	cl, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

// helm runs Helm, which must succeed.
func helm(t *testing.T, c *cluster.Cluster, values string, args ...string) string {
	t.Helper()
	out, _, err := c.Helm(t.Context(), values, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// install makes a namespace and installs the chart there, both called name, with
// names of its objects that end in -debugsidecar. The end of the test uninstalls.
func install(t *testing.T, c *cluster.Cluster, name, values string) {
	t.Helper()
	makeNamespace(t, c, name, nil)
	helm(t, c, values, "install", name, chartDir, "--namespace", name, "--values", "-")
	uninstallAtEnd(t, c, name)
}

// uninstallAtEnd keeps a release from meddling with the tests that follow.
func uninstallAtEnd(t *testing.T, c *cluster.Cluster, name string) {
	t.Cleanup(func() {
		if _, _, err := c.Helm(context.Background(), "", "uninstall", name, "--namespace", name, "--ignore-not-found", "--wait"); err != nil {
			t.Error(err)
		}
	})
}

// makeNamespace makes a namespace that ends with the test. If it is still going
// since the test ran before, it waits for that.
func makeNamespace(t *testing.T, c *cluster.Cluster, name string, labels map[string]string) *corev1.Namespace {
	t.Helper()
	admin := user(t, c, "")
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	eventually(t, "making namespace "+name, func() error { return admin.Create(t.Context(), ns) })
	t.Cleanup(func() {
		if err := admin.Delete(context.Background(), ns.DeepCopy()); client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
	})
	return ns
}

// eventually calls f until it returns nil.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

// certManagerTypes makes the API server know and check cert-manager's objects,
// which nobody acts on.
func certManagerTypes(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager").Output()
	if err != nil {
		t.Fatal("finding cert-manager's types: ", err)
	}
	crds := filepath.Join(strings.TrimSpace(string(dir)), "deploy", "crds")
	for _, kind := range []string{"certificates", "issuers"} {
		if _, _, err := c.Kubectl(t.Context(), "", "apply", "--server-side", "-f", filepath.Join(crds, "cert-manager.io_"+kind+".yaml")); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := c.Kubectl(t.Context(), "", "wait", "--for=condition=Established", "--timeout=60s",
		"crd/certificates.cert-manager.io", "crd/issuers.cert-manager.io"); err != nil {
		t.Fatal(err)
	}
}

// operatorTypes makes the API server know and check the objects of the Prometheus
// operator. Their definitions are in the operator's own module, of which we have
// only the types: it is downloaded, once.
func operatorTypes(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	const module = "github.com/prometheus-operator/prometheus-operator"
	version, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", module+"/pkg/apis/monitoring").Output()
	if err != nil {
		t.Fatal("finding the operator's version: ", err)
	}
	download := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module+"@"+strings.TrimSpace(string(version)))
	download.Dir = t.TempDir() // outside of our module, which does not ask for it
	out, err := download.Output()
	if err != nil {
		t.Fatalf("downloading the operator's types: %v\n%s", err, out)
	}
	var downloaded struct{ Dir string }
	if err := json.Unmarshal(out, &downloaded); err != nil {
		t.Fatal(err)
	}
	args := []string{"wait", "--for=condition=Established", "--timeout=60s"}
	for _, kind := range []string{"servicemonitors", "podmonitors", "prometheusrules"} {
		file := filepath.Join(downloaded.Dir, "example", "prometheus-operator-crd", "monitoring.coreos.com_"+kind+".yaml")
		if _, _, err := c.Kubectl(t.Context(), "", "apply", "--server-side", "-f", file); err != nil {
			t.Fatal(err)
		}
		args = append(args, "crd/"+kind+".monitoring.coreos.com")
	}
	if _, _, err := c.Kubectl(t.Context(), "", args...); err != nil {
		t.Fatal(err)
	}
}

// gone returns an error as long as the object is there.
func gone(t *testing.T, c *cluster.Cluster, o client.Object) error {
	t.Helper()
	err := user(t, c, "").Get(t.Context(), client.ObjectKeyFromObject(o), o)
	if err == nil {
		return fmt.Errorf("%T %s is still there", o, client.ObjectKeyFromObject(o))
	}
	return client.IgnoreNotFound(err)
}

// recorder is a webhook that allows everything and remembers what it was asked.
type recorder struct {
	url, caBundle string

	mu   sync.Mutex
	seen []string
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(req.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		q := review.Request
		resource := q.Resource.Resource
		if q.SubResource != "" {
			resource += "/" + q.SubResource
		}
		r.mu.Lock()
		r.seen = append(r.seen, fmt.Sprintf("%s %s %s %s/%s", req.URL.Path, q.Operation, resource, q.Namespace, q.Name))
		r.mu.Unlock()
		review.Response = &admissionv1.AdmissionResponse{UID: q.UID, Allowed: true}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	r.caBundle = base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	return r
}

// values make the API server ask this webhook.
func (r *recorder) values() string {
	return fmt.Sprintf("external: {url: %q, caBundle: %q}\n", r.url, r.caBundle)
}

// take returns what was asked about the namespace since the last call.
func (r *recorder) take(namespace string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var mine []string
	r.seen = slices.DeleteFunc(r.seen, func(s string) bool {
		if !strings.Contains(s, " "+namespace+"/") {
			return false
		}
		mine = append(mine, strings.Replace(s, " "+namespace+"/", " ", 1))
		return true
	})
	return mine
}

func isDenied(err error) bool { return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) }

var certificates sync.Map

// certificate returns a CA certificate in PEM, the same for the same name: the
// API server accepts nothing else as a caBundle.
func certificate(t *testing.T, name string) []byte {
	t.Helper()
	if known, ok := certificates.Load(name); ok {
		return known.([]byte)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	known, _ := certificates.LoadOrStore(name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return known.([]byte)
}
