package inroot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNothingLeadsOutOfTheRoot(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(outside+"/secret", []byte("stolen"), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(outside, "root")
	if err := os.MkdirAll(dir+"/etc", 0o755); err != nil {
		t.Fatal(err)
	}
	link := func(to, name string) {
		if err := os.Symlink(to, dir+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.WriteFile(dir+"/etc/plain", []byte("0123456789"), 0o644), unix.Mkfifo(dir+"/pipe", 0o644)); err != nil {
		t.Fatal(err)
	}
	link("/etc/plain", "absolute") // of its own root
	link("../../../../secret", "out")
	link(outside+"/secret", "absolute-out")
	link("/proc/self/root"+outside, "magic")
	link("loop", "loop")
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(root)
	for _, name := range []string{"out", "absolute-out", "magic/secret", "loop", "../secret", "etc/../../secret", "none", "pipe", "etc", ""} {
		if text, _, err := Read(root, name, 100, 0); err == nil || len(text) > 0 {
			t.Errorf("%q has %q", name, text)
		}
	}
	for _, name := range []string{"etc/plain", "/etc/plain", "absolute", "../../etc/plain"} {
		if text, cut, err := Read(root, name, 4, 0); err != nil || string(text) != "0123" || !cut {
			t.Errorf("%q has %q, %v, %v", name, text, cut, err)
		}
	}
	if text, cut, err := Read(root, "etc/plain", 10, 0); err != nil || len(text) != 10 || cut {
		t.Errorf("%q, %v, %v", text, cut, err)
	}
	if _, _, err := Read(root, "etc/plain", 10, unix.CGROUP2_SUPER_MAGIC); err == nil || !strings.Contains(err.Error(), "filesystem of type") {
		t.Error(err)
	}
}
