package snapshot

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/internal/podtest"
)

const program = "SNAPSHOT_TEST_PROGRAM"

// TestMain is also the containers' processes.
func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(program) {
	case "":
		goleak.VerifyTestMain(m)
		return
	case "target":
		err = target()
	case "pause":
		fmt.Println("up")
		time.Sleep(time.Minute)
	case "snapshot": // all threads are to be in the namespaces
		if err = podtest.Enter(true); err == nil {
			os.Setenv(program, "entered")
			err = syscall.Exec("/proc/self/exe", os.Args, os.Environ())
		}
	case "entered":
		_, err = write(context.Background(), os.Stdout, options{version: "test", proc: "/proc", runDir: "/nowhere", since: time.Minute,
			partTime: 10 * time.Second, allTime: time.Minute, progress: io.Discard})
	}
	if err != nil {
		fmt.Println("error:", err)
	}
}

// target is a container whose root directory is hostile.
func target() error {
	outside := os.Getenv("OUTSIDE")
	os.Unsetenv(program)
	err := podtest.Pivot(func(dir string) error {
		for _, name := range []string{"/etc", "/sys/fs/cgroup/memory"} {
			if err := os.MkdirAll(dir+name, 0o755); err != nil {
				return err
			}
		}
		large, err := os.Create(dir + "/etc/os-release")
		if err != nil {
			return err
		}
		return errors.Join(
			large.Truncate(1<<40), large.Close(),
			os.Symlink("/proc/1/root"+outside, dir+"/etc/hosts"), // not ours: its process 1 is the pause process
			unix.Mkfifo(dir+"/etc/hostname", 0o644),
			unix.Mknod(dir+"/etc/resolv.conf", unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5))),
			os.WriteFile(dir+"/sys/fs/cgroup/cpu.stat", []byte("usage_usec planted\n"), 0o644),
			os.Symlink("../../../../../../.."+outside, dir+"/sys/fs/cgroup/memory.stat"),
		)
	})
	if err != nil {
		return err
	}
	// A name that a terminal would obey.
	if err := os.WriteFile("/proc/self/comm", []byte("\x1b[2J) R 1"), 0); err != nil {
		return err
	}
	fmt.Println("up")
	time.Sleep(time.Minute)
	return nil
}

func TestAHostileTargetIsNotFollowed(t *testing.T) {
	pod := podtest.New(t)
	outside := t.TempDir() + "/outside"
	const planted = "planted-outside"
	if err := os.WriteFile(outside, []byte(planted), 0o644); err != nil {
		t.Fatal(err)
	}
	id := func(digit string) string { return strings.Repeat(digit, 64) }
	begin := func(group, name string, wait bool) (*exec.Cmd, *bytes.Buffer) {
		cmd := exec.Command("/proc/self/exe", "--token", "argument-of-"+name)
		cmd.Env = append(os.Environ(), program+"="+name, "OUTSIDE="+outside, "DEBUGSIDECAR_TARGET_ID=containerd://"+id("a"), "SOME_KEY=value-of-a-key")
		var out bytes.Buffer
		if !wait {
			cmd.Stdout = &out
			pod.Start(t, group, cmd)
			_ = cmd.Wait()
			return cmd, &out
		}
		r, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		pod.Start(t, group, cmd)
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		if line, _ := bufio.NewReader(r).ReadString('\n'); line != "up\n" {
			t.Fatalf("%s: %q", name, line)
		}
		return cmd, nil
	}
	begin(id("f"), "pause", true)
	begin(id("a"), "target", true)
	began := time.Now()
	_, out := begin(id("d"), "snapshot", false)
	files, _, m := unpack(t, out)
	if d := time.Since(began); d > 30*time.Second {
		t.Errorf("it took %v", d)
	}
	if !strings.Contains(files["target.json"], `"confidence": "id"`) || !strings.Contains(files["target.json"], `"verdict": "container"`) {
		t.Fatalf("the target: %s", files["target.json"])
	}
	for name, want := range map[string]string{
		"target/etc/hosts": "", "target/etc/hostname": "no plain file", "target/etc/resolv.conf": "no plain file",
		"target/cgroup/cpu.stat": "on a filesystem of type", "target/cgroup/memory.stat": "",
	} {
		if e := m.entry(t, name); e.Bytes != 0 || e.Error == "" || !strings.Contains(e.Error, want) {
			t.Errorf("%+v: %q", e, files[name])
		}
	}
	if e := m.entry(t, "target/etc/os-release"); e.Bytes != 64<<10 || !e.Truncated {
		t.Errorf("%+v", e)
	}
	if !strings.Contains(files["target/environment.json"], `"SOME_KEY"`) {
		t.Errorf("the target's environment: %s", files["target/environment.json"])
	}
	for name, text := range files {
		for _, bad := range []string{planted, "value-of-a-key", "argument-of-", "usage_usec planted", "\x1b"} {
			if strings.Contains(text, bad) {
				t.Errorf("%q is in %s", bad, name)
			}
		}
	}
}
