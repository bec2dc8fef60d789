package build

import (
	"archive/tar"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// unpackInto writes an image's files into dir, as a container runtime does.
func unpackInto(t *testing.T, archive, dir string) {
	t.Helper()
	open(t, archive).eachFile(t, func(_ int, h *tar.Header, content io.Reader) {
		// Links at a name's end are replaced, those on its way (/lib) are followed.
		file := filepath.Join(dir, h.Name)
		if h.Typeflag != tar.TypeDir {
			_ = os.Remove(file)
		}
		var err error
		switch h.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(file, 0o755)
		case tar.TypeSymlink:
			err = os.Symlink(h.Linkname, file)
		case tar.TypeLink:
			err = os.Link(filepath.Join(dir, h.Linkname), file)
		default:
			var f *os.File
			if f, err = os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, os.FileMode(h.Mode)&0o777); err == nil {
				_, err = io.Copy(f, content)
				_ = f.Close()
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}

// in runs a program in an image's files, as the image's user, without a
// network, and returns what it printed.
func in(t *testing.T, root string, program ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program[0], program[1:]...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin", "HOME=/tmp", "TERM=xterm"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot:     root,
		Credential: &syscall.Credential{Uid: nonRoot, Gid: nonRoot},
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// rootOf returns an image's files in a directory.
func rootOf(t *testing.T, name string) string {
	t.Helper()
	images := all(t)
	if os.Getuid() != 0 {
		t.Skip("programs run in a root of their own, which takes root")
	}
	// Not below t.TempDir, which only root may enter.
	root, err := os.MkdirTemp("", "image-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	unpackInto(t, images[name].Archive, root)
	return root
}

func TestTheWebhookRunsOnNothingElse(t *testing.T) {
	root := rootOf(t, Webhook)
	out, err := in(t, root, "/usr/bin/webhook", "--help")
	if err != nil || !strings.Contains(out, "Usage:") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestTheSidecarFindsItsWorkerAndAllLibraries(t *testing.T) {
	root := rootOf(t, Sidecar)
	out, err := in(t, root, "/usr/bin/sidecar", "--help")
	if err != nil || !strings.Contains(out, "video-probe") {
		t.Errorf("%v: %s", err, out)
	}
	// It can't do its work in here; it says which parts of a system it misses.
	out, _ = in(t, root, "/usr/bin/sidecar", "doctor")
	if !strings.Contains(out, "uid 65532, gid 65532") || strings.Contains(out, "no debugsidecar-capture") {
		t.Errorf("doctor: %s", out)
	}
	out, err = in(t, root, "/usr/bin/debugsidecar-capture")
	if !strings.Contains(out, "started by the probe") {
		t.Errorf("the capture program: %v: %s", err, out)
	}
}

func TestTheDebugImagesToolsRun(t *testing.T) {
	root := rootOf(t, Debug)
	for _, test := range []struct {
		says string
		tool []string
	}{
		{"strace", []string{"strace", "--version"}},
		{"libpcap", []string{"tcpdump", "--version"}},
		{`"b"`, []string{"bash", "-c", `echo '{"a":"b"}' | jq .a`}},
		{"https", []string{"curl", "--version"}},
		{"OpenBSD netcat", []string{"bash", "-c", "nc -h 2>&1"}},
		{"iproute2", []string{"ip", "-V"}},
		{"lo:", []string{"ip", "-o", "link"}},
		{"iproute2", []string{"ss", "-V"}},
		{"GNU gdb", []string{"gdb", "--version"}},
		{"42", []string{"gdb", "-batch", "-ex", "python print(6*7)"}},
		{"bpftrace v", []string{"bpftrace", "--version"}},
		{"mount -t proc", []string{"ps", "--version"}}, // it has none here
		{"less ", []string{"less", "--version"}},
		{"video-probe", []string{"sidecar", "--help"}},
		{"started by the probe", []string{"debugsidecar-capture"}},
	} {
		file := ""
		for _, dir := range []string{"usr/bin", "usr/sbin"} {
			if _, err := os.Stat(filepath.Join(root, dir, test.tool[0])); err == nil {
				file = "/" + filepath.Join(dir, test.tool[0])
			}
		}
		if file == "" {
			t.Errorf("there is no %s", test.tool[0])
			continue
		}
		out, err := in(t, root, append([]string{file}, test.tool[1:]...)...)
		if !strings.Contains(out, test.says) {
			t.Errorf("%s: %v: %.300s", strings.Join(test.tool, " "), err, out)
		}
	}
}
