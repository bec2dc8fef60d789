package offline

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/manifest"
	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

// FuzzRewrite seeks a manifest that breaks: inject twice equals once, and
// uninject leaves nothing of inject.
func FuzzRewrite(f *testing.F) {
	for _, file := range []string{"ingest-pod", "list", "workloads", "quality-of-service", "injected-by-older-revision", "not-injected"} {
		f.Add(readFile(f, filepath.Join(pairs, file+".yaml")))
	}
	f.Add(plainPod)
	snapshot, err := config.Load(config.Paths{})
	if err != nil {
		f.Fatal(err)
	}
	rewrite := func(t *testing.T, input string, change func(*cluster, *pod) error) (string, error) {
		o := newOptions(genericiooptions.IOStreams{Out: &bytes.Buffer{}, ErrOut: &bytes.Buffer{}})
		o.profile, o.nativeSidecars = "debug", true
		o.kube.Namespace = "cameras"
		docs, err := manifest.Read(manifest.Sources{Names: []string{"-"}, Stdin: strings.NewReader(input)})
		if err != nil {
			return "", err
		}
		c, err := o.gather(snapshot, docs)
		if err != nil {
			return "", err
		}
		if err := c.each(change); err != nil {
			return "", err
		}
		var out bytes.Buffer
		err = manifest.WriteYAML(&out, docs)
		return out.String(), err
	}
	must := func(t *testing.T, input string, change func(*cluster, *pod) error) string {
		out, err := rewrite(t, input, change)
		if err != nil {
			t.Fatalf("%v\nof %q", err, input)
		}
		return out
	}
	f.Fuzz(func(t *testing.T, input string) {
		once, err := rewrite(t, input, (*cluster).inject)
		if err != nil {
			return
		}
		if twice := must(t, once, (*cluster).inject); twice != once {
			t.Errorf("injecting twice differs:\n%s", cmp.Diff(once, twice))
		}
		back := must(t, once, (*cluster).uninject)
		if again := must(t, back, (*cluster).uninject); again != back {
			t.Errorf("uninject changes what it made itself:\n%s", cmp.Diff(back, again))
		}
		if strings.Contains(input, profile.NamePrefix) {
			return // what has a name of ours at the start may be replaced
		}
		want := must(t, input, (*cluster).uninject)
		if diff := cmp.Diff(dense(contents(t, want)), dense(contents(t, back))); diff != "" {
			t.Errorf("something of inject is left:\n%s", diff)
		}
	})
}

// dense leaves out what is empty: inject fills an empty list, and uninject takes
// it away.
func dense(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			if value = dense(value); value != nil {
				out[key] = value
			}
		}
		if len(out) > 0 {
			return out
		}
	case []any:
		var out []any
		for _, value := range v {
			out = append(out, dense(value))
		}
		if len(out) > 0 {
			return out
		}
	case []map[string]any:
		var out []any
		for _, value := range v {
			out = append(out, dense(value))
		}
		return out
	case nil:
	default:
		return v
	}
	return nil
}
