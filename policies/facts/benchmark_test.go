package facts

import (
	"os"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"sigs.k8s.io/yaml"
)

func BenchmarkDocument(b *testing.B) {
	text, err := os.ReadFile("../testdata/pod.yaml")
	if err != nil {
		b.Fatal(err)
	}
	pod := &Pod{}
	if err := yaml.Unmarshal(text, pod); err != nil {
		b.Fatal(err)
	}
	parameters := ast.ObjectTerm()
	b.ReportAllocs()
	for b.Loop() {
		Of(pod, Environment{}).Document(parameters)
	}
}
