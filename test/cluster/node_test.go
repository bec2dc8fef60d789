package cluster

import (
	"errors"
	"fmt"
	"testing"
)

func TestAPodRunsOnTheNode(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Kubernetes with a node; run without -short")
	}
	c, err := Start(t.Context(), Options{Node: true, Log: func(s string) { t.Log(s) }})
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, c, "", "run", "camera", "--image="+pauseImage, "--image-pull-policy=Never")
	eventually(t, "the pod", func() error {
		if phase := kubectl(t, c, "", "get", "pod", "camera", "-o", "jsonpath={.status.phase}"); phase != "Running" {
			return fmt.Errorf("is %s", phase)
		}
		return nil
	})
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
}
