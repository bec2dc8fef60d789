package offline

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/manifest"
)

var update = flag.Bool("update", false, "write the golden files in testdata again")

// The pairs in testdata/inject are NAME.yaml and NAME.golden.yaml, what inject
// makes of it; NAME.golden.txt is what it says meanwhile. They hold without any
// flags, so a test of the webhook can use them as well.
const pairs = "testdata/inject"

func inputs(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(pairs, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".yaml"); !strings.HasSuffix(name, ".golden") {
			all[name] = readFile(t, file)
		}
	}
	if len(all) == 0 {
		t.Fatal("there are no inputs in " + pairs)
	}
	return all
}

func TestInject_GivesTheGoldenFiles(t *testing.T) {
	all := inputs(t)
	for name, input := range all {
		r := fine(t, input, "inject", "-f", "-")
		golden(t, filepath.Join(pairs, name+".golden.yaml"), r.out)
		golden(t, filepath.Join(pairs, name+".golden.txt"), r.err)
	}
	files, err := os.ReadDir(pairs)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name, _, _ := strings.Cut(file.Name(), ".")
		if _, ok := all[name]; !ok {
			t.Errorf("%s belongs to no input; remove it", file.Name())
		}
	}
}

// golden compares with a file; one that would be empty must not be there.
func golden(t *testing.T, file, have string) {
	t.Helper()
	switch want, err := os.ReadFile(file); {
	case *update && have == "":
		os.Remove(file) //nolint:errcheck // it need not be there
	case *update:
		if err := os.WriteFile(file, []byte(have), 0o644); err != nil { //nolint:gosec // as in a checkout
			t.Fatal(err)
		}
	case err != nil && (have != "" || !os.IsNotExist(err)):
		t.Errorf("%v; make it with: go test ./kubectl-debugsidecar/offline -update", err)
	case err == nil && have == "":
		t.Errorf("%s: is stale: there is nothing to expect; remove it", file)
	default:
		if diff := cmp.Diff(string(want), have); diff != "" {
			t.Errorf("%s: is stale, or the code is wrong; if it is stale: go test ./kubectl-debugsidecar/offline -update\n%s", file, diff)
		}
	}
}

func TestInjectTwice_EqualsOnce(t *testing.T) {
	for name, input := range inputs(t) {
		once := fine(t, input, "inject", "-f", "-")
		twice := fine(t, once.out, "inject", "-f", "-")
		if diff := cmp.Diff([]string{once.out, once.err}, []string{twice.out, twice.err}); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestUninject_TakesBackWhatInjectDid(t *testing.T) {
	for name, input := range inputs(t) {
		injected := fine(t, input, "inject", "-f", "-")
		back := fine(t, injected.out, "uninject", "-f", "-")
		if strings.HasPrefix(name, "injected") {
			continue // there was a sidecar at the start
		}
		if diff := cmp.Diff(contents(t, input), contents(t, back.out)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		if again := fine(t, back.out, "uninject", "-f", "-"); again.out != back.out {
			t.Errorf("%s: uninject changes what it made itself:\n%s", name, cmp.Diff(back.out, again.out))
		}
	}
}

func TestUninject_LeavesOthersUntouched(t *testing.T) {
	for name, input := range inputs(t) {
		if strings.HasPrefix(name, "injected") {
			continue
		}
		if diff := cmp.Diff(input, fine(t, input, "uninject", "-f", "-").out); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// contents are all documents of a stream, without their form.
func contents(t *testing.T, stream string) (all []map[string]any) {
	t.Helper()
	docs, err := manifest.Read(manifest.Sources{Names: []string{"-"}, Stdin: strings.NewReader(stream)})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range docs {
		all = append(all, d.Root)
	}
	return all
}

func TestJSONAndYAML_HoldTheSame(t *testing.T) {
	for name, input := range inputs(t) {
		asYAML := fine(t, input, "inject", "-f", "-").out
		asJSON := fine(t, input, "inject", "-f", "-", "-o", "json").out
		var want []map[string]any
		for _, root := range contents(t, asYAML) {
			if root != nil {
				want = append(want, root)
			}
		}
		if diff := cmp.Diff(want, contents(t, asJSON)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		if again := fine(t, asJSON, "inject", "-f", "-", "-o", "json").out; again != asJSON {
			t.Errorf("%s: injecting the JSON again changes it", name)
		}
	}
}
