package shape

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files in testdata again")

// TestGolden shows readers what comes out.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".golden.yaml") {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pod := &corev1.Pod{}
		if err := yaml.UnmarshalStrict(data, pod); err != nil {
			t.Fatal(err)
		}
		golden := strings.TrimSuffix(file, ".yaml") + ".golden.yaml"
		got := inWords(t, plan(t, pod, labelled(), options()))
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Errorf("%v; make it with: go test ./kubectl-debugsidecar/debug/shape -update", err)
			continue
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s: is stale, or the code is wrong; if it is stale: go test ./kubectl-debugsidecar/debug/shape -update\n%s", golden, diff)
		}
	}
}

func inWords(t *testing.T, p *Plan) string {
	t.Helper()
	var b strings.Builder
	for _, n := range append(p.Notes, p.PullNote) {
		fmt.Fprintf(&b, "# %s\n", n)
	}
	for _, c := range p.Candidates {
		fmt.Fprintf(&b, "---\n# profile %s\n", c.Profile)
		for _, l := range c.LeavesOut {
			fmt.Fprintf(&b, "# without: %s\n", l)
		}
		data, err := yaml.Marshal(c.Container)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(data)
	}
	return b.String()
}
