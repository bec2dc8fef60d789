package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// settle lets caches, ours and the API server's, see what was just written.
// There is no event to wait for: nobody outside can read them.
func settle() { time.Sleep(time.Second) }

// metricOfAll sums a metric over the running replicas.
func metricOfAll(t *testing.T, line string) float64 {
	t.Helper()
	sum := 0.0
	for _, r := range env.installation.Running() {
		v, err := r.Metric(line)
		if err != nil {
			t.Fatal(err)
		}
		sum += v
	}
	return sum
}

func quotaCounted(ctx context.Context, ns string) error {
	q, err := env.client.CoreV1().ResourceQuotas(ns).Get(ctx, "tight", metav1.GetOptions{})
	if err == nil && len(q.Status.Hard) == 0 {
		err = errors.New("not counted yet")
	}
	return err
}

var errNotDenied = errors.New("it was not denied")

// logged says whether a replica that runs has logged a line with all parts.
func logged(parts ...string) error {
	for _, r := range env.installation.Running() {
		data, err := os.ReadFile(r.Log)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(data)) {
			if containsAll(line, parts) {
				return nil
			}
		}
	}
	return fmt.Errorf("nothing was logged with %q", parts)
}

func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// upgradeBack restores the values that the other tests count on.
func upgradeBack() {
	if err := env.installation.Upgrade(context.Background(), values); err != nil {
		panic(err)
	}
	settle()
}
