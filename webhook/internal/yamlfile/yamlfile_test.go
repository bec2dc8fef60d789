package yamlfile_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/webhook/internal/yamlfile"
)

func TestDecodeNamesTheLine(t *testing.T) {
	cases := []struct{ name, data, want string }{
		{"good", "containers:\n- name: a\n", ""},
		{"empty", "", ""},
		{"unknown field", "containers:\n- name: a\n  imag: b\n", `f.yaml:3: unknown field "containers[0].imag"`},
		{"two unknown fields", "container: 1\nvolume: 2\n", "f.yaml:1: unknown field \"container\"\nf.yaml:2: unknown field \"volume\""},
		{"wrong case", "Containers: []\n", `f.yaml:1: unknown field "Containers"`},
		{"repeated key", "containers: []\ndnsPolicy: a\ncontainers: []\n", `f.yaml:3: key "containers" already set in map`},
		{"wrong type", "containers:\n- name: a\n- name: b\n  args: c\n", `f.yaml:4: containers[1].args: can't be a value of type string`},
		{"bad quantity", "containers:\n- name: a\n  resources:\n    limits:\n      cpu: 1\n      memory: much\n",
			`f.yaml:6: containers[0].resources.limits.memory: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'`},
		{"not a mapping", "- a\n", "f.yaml:1: can't be a value of type array"},
		{"alias", "volumes:\n- &v\n  name: a\n  emptyDir: {}\n- *v\ncontainers:\n- name: a\n  x: 1\n", `f.yaml:8: unknown field "containers[0].x"`},
		{"syntax, seen by the scanner", "containers: []\ndnsPolicy: a: b\n", "f.yaml:2: mapping values are not allowed in this context"},
		{"syntax, seen by the parser", "containers: []\ndnsPolicy: 'a''b' 'c'\n", "f.yaml:2: did not find expected key"},
		{"syntax, seen at the end", "containers: []\nvolumes: [", "f.yaml:2: did not find expected node content"},
		{"tab", "containers:\n\t- name: a\n", "f.yaml:2: found character that cannot start any token"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			if err := yamlfile.Decode("f.yaml", []byte(c.data), &corev1.PodSpec{}); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
