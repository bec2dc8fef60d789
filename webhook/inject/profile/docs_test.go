package profile

import (
	"os"
	"strings"
	"testing"
)

func TestProfileOfTheDocumentationLoads(t *testing.T) {
	text, err := os.ReadFile("../../../docs/profiles.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "```yaml\n")
	example, _, closed := strings.Cut(after, "```\n")
	if !found || !closed {
		t.Fatal("docs/profiles.md has no example")
	}
	p, err := Load("docs/profiles.md", []byte(example), testSettings)
	if err != nil {
		t.Fatal(err)
	}
	params, err := p.Params("{source: 'rtsp://camera.example/a', sourceSecretRef: {name: camera, key: url}, interval: 10s, resources: {limits: {memory: 128Mi}}}")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Render(Input{Variant: Variant{User, Native}, Params: params, Port: 9400}); err != nil {
		t.Fatal(err)
	}
}
