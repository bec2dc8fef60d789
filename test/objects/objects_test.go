// Package objects checks that the BPF objects and bindings in the repository
// are what their sources give, so that nobody has to trust a binary.
package objects

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const directive = "//go:generate go tool bpf2go "

func TestCommittedObjectsAreWhatTheSourcesGive(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it compiles BPF")
	}
	root := filepath.Join("..", "..")
	programs := generators(t, filepath.Join(root, "bpf"))
	if len(programs) == 0 {
		t.Fatal("no go:generate of bpf2go was found")
	}
	for dir, args := range programs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			for _, tool := range []string{"-cc", "-strip"} {
				for i, a := range args {
					if a != tool {
						continue
					}
					if _, err := exec.LookPath(args[i+1]); err != nil {
						t.Skipf("%s is not installed (apt-get install clang-19 llvm-19 libbpf-dev)", args[i+1])
					}
				}
			}
			made := t.TempDir()
			cmd := exec.Command("go", append([]string{"tool", "bpf2go", "-output-dir", made}, args...)...)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "GOPACKAGE="+filepath.Base(dir))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			files, err := os.ReadDir(made)
			if err != nil || len(files) == 0 {
				t.Fatalf("nothing was made: %v", err)
			}
			for _, f := range files {
				same(t, filepath.Join(dir, f.Name()), filepath.Join(made, f.Name()))
			}
		})
	}
}

func same(t *testing.T, committed, made string) {
	t.Helper()
	want, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("%s is not what its source gives: run go generate ./bpf/...", committed)
	}
}

// generators returns the arguments of bpf2go, by folder.
func generators(t *testing.T, root string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if args, ok := strings.CutPrefix(strings.TrimSpace(line), directive); ok {
				found[filepath.Dir(path)] = split(args)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// split splits at spaces, but not within double quotes, as go generate does.
func split(line string) []string {
	var args []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			args = append(args, part)
		} else {
			args = append(args, strings.Fields(part)...)
		}
	}
	return args
}

// The same objects serve both.
func TestProbesBuildForBothProcessors(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it compiles for another processor")
	}
	for _, processor := range []string{"amd64", "arm64"} {
		cmd := exec.Command("go", "vet", "./bpf/...")
		cmd.Dir = filepath.Join("..", "..")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+processor)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", processor, err, out)
		}
	}
}
