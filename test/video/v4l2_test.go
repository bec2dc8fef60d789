package video_test

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/debugsidecar/debugsidecar/test/vm"
)

// A camera of the machine takes a kernel with vivid. What the worker is linked
// with goes into the machine, too.
func TestCameraOfTheMachine(t *testing.T) {
	worker := needs(t)
	out, err := exec.Command("ldd", worker).Output()
	if err != nil {
		t.Fatalf("ldd: %v", err)
	}
	k := vm.Kernels[len(vm.Kernels)-1]
	k.Files = map[string]string{"bin/debugsidecar-capture": worker}
	for _, word := range strings.Fields(string(out)) {
		if !filepath.IsAbs(word) {
			continue
		}
		file, err := filepath.EvalSymlinks(word)
		if err != nil {
			t.Fatal(err)
		}
		k.Files[word[1:]] = file
	}
	var console bytes.Buffer
	result, err := k.Run(t.Context(), []string{"./test/video/v4l2"}, nil, &console, func(line string) { t.Log(line) })
	if errors.Is(err, vm.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, console.String())
	}
	t.Log(result.Summary())
	for _, test := range result.Packages[0].Tests {
		if test.Outcome != vm.Pass {
			t.Errorf("%s: %s", test.Name, test.Outcome)
		}
	}
	if !result.Packages[0].Passed || t.Failed() {
		t.Errorf("its output:\n%s", strings.Join(result.Packages[0].Output, "\n"))
	}
}
