package cache

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestShelfIsFilledOnce(t *testing.T) {
	s := Shelf{filepath.Join(t.TempDir(), "program")}
	var made atomic.Int32
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			dir, err := s.Fill(t.Context(), "key", func(_ context.Context, dir string) error {
				made.Add(1)
				time.Sleep(10 * time.Millisecond)
				return os.WriteFile(filepath.Join(dir, "binary"), nil, 0o700)
			}, func() {})
			if err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(dir, "binary")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := made.Load(); n != 1 {
		t.Errorf("made %d times", n)
	}
}

func TestFailureLeavesNothingOnTheShelf(t *testing.T) {
	s := Shelf{t.TempDir()}
	why := errors.New("no")
	if _, err := s.Fill(t.Context(), "key", func(context.Context, string) error { return why }, func() {}); !errors.Is(err, why) {
		t.Errorf("error is %v", err)
	}
	if got := s.names(t); !slices.Equal(got, []string{"lock"}) {
		t.Errorf("there is %q", got)
	}
}

func TestShelfDropsWhatIsUnusedOrUnfinished(t *testing.T) {
	s := Shelf{t.TempDir()}
	old := time.Now().Add(-unusedFor - time.Hour)
	for name, used := range map[string]time.Time{"old": old, "recent": time.Now(), "new-123": time.Now(), "wanted": old} {
		dir := filepath.Join(s.path, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(dir, used, used); err != nil {
			t.Fatal(err)
		}
	}
	never := func(context.Context, string) error { return errors.New("made again") }
	if _, err := s.Fill(t.Context(), "wanted", never, func() {}); err != nil {
		t.Error(err)
	}
	if _, err := s.Fill(t.Context(), "key", func(context.Context, string) error { return nil }, func() {}); err != nil {
		t.Error(err)
	}
	if got, want := s.names(t), []string{"key", "lock", "recent", "wanted"}; !slices.Equal(got, want) {
		t.Errorf("there is %q, want %q", got, want)
	}
}

func (s Shelf) names(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(s.path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestCacheDirectory(t *testing.T) {
	for _, test := range []struct{ own, xdg, home, want string }{
		{"/own", "/xdg", "/home/me", "/own"},
		{"", "/xdg", "/home/me", "/xdg/debugsidecar"},
		{"", "", "/home/me", "/home/me/.cache/debugsidecar"},
	} {
		t.Setenv("DEBUGSIDECAR_CACHE", test.own)
		t.Setenv("XDG_CACHE_HOME", test.xdg)
		t.Setenv("HOME", test.home)
		if dir, err := Dir(); err != nil || dir != test.want {
			t.Errorf("%+v: %q, %v", test, dir, err)
		}
	}
}
