package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const (
	reviews     = 10_000
	concurrency = 16
	// The aims. How much of a mapped program is resident is the kernel's choice,
	// and how fast it starts is up to its neighbours, too: that is reported. What
	// the program itself holds is not.
	aimResident  = 64 << 20 // bytes
	aimStart     = time.Second
	maxAnonymous = 32 << 20 // bytes
)

func TestItStaysSmallAfterTenThousandReviews(t *testing.T) {
	r, err := env.installation.StartReplica(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	t.Logf("ready after %v", r.StartToReady.Round(time.Millisecond))
	body := reviewOf(t, labelled("ingest"))
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // loopback, and not what is tested
		MaxIdleConnsPerHost: concurrency,
	}}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range concurrency {
		wg.Go(func() {
			for n := next.Add(1); n <= reviews; n = next.Add(1) {
				path := [...]string{"/mutate", "/validate"}[n%2]
				if err := post(t.Context(), client, "https://"+r.Address()+path, body); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	resident, anonymous := memory(t, r.PID(), "VmRSS"), memory(t, r.PID(), "RssAnon")
	t.Logf("%.1f MiB resident after %d reviews at concurrency %d (%.1f of it anonymous, the rest is the mapped program)",
		mebibytes(resident), reviews, concurrency, mebibytes(anonymous))
	if anonymous > maxAnonymous {
		t.Errorf("%.1f MiB are anonymous, want at most %.0f", mebibytes(anonymous), mebibytes(maxAnonymous))
	}
	if resident > aimResident {
		t.Logf("the aim of %.0f MiB resident was missed", mebibytes(aimResident))
	}
	if r.StartToReady > aimStart {
		t.Logf("the aim of %v to ready was missed", aimStart)
	}
}

func post(ctx context.Context, client *http.Client, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(resp.Body).Decode(&review); err != nil {
		return fmt.Errorf("%s: %w", resp.Status, err)
	}
	if review.Response == nil || !review.Response.Allowed {
		return fmt.Errorf("%s: not allowed: %v", resp.Status, review.Response)
	}
	return nil
}

func reviewOf(t *testing.T, object runtime.Object) []byte {
	t.Helper()
	raw, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "e2e", Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
			Namespace: "default", Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: raw},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

// memory returns a figure of /proc/PID/status in bytes.
func memory(t *testing.T, pid int, name string) int64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var kilobytes int64
		if _, err := fmt.Sscanf(line, name+": %d kB", &kilobytes); err == nil {
			return kilobytes << 10
		}
	}
	t.Fatalf("the process has no %s", name)
	return 0
}
