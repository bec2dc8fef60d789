package debian

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// small is a package of a few kilobytes.
const small = "hello-traditional"

func TestTreeHasThePackagesFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("downloads a package")
	}
	t.Setenv("DEBUGSIDECAR_CACHE", t.TempDir())
	var told []string
	root, err := Tree(t.Context(), func(s string) { told = append(told, s) }, small)
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "usr/bin/hello")); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(root, "download-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
	again, err := Tree(t.Context(), func(s string) { told = append(told, s) }, small)
	if err != nil || again != root || len(told) != 1 {
		t.Errorf("the second time: %s, %v, %q", again, err, told)
	}
}

func TestWithoutAptItIsUnavailable(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := Newest(context.Background(), small); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestAPackageThatIsNotThereIsUnavailable(t *testing.T) {
	if testing.Short() {
		t.Skip("may fetch apt's lists")
	}
	if _, err := Newest(t.Context(), "no-such-package-of-debugsidecar"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}
