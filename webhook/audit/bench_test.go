package audit

import (
	"bytes"
	"encoding/json"
	"os"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// BenchmarkPage is what the leader spends on a page, once it is there: reading it
// as a stream and judging its 250 pods, of 7 KB each.
func BenchmarkPage(b *testing.B) {
	text, err := os.ReadFile("../../policies/testdata/pod.yaml")
	if err != nil {
		b.Fatal(err)
	}
	pod, err := yaml.YAMLToJSON(text)
	if err != nil {
		b.Fatal(err)
	}
	body := []byte(`{"metadata":{},"items":[`)
	for i := range Page {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, pod...)
	}
	body = append(body, "]}"...)
	judge := real(b, enforced)
	b.SetBytes(int64(len(body)))
	before := cpu(b)
	for b.Loop() {
		found := newFindings("apps", MaxResults)
		if _, err := items(bytes.NewReader(body), func(pod json.RawMessage) error { return found.judge(b.Context(), judge, pod) }); err != nil {
			b.Fatal(err)
		}
		if found.Pods != Page {
			b.Fatalf("%d pods, %d undecided: %s", found.Pods, found.Undecided, found.Why)
		}
	}
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N*Page), "cpu-us/pod")
}

// cpu is what this process used. Unlike the time on the wall, it says the same
// beside busy neighbours.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
