package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/debugsidecar/debugsidecar/images/build"
)

// buildImages returns the archives of our images and of the app's.
func buildImages(ctx context.Context, o Options) ([]string, error) {
	images, err := build.Images(ctx, build.Options{
		Root: o.Root, Out: filepath.Join(o.Root, "bin", "images"),
		Names: append([]string{build.Webhook, build.Sidecar}, o.Images...), Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	plugin := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", filepath.Join(o.Root, "bin")+"/", "./kubectl-debugsidecar")
	plugin.Dir = o.Root
	plugin.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := plugin.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the plugin: %w\n%s", err, out)
	}
	var archives []string
	for _, i := range images {
		archives = append(archives, i.Archive)
	}
	app := filepath.Join(o.Dir, "app")
	compile := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", app, "./test/node/app")
	compile.Dir = o.Root
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the app: %w\n%s", err, out)
	}
	if err := build.Static(ctx, app+".tar", AppImage, "", app); err != nil {
		return nil, fmt.Errorf("making the app's image: %w", err)
	}
	return append(archives, app+".tar"), nil
}
