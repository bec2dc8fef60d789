// Package cache keeps what takes long to make, under a key of what it is made
// from.
package cache

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/debugsidecar/debugsidecar/test/lock"
)

// unusedFor is how long what nobody uses stays in the cache.
const unusedFor = 30 * 24 * time.Hour

// Dir returns the cache directory of this project: $DEBUGSIDECAR_CACHE, else
// debugsidecar in $XDG_CACHE_HOME, else in ~/.cache.
func Dir() (string, error) {
	if dir := os.Getenv("DEBUGSIDECAR_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "debugsidecar"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding a place for the cache: %w; set DEBUGSIDECAR_CACHE", err)
	}
	return filepath.Join(home, ".cache", "debugsidecar"), nil
}

// Shelf is the part of the cache that holds one kind of thing: a directory for
// each key, which is there whole or not at all.
type Shelf struct{ path string }

// NewShelf returns the shelf of that name, below Dir.
func NewShelf(name string) (Shelf, error) {
	dir, err := Dir()
	return Shelf{filepath.Join(dir, name)}, err
}

// Fill returns the directory of key. If there is none, it makes one with make,
// while processes that want the same wait; waiting is called if this one has to.
func (s Shelf) Fill(ctx context.Context, key string, make func(ctx context.Context, dir string) error, waiting func()) (string, error) {
	dir := filepath.Join(s.path, key)
	if s.has(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(s.path, 0o755); err != nil {
		return "", err
	}
	held, err := lock.Wait(ctx, filepath.Join(s.path, "lock"), waiting)
	if err != nil {
		return "", err
	}
	defer held.Close()
	if s.has(dir) {
		return dir, nil
	}
	s.tidy()
	tmp, err := os.MkdirTemp(s.path, "new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if err := make(ctx, tmp); err != nil {
		return "", err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", err
	}
	return dir, os.Rename(tmp, dir)
}

// has tells whether dir is there, and marks it as used.
func (s Shelf) has(dir string) bool {
	now := time.Now()
	_ = os.Chtimes(dir, now, now) // a cache that is read-only still works
	_, err := os.Stat(dir)
	return err == nil
}

// tidy removes what is old. It is called under the lock, so a directory without
// a key is what a killed process left.
func (s Shelf) tidy() {
	entries, err := os.ReadDir(s.path)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !e.IsDir() {
			continue
		}
		abandoned, _ := filepath.Match("new-*", e.Name())
		if abandoned || time.Since(info.ModTime()) > unusedFor {
			_ = os.RemoveAll(filepath.Join(s.path, e.Name()))
		}
	}
}
