package certmanager

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/debugsidecar/debugsidecar/test/cluster"
)

// module is where the CRDs are, as the product's go.mod has it.
const module = "github.com/cert-manager/cert-manager"

// installCRDs applies the CRDs in cert-manager's Go module and waits until the
// API server serves them.
func installCRDs(ctx context.Context, c *cluster.Cluster) error {
	var stderr bytes.Buffer
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module)
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("looking for %s: %w: %s", module, err, stderr.String())
	}
	dir := strings.TrimSpace(string(out))
	if dir == "" {
		return errors.New(module + " is not in the module cache; go mod download gets it")
	}
	crds := filepath.Join(dir, "deploy", "crds")
	// A client-side apply would keep a copy in an annotation, for which they are too large.
	if _, _, err := c.Kubectl(ctx, "", "apply", "--server-side", "-f", crds); err != nil {
		return err
	}
	_, _, err = c.Kubectl(ctx, "", "wait", "--for=condition=Established", "--timeout=30s", "-f", crds)
	return err
}
