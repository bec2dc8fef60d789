package status

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// The CRD of PolicyReports as Kyverno (Apache-2.0) publishes it, a copy of the
// working group's. Of the module, nothing is compiled: 7 MB, once.
const (
	crdModule = "github.com/kyverno/kyverno@v1.13.4"
	crdSum    = "h1:2zUi+eszlisLdCir+WIf2NtuUfFPvJtjUNpewdtLjVw="
	crdFile   = "config/crds/policyreport/wgpolicyk8s.io_policyreports.yaml"
)

// applyCRD makes the cluster know PolicyReports.
func applyCRD(ctx context.Context) error {
	download := exec.CommandContext(ctx, "go", "mod", "download", "-json", crdModule)
	download.Dir = env.dir // outside of any module
	out, err := download.Output()
	var got struct{ Dir, Sum, Error string }
	if jsonErr := json.Unmarshal(out, &got); jsonErr != nil || err != nil {
		return fmt.Errorf("downloading %s: %v: %s", crdModule, err, got.Error)
	}
	if got.Sum != crdSum {
		return fmt.Errorf("%s has the sum %s, want %s", crdModule, got.Sum, crdSum)
	}
	text, err := os.ReadFile(filepath.Join(got.Dir, crdFile))
	if err != nil {
		return err
	}
	if _, _, err := env.cluster.Kubectl(ctx, string(text), "apply", "--server-side", "-f", "-"); err != nil {
		return err
	}
	_, _, err = env.cluster.Kubectl(ctx, "", "wait", "--for=condition=Established", "--timeout=30s", "crd/policyreports.wgpolicyk8s.io")
	return err
}
