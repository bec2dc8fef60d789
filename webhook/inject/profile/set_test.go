package profile

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestSetHasTheEmbeddedProfilesAndThoseOfTheDirectory(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "own.yaml", good)
	write(t, dir, "second.yml", strings.ReplaceAll(strings.Replace(good, "name: own", "name: second", 1), "debugsidecar-own", "debugsidecar-second"))
	write(t, dir, "notes.txt", "not a profile")
	write(t, dir, ".hidden.yaml", "not a profile")
	set, err := LoadSet(dir, testSettings)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := set.Names(), []string{"debug", "full", "own", "second", "video-probe"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestOwnProfileReplacesAnEmbeddedOne(t *testing.T) {
	dir := t.TempDir()
	text := strings.ReplaceAll(strings.Replace(good, "name: own", "name: debug", 1), "debugsidecar-own", "debugsidecar-debug")
	write(t, dir, "own.yaml", text)
	set, err := LoadSet(dir, testSettings)
	if err != nil {
		t.Fatal(err)
	}
	if p, _ := set.Get("debug"); p.Source != filepath.Join(dir, "own.yaml") {
		t.Errorf("the profile is from %s", p.Source)
	}
}

func TestSetNamesEachBrokenFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.yaml", good)
	write(t, dir, "b.yaml", "kind: Profile\n")
	write(t, dir, "c.yaml", good)
	write(t, dir, "d.yaml", "a: [")
	if err := os.Mkdir(filepath.Join(dir, "e.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := LoadSet(dir, testSettings)
	if err == nil {
		t.Fatal("it was loaded")
	}
	for _, want := range []string{
		filepath.Join(dir, "b.yaml") + ":1: apiVersion", filepath.Join(dir, "c.yaml") + `:1: profile "own" is in ` + filepath.Join(dir, "a.yaml"),
		filepath.Join(dir, "d.yaml") + ":1: ", "e.yaml: is a directory",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
}

func TestMissingDirectoryIsAnError(t *testing.T) {
	if _, err := LoadSet(filepath.Join(t.TempDir(), "none"), testSettings); err == nil {
		t.Error("it was loaded")
	}
}

func TestRevisionFollowsTheFileAndTheSettings(t *testing.T) {
	revisionOf := func(data string, settings Settings) string {
		t.Helper()
		p, err := Load("own.yaml", []byte(data), settings)
		if err != nil {
			t.Fatal(err)
		}
		return p.Revision
	}
	was := revisionOf(good, testSettings)
	if again := revisionOf(good, testSettings); again != was {
		t.Errorf("the revision was %s and is %s", was, again)
	}
	if revisionOf(strings.Replace(good, "[run]", "[walk]", 1), testSettings) == was {
		t.Error("another file has the same revision")
	}
	if revisionOf(good, Settings{Images: map[string]string{"sidecar": "registry.example/sidecar:2"}}) == was {
		t.Error("another image has the same revision")
	}
	if revisionOf(good, withReceivers) == was {
		t.Error("other receivers have the same revision")
	}
}
