package chart

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Each testdata/NAME.values.yaml has a testdata/NAME.golden.yaml.
const (
	valuesSuffix = ".values.yaml"
	goldenSuffix = ".golden.yaml"
)

func variants(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*"+valuesSuffix))
	if err != nil || len(files) == 0 {
		t.Fatal("no values files in testdata", err)
	}
	values := map[string]string{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		values[strings.TrimSuffix(filepath.Base(f), valuesSuffix)] = string(data)
	}
	return values
}

func TestOutputIsWhatWasReviewed(t *testing.T) {
	values := variants(t)
	for name, v := range values {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := template(t, v)
			if err != nil {
				t.Fatal(err)
			}
			decode(t, got)
			golden := filepath.Join("testdata", name+goldenSuffix)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s differs; if that is intended, run go test ./test/chart -update\n%s", golden, diff)
			}
		})
	}
	goldens, err := filepath.Glob(filepath.Join("testdata", "*"+goldenSuffix))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range goldens {
		if _, ok := values[strings.TrimSuffix(filepath.Base(g), goldenSuffix)]; !ok {
			t.Errorf("%s belongs to no values file", g)
		}
	}
}
