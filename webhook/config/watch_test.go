package config

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ownProfile = `apiVersion: debugsidecar.io/v1alpha1
kind: Profile
metadata:
  name: own
spec:
  template: |
    containers:
    - name: debugsidecar-own
      image: {{ .images.debug }}
      args: [VERSION]
      securityContext:
        allowPrivilegeEscalation: false
        runAsNonRoot: true
        runAsUser: 65532
        capabilities: {drop: [ALL]}
        seccompProfile: {type: RuntimeDefault}
`

// volume is a directory that is updated as the kubelet updates a ConfigMap's.
type volume struct {
	dir     string
	version int
}

func (v *volume) set(t *testing.T, files map[string]string) {
	t.Helper()
	v.version++
	data := fmt.Sprintf("..version%d", v.version)
	for name, text := range files {
		write(t, filepath.Join(v.dir, data, name), text)
	}
	if err := os.Symlink(data, filepath.Join(v.dir, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(v.dir, "..data_tmp"), filepath.Join(v.dir, "..data")); err != nil {
		t.Fatal(err)
	}
	for name := range files {
		err := os.Symlink(filepath.Join("..data", name), filepath.Join(v.dir, name))
		if err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(v.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := files[e.Name()]; !ok && !strings.HasPrefix(e.Name(), "..") {
			if err := os.Remove(filepath.Join(v.dir, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	if v.version > 1 {
		if err := os.RemoveAll(filepath.Join(v.dir, fmt.Sprintf("..version%d", v.version-1))); err != nil {
			t.Fatal(err)
		}
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within a minute: %s", what)
}

// start runs the store until the test ends.
func start(t *testing.T, s *Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestBrokenProfileIsRefusedWhileTheLastGoodOneStays(t *testing.T) {
	profiles := &volume{dir: t.TempDir()}
	profiles.set(t, map[string]string{"own.yaml": ownProfile})
	var seen []*Snapshot // each one that was in force
	s, err := NewStore(Paths{Profiles: profiles.dir}, slog.New(slog.NewTextHandler(io.Discard, nil)), func(s *Snapshot) { seen = append(seen, s) })
	if err != nil {
		t.Fatal(err)
	}
	start(t, s)
	first := s.Current().Profiles.Revisions()["own"]

	profiles.set(t, map[string]string{"own.yaml": strings.Replace(ownProfile, "      args:", "      agrs:", 1)})
	// Who reads while the volume is exchanged may find half of it, and reads again.
	want := filepath.Join(profiles.dir, "own.yaml") + `:10: unknown field "containers[0].agrs"`
	eventually(t, "the broken profile is noticed: "+want, func() bool { return s.Problem() == want })
	if got := s.Current().Profiles.Revisions()["own"]; got != first {
		t.Errorf("revision %s is in force, want the last good one, %s", got, first)
	}

	profiles.set(t, map[string]string{"own.yaml": strings.Replace(ownProfile, "VERSION", "second", 1)})
	eventually(t, "the mended profile is in force", func() bool { return s.Current().Profiles.Revisions()["own"] != first && s.Problem() == "" })

	profiles.set(t, map[string]string{})
	eventually(t, "the profile is gone", func() bool { _, ok := s.Current().Profiles.Get("own"); return !ok })
	if len(s.Current().Profiles.Names()) != 3 {
		t.Errorf("want the embedded profiles, got %v", s.Current().Profiles.Names())
	}
}

func TestRevertedConfigurationIsNoProblemAnyMore(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "config.yaml"), "policy: {default: baseline}\n")
	s, err := NewStore(Paths{Config: file}, slog.New(slog.NewTextHandler(io.Discard, nil)), func(*Snapshot) {})
	if err != nil {
		t.Fatal(err)
	}
	start(t, s)
	write(t, file, "policy: {default: high}\n")
	eventually(t, "the broken file is noticed", func() bool { return s.Problem() != "" })
	write(t, file, "policy: {default: baseline}\n")
	eventually(t, "the problem is over", func() bool { return s.Problem() == "" })
	write(t, file, "policy: {default: restricted}\n")
	eventually(t, "the change is in force", func() bool { return s.Current().File.Policy.Default == "restricted" })
}

func TestChangeBetweenNewStoreAndStartIsSeen(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "config.yaml"), "policy: {default: baseline}\n")
	s, err := NewStore(Paths{Config: file}, slog.New(slog.NewTextHandler(io.Discard, nil)), func(*Snapshot) {})
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, "policy: {default: restricted}\n")
	start(t, s)
	eventually(t, "the change is in force", func() bool { return s.Current().File.Policy.Default == "restricted" })
}

func TestBrokenConfigurationStartsNothing(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "config.yaml"), "policy: {default: high}\n")
	if _, err := NewStore(Paths{Config: file}, slog.New(slog.NewTextHandler(io.Discard, nil)), func(*Snapshot) {}); err == nil {
		t.Error("it was taken")
	}
}
