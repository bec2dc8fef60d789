package live_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// findProcess returns the process of a pod that has an argument.
func findProcess(uid, argument string) (int, error) {
	all, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	for _, dir := range all {
		pid, err := strconv.Atoi(dir.Name())
		if err != nil {
			continue
		}
		line, _ := os.ReadFile(filepath.Join("/proc", dir.Name(), "cmdline"))
		groups, _ := os.ReadFile(filepath.Join("/proc", dir.Name(), "cgroup"))
		if bytes.Contains(groups, []byte(uid)) && slices.Contains(strings.Split(string(line), "\x00"), argument) {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("pod %s has no process with the argument %s", uid, argument)
}
