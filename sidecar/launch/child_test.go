package launch_test

import (
	"os"
	"strings"
	"testing"

	"github.com/debugsidecar/debugsidecar/sidecar/launch"
)

func TestUnprivilegedChildHasNoCapability(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c, err := launch.Start(launch.Spec{Path: "cat", Args: []string{"/proc/self/status"}, Stdout: w, Unprivileged: true})
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	b := make([]byte, 1<<16)
	n, _ := r.Read(b)
	state, err := c.Wait()
	if err != nil || launch.Status(state) != 0 {
		t.Fatal(state, err)
	}
	for line := range strings.Lines(string(b[:n])) {
		if strings.HasPrefix(line, "Cap") || strings.HasPrefix(line, "NoNew") {
			t.Log(line)
		}
	}
}
