package build

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// module writes a Go module that has a program and a package, and returns its
// builder and what that reports.
func module(t *testing.T) (*builder, *[]string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module example.org/hello\n\ngo 1.26\n\n// k8s.io/kubernetes v0.0.1 is the past\nrequire (\n\texample.org/kube v1.2.3\n)\n\nreplace example.org/kube => ./kube\n",
		"go.sum":    "",
		"main.go":   "package main\n\nimport \"example.org/kube\"\n\nvar version = \"none\"\n\nfunc main() { print(kube.Greeting + version) }\n",
		"kube/a.go": "package kube\n\n// " + t.Name() + time.Now().String() + "\nconst Greeting = \"hello \"\n", // compiled nowhere before
		"kube/go.mod": `module example.org/kube
`,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	var lines []string
	return &builder{
		program: &program{name: "hello", pkg: ".", module: "example.org/kube", sources: []string{"go.mod", "go.sum", "main.go"}, links: []string{"hi"}},
		title:   "Hello 1.2.3",
		dir:     dir,
		flags:   []string{"-mod=readonly", "-trimpath", "-ldflags", "-s -w -X main.version=v1.2.3"},
		report: func(line string) {
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, line)
		},
	}, &lines
}

func TestBuildMakesAProgramAndTellsHowFarItIs(t *testing.T) {
	b, lines := module(t)
	out := t.TempDir()
	if err := b.build(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hello", "hi"} {
		text, err := exec.CommandContext(t.Context(), filepath.Join(out, name)).CombinedOutput()
		if err != nil || string(text) != "hello v1.2.3" {
			t.Errorf("%s says %q, %v", name, text, err)
		}
	}
	if len(*lines) < 3 {
		t.Fatalf("reported %q", *lines)
	}
	for i, want := range []string{"looking what has to be compiled for Hello 1.2.3", "compiling Hello 1.2.3: 0 of 2 packages"} {
		if (*lines)[i] != want {
			t.Errorf("line %d is %q, want %q", i, (*lines)[i], want)
		}
	}
	if last := (*lines)[len(*lines)-1]; !strings.HasPrefix(last, "built Hello 1.2.3 in ") {
		t.Errorf("last line is %q", last)
	}
}

func TestBuildErrorIsTheCompilers(t *testing.T) {
	b, _ := module(t)
	if err := os.WriteFile(filepath.Join(b.dir, "kube", "a.go"), []byte("package kube\nconst Greeting = 1 + nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := b.build(t.Context(), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "undefined: nothing") {
		t.Errorf("error is %v", err)
	}
}

func TestBuildEndsWithItsContext(t *testing.T) {
	b, _ := module(t)
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if err := b.build(ctx, t.TempDir()); !errors.Is(err, why) {
		t.Errorf("error is %v", err)
	}
}

func TestVersionIsTheRequiredOne(t *testing.T) {
	b, _ := module(t)
	version, err := b.version()
	if err != nil || version != "v1.2.3" {
		t.Errorf("version is %q, %v", version, err)
	}
	b.program.module = "example.org/none"
	if version, err := b.version(); err == nil {
		t.Errorf("version of what is not required is %q", version)
	}
}

func TestKeyDependsOnAllThatIsInTheBinary(t *testing.T) {
	b, _ := module(t)
	keys := map[string]string{}
	add := func(change, platform string) {
		t.Helper()
		key, err := b.key(platform)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := keys[key]; ok {
			t.Errorf("%s has the key of %s", change, other)
		}
		keys[key] = change
	}
	const platform = "go1.26 linux amd64"
	add("nothing", platform)
	add("another platform", "go1.26 linux arm64")
	for _, name := range b.sources {
		f, err := os.OpenFile(filepath.Join(b.dir, name), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("\n"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		add("another "+name, platform)
	}
	b.flags = append(b.flags, "-v")
	add("another flag", platform)
}
