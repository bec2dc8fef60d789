package certmanager_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/debugsidecar/debugsidecar/test/node"
)

// enforcing is a namespace whose pods are injected, and can't be created without
// the webhook's word.
const enforcing = "enforcing"

// load is requests without a pause.
type load struct {
	workers sync.WaitGroup
	stop    context.CancelFunc

	mu           sync.Mutex
	pods, calls  int
	slowest      time.Duration // of the pods' creations
	certificates map[string]bool
}

// startLoad begins to create pods, and to call the webhook as an API server does
// that has no connection yet: the API server itself keeps its connections, and
// so would hardly see a renewed certificate.
func (l lab) startLoad(t *testing.T) *load {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: enforcing, Labels: map[string]string{
		"debugsidecar.io/inject": "video-probe", "policy.debugsidecar.io/enforce": "baseline",
	}}}
	if _, err := l.client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	err := l.Until(t.Context(), "the namespace has its service account", func(ctx context.Context) error {
		_, err := l.client.CoreV1().ServiceAccounts(enforcing).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	load := &load{stop: stop, certificates: map[string]bool{}}
	for maker := range 2 {
		load.workers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				load.create(t, l, fmt.Sprintf("pod-%d-%d", maker, i))
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
	load.workers.Go(func() {
		for ctx.Err() == nil {
			serial, err := l.call(t.Context())
			if err != nil {
				t.Errorf("call %d on a connection of its own: %v", load.calls, err)
			}
			load.mu.Lock()
			load.calls++
			if err == nil {
				load.certificates[serial] = true
			}
			load.mu.Unlock()
			time.Sleep(20 * time.Millisecond)
		}
	})
	return load
}

// end ends the load, tells how much it was, and fails the test if that was little.
func (load *load) end(t *testing.T) {
	t.Helper()
	const enough = 100
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		load.mu.Lock()
		done := load.pods >= enough && load.calls >= enough
		load.mu.Unlock()
		if done {
			break
		}
	}
	load.stop()
	load.workers.Wait()
	t.Logf("%d pods were created, the slowest in %.2f s; %d calls on connections of their own were answered with %d certificates",
		load.pods, load.slowest.Seconds(), load.calls, len(load.certificates))
	if load.pods < enough || load.calls < enough {
		t.Error("that is no load")
	}
}

// untilMet waits until a call met the certificate with a serial number.
func (load *load) untilMet(t *testing.T, serial string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		load.mu.Lock()
		met := load.certificates[serial]
		load.mu.Unlock()
		if met {
			return
		}
	}
	t.Errorf("no call was answered with certificate %s", serial)
}

func pod(name string) *corev1.Pod {
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			Containers:   []corev1.Container{{Name: "app", Image: node.AppImage}},
			NodeSelector: map[string]string{"nowhere": "true"}, // it need not run
		},
	}
}

// create creates a pod, which has to get its sidecar.
func (load *load) create(t *testing.T, l lab, name string) {
	begin := time.Now()
	made, err := l.client.CoreV1().Pods(enforcing).Create(t.Context(), pod(name), metav1.CreateOptions{})
	took := time.Since(begin)
	if err != nil {
		t.Errorf("creating %s: %v", name, err)
		return
	}
	if n := len(made.Spec.InitContainers); n != 1 || made.Spec.InitContainers[0].Name != "debugsidecar-video-probe" {
		t.Errorf("%s was created with %d init containers, and should have the probe: %s", name, n, made.Annotations["debugsidecar.io/status"])
	}
	load.mu.Lock()
	defer load.mu.Unlock()
	load.pods++
	load.slowest = max(load.slowest, took)
}

// call sends an admission review through the Service, trusting what API servers
// are told to trust at that moment. It returns the serial number of the
// certificate that it met.
func (l lab) call(ctx context.Context) (string, error) {
	bundles, err := l.bundles(ctx)
	if err != nil {
		return "", err
	}
	roots := x509.NewCertPool()
	for entry, bundle := range bundles {
		if strings.HasPrefix(entry, "mutating") && !roots.AppendCertsFromPEM(bundle) {
			return "", fmt.Errorf("no CA in %s", entry)
		}
	}
	body, err := review()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // as long as an API server waits
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+serverName+"/mutate", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return l.DialContext(ctx, network, serverName+":443")
		},
		TLSClientConfig: &tls.Config{RootCAs: roots},
	}}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var answer admissionv1.AdmissionReview
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return "", fmt.Errorf("%s: %w", response.Status, err)
	}
	if answer.Response == nil || !answer.Response.Allowed || len(answer.Response.Patch) == 0 {
		return "", errors.New("the answer has no patch")
	}
	return response.TLS.PeerCertificates[0].SerialNumber.Text(16), nil
}

// review is what an API server sends about a pod that is being created.
func review() ([]byte, error) {
	p := pod("called")
	p.Namespace = enforcing
	raw, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	return json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID:       types.UID("called"),
			Kind:      metav1.GroupVersionKind{Version: "v1", Kind: "Pod"},
			Resource:  metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
			Name:      p.Name,
			Namespace: enforcing,
			Operation: admissionv1.Create,
			Object:    runtime.RawExtension{Raw: raw},
		},
	})
}
