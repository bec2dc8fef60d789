package launch_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/debugsidecar/debugsidecar/sidecar/launch"
)

// tree makes files and directories: run/token, run/later, secrets/a, link -> run.
func tree(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "launch")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, name := range []string{"run/token", "secrets/a/b", "open/file", "file"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("run", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// hides skips the test where the kernel can't hide.
func hides(t *testing.T) {
	t.Helper()
	c, err := launch.Start(launch.Spec{Path: "true", Unprivileged: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Kill()
	if err := c.Exposed(); err != nil {
		t.Skip(err)
	}
}

func TestChildCantOpenWhatIsHidden(t *testing.T) {
	hides(t)
	dir := tree(t)
	const script = `cd /; for f in "$@"; do cat "$f" >/dev/null 2>&1 && echo "$f"; done
echo x >>"$0/run/token" && echo written
ls "$0/run" 2>/dev/null && echo listed
mv "$0/run/token" "$0/open/token" 2>/dev/null && cat "$0/open/token"
ln "$0/run/token" "$0/open/token" 2>/dev/null && cat "$0/open/token"
mv "$0/run" "$0/moved" 2>/dev/null; cat "$0/moved/token" 2>/dev/null && echo moved
true`
	files := []string{"run/token", "link/token", "secrets/a/b", "open/file", "file", "run/../run/token", "open/../file"}
	args := []string{"-c", script, dir}
	for _, f := range files {
		args = append(args, filepath.Join(dir, f))
		if strings.Contains(f, "..") {
			args[len(args)-1] = dir + "/" + f
		}
	}
	args = append(args, "/proc/self/root"+dir+"/run/token", "/etc/passwd")
	got, status := output(t, launch.Spec{
		Path: "/bin/sh", Args: args, Env: []string{"PATH=/usr/bin:/bin"}, Unprivileged: true,
		Hide: []string{dir + "/link", dir + "/secrets", dir + "/not/there/yet", "/nowhere"},
	})
	want := dir + "/open/file\n" + dir + "/file\n" + dir + "/open/../file\n/etc/passwd\n"
	var lines strings.Builder
	for line := range strings.Lines(got) {
		if !strings.Contains(line, "token: Permission denied") {
			lines.WriteString(line)
		}
	}
	if lines.String() != want || status != 0 {
		t.Errorf("status %d, could open\n%snot\n%s", status, lines.String(), want)
	}
	if b, _ := os.ReadFile(dir + "/run/token"); len(b) > 0 && string(b) != "run/token\n" {
		t.Errorf("the token was changed: %q", b)
	}
}

func TestWhatIsMadeLaterIsHidden(t *testing.T) {
	hides(t)
	dir := tree(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	out, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c, err := launch.Start(launch.Spec{
		Path: "/bin/sh", Args: []string{"-c", "echo; read x; cat " + dir + "/not/there/yet/token"}, Env: []string{"PATH=/usr/bin:/bin"},
		Stdin: r, Stdout: theirs, Stderr: theirs, Unprivileged: true, Hide: []string{dir + "/not/there/yet"},
	})
	r.Close()
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
	if err := os.MkdirAll(dir+"/not/there/yet", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/not/there/yet/token", []byte("stolen"), 0o644); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(w)
	if state, err := c.Wait(); err != nil || launch.Status(state) != 1 {
		b := make([]byte, 100)
		n, _ := out.Read(b)
		t.Errorf("%v %v: %s", state, err, b[:n])
	}
}

// In the user tier parent and child are one user, and neither has a capability:
// then only Landlock stands between the child and our memory.
func TestChildCantLookIntoUs(t *testing.T) {
	root(t)
	hides(t)
	dir := tree(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dir, "test")
	if out, err := exec.Command("cp", exe, own).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	run := func(name, script string) string {
		cmd := exec.Command(own, script)
		cmd.Dir, cmd.Env = "/", append(os.Environ(), program+"="+name, "TOKEN=s3cret")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	const look = `cat /proc/$PPID/environ; cat /proc/$PPID/root/etc/passwd; cat /proc/$PPID/fd/0; head -c1 /proc/$PPID/mem`
	if free := run("privileged", look); !strings.Contains(free, "s3cret") {
		t.Fatalf("without the barrier there is nothing to see, so this proves nothing:\n%s", free)
	}
	if got := run("unprivileged", look); strings.Contains(got, "s3cret") || strings.Contains(got, "root:") || strings.Count(got, "Permission denied") < 4 {
		t.Errorf("the child saw\n%s", got)
	}
}

func init() {
	// Says what it has and what it can open; no other program is needed, so that
	// this runs in a virtual machine as well.
	programs["confined"] = func(paths []string) int {
		status, err := os.ReadFile("/proc/self/status")
		fmt.Println(string(status), err)
		for _, path := range append(paths, fmt.Sprintf("/proc/%d/environ", os.Getppid())) {
			f, err := os.Open(path)
			if err == nil {
				f.Close()
			}
			fmt.Println(filepath.Base(path), err == nil)
		}
		return 0
	}
}

func TestConfinementHoldsOnThisKernel(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"hidden", "open"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c, err := launch.Start(launch.Spec{
		Path: "/proc/self/exe", Args: []string{dir + "/hidden", dir + "/open"}, Env: []string{program + "=confined"},
		Stdout: w, Unprivileged: true, Hide: []string{dir + "/hidden"},
	})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if state, err := c.Wait(); err != nil || launch.Status(state) != 0 {
		t.Fatalf("%v %v\n%s", state, err, text)
	}
	expectPowerless(t, "the child", string(text))
	if err := c.Exposed(); err != nil {
		t.Skip(err)
	}
	if got := string(text); !strings.Contains(got, "\nhidden false\nopen true\nenviron false\n") {
		t.Errorf("the child could open\n%s", got)
	}
}
