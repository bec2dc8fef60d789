package build

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// compile builds one of our static programs.
func (b *builder) compile(ctx context.Context, name string) (string, error) {
	out := filepath.Join(b.work, name)
	if _, err := os.Stat(out); err == nil {
		return out, nil
	}
	b.Log("compiling the " + name)
	// Without a build ID, and without what git says of the tree, the program is the
	// same wherever and whenever it is built.
	return out, b.goTool(ctx, "build", "-ldflags=-s -w -buildid= -X main.version="+b.version, "-o", out, "./"+name)
}

// worker builds the capture program, which is linked with Debian's OpenCV.
func (b *builder) worker(ctx context.Context) (string, error) {
	out := filepath.Join(b.work, "debugsidecar-capture")
	if _, err := os.Stat(out); err == nil {
		return out, nil
	}
	b.Log("compiling the capture program")
	return out, b.goTool(ctx, "run", "./sidecar/capture/worker/build", "-o", out)
}

func (b *builder) goTool(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.Root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false")
	return run(cmd)
}

func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}
