package profile

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files in testdata/rendered anew")

const someParameters = `
source: rtsp://camera.example/stream?$(HOME)
sourceSecretRef: {name: camera, key: url}
open: always
rtpPorts: [5004, 5006]
buffer: 1.5
logLevel: debug
resources: {requests: {cpu: 100m}, limits: {cpu: "1", memory: 1Gi}}
`

// The golden files show what a pod gets, as the API server would give it back.
// After a change of a profile: go test ./webhook/inject/profile -update
func TestEmbeddedProfilesRenderAsInTheGoldenFiles(t *testing.T) {
	set, err := LoadSet("", testSettings)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, name := range set.Names() {
		p, _ := set.Get(name)
		for _, v := range variantsOf(p.Tiers) {
			file := name + "-" + string(v.Tier) + "-" + string(v.Placement) + ".yaml"
			checkGolden(t, file, p, Input{Variant: v, Port: 9400}, "")
			seen[file] = true
		}
		params := someParameters
		if name == "debug" {
			params = "logLevel: debug\nresources: {requests: {cpu: 100m}, limits: {cpu: '1', memory: 1Gi}}"
		}
		for _, c := range []struct {
			name string
			in   Input
		}{
			{"with-parameters", Input{Resources: AsRendered}},
			{"guaranteed", Input{Resources: RequestsAreLimits}},
			{"best-effort", Input{Resources: NoneForCPUAndMemory}},
			{"host-network", Input{HostNetwork: true}},
		} {
			c.in.Variant, c.in.Port = Variant{User, Native}, 9402
			file := name + "-user-native-" + c.name + ".yaml"
			checkGolden(t, file, p, c.in, params)
			seen[file] = true
		}
	}
	if set, err = LoadSet("", withReceivers); err != nil {
		t.Fatal(err)
	}
	p, _ := set.Get("video-probe")
	checkGolden(t, "video-probe-user-native-with-receivers.yaml", p, Input{Variant: Variant{User, Native}, Port: 9400}, "")
	seen["video-probe-user-native-with-receivers.yaml"] = true
	files, err := filepath.Glob("testdata/rendered/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !seen[filepath.Base(file)] {
			t.Errorf("%s belongs to nothing that is rendered", file)
		}
	}
}

func checkGolden(t *testing.T, name string, p *Profile, in Input, params string) {
	t.Helper()
	var err error
	if in.Params, err = p.Params(params); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	s, err := p.Render(in)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	got, err := yaml.Marshal(partialPod{Containers: []corev1.Container{s.Container}, Volumes: s.Volumes})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "rendered", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; write it with -update", err)
	}
	if string(got) != string(want) {
		t.Errorf("%s: got\n%s\nwant (or run with -update)\n%s", file, got, strings.TrimSpace(string(want)))
	}
}
