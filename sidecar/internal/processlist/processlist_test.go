package processlist_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/debugsidecar/debugsidecar/sidecar/capture"
	"github.com/debugsidecar/debugsidecar/sidecar/internal/processlist"
)

const child = "DEBUGSIDECAR_TEST_PROCESSLIST"

func TestMain(m *testing.M) {
	if os.Getenv(child) == "" {
		os.Exit(m.Run())
	}
	processlist.Mask(os.Args, capture.Mask)
	shown, err := os.ReadFile("/proc/self/cmdline")
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n%s", strings.Join(os.Args[1:], "|"), shown)
}

func TestSecretsInArgumentsAreNotInTheProcessList(t *testing.T) {
	args := []string{
		"--source", "rtsp://admin:s3kret@camera.example/stream", "--lower-source=rtsp://x:y@c/2",
		"--source", "http://camera/live?user=a&pwd=s3kret&n=1", "--open", "always", "", "ü://s3kret@h",
	}
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), child+"=1")
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	first, shown, _ := bytes.Cut(out, []byte("\n"))
	if string(first) != strings.Join(args, "|") {
		t.Errorf("the program itself reads %q", first)
	}
	if bytes.Contains(shown, []byte("s3kret")) || bytes.Contains(shown, []byte(":y@")) {
		t.Errorf("the process list has %q", shown)
	}
	for _, want := range []string{"\x00--source\x00rtsp://admin:***@camera.example/stream", "\x00--open\x00always\x00\x00"} {
		if !bytes.Contains(shown, []byte(want)) {
			t.Errorf("%q is not in the process list: %q", want, shown)
		}
	}
}
