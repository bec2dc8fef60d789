package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/debugsidecar/debugsidecar/policies"
)

// Store holds the configuration in force. Its zero value is not usable; see
// NewStore.
type Store struct {
	paths   Paths
	current atomic.Pointer[Snapshot]
	recent  atomic.Pointer[[]*Snapshot]
	problem atomic.Pointer[string]
	// rulesBroken says that a problem is about the cluster's own rules.
	rulesBroken atomic.Bool
	compiled    compiled // of NewStore, and then of Start alone
	// onChange is called with each new snapshot before it is in force.
	onChange func(*Snapshot)
	log      *slog.Logger
}

// NewStore loads the configuration. onChange is called for it, and for each
// later one, before others see it. If nothing but the cluster's own rules is
// broken, there is no last good one to go on with: what they would judge stays
// undecided, and everything else works.
func NewStore(p Paths, log *slog.Logger, onChange func(*Snapshot)) (*Store, error) {
	s := &Store{paths: p, onChange: onChange, log: log}
	snapshot, rules, err := load(p, &s.compiled)
	if err != nil {
		return nil, errors.Join(err, rules)
	}
	if rules != nil {
		snapshot.Rules = policies.UnusableOwnRules(rules)
	}
	s.set(snapshot)
	if rules != nil {
		s.broken(rules, true)
		log.Error("the cluster's own rules are broken; until they are mended, what they would judge is undecided", "err", rules)
	}
	return s, nil
}

// Current returns the configuration in force.
func (s *Store) Current() *Snapshot { return s.current.Load() }

// Recent returns the configuration in force and those that were replaced in the
// last day, the newest first. What another replica, or this one a moment ago,
// rendered is still ours.
func (s *Store) Recent() []*Snapshot { return *s.recent.Load() }

// Problem says why the newest configuration is not in force; empty if it is.
func (s *Store) Problem() string {
	if p := s.problem.Load(); p != nil {
		return *p
	}
	return ""
}

// RulesBroken says whether the newest rules of the cluster's own are not in
// force because something is wrong with them.
func (s *Store) RulesBroken() bool { return s.rulesBroken.Load() }

// broken notes what is wrong, and says whether that is new.
func (s *Store) broken(err error, rules bool) bool {
	text := err.Error()
	if text == s.Problem() {
		return false
	}
	s.problem.Store(&text)
	s.rulesBroken.Store(rules)
	return true
}

func (s *Store) set(snapshot *Snapshot) {
	s.onChange(snapshot)
	recent := []*Snapshot{snapshot}
	if before := s.recent.Load(); before != nil {
		(*before)[0].replaced = time.Now()
		for _, old := range *before {
			if len(recent) < maxRecent && time.Since(old.replaced) < recentFor {
				recent = append(recent, old)
			}
		}
	}
	s.recent.Store(&recent)
	s.current.Store(snapshot)
	s.problem.Store(nil)
	s.rulesBroken.Store(false)
}

const (
	// maxRecent and recentFor bound what Recent returns.
	maxRecent = 16
	recentFor = 24 * time.Hour
	// settle is how long changes are gathered: an update touches several files.
	settle = 100 * time.Millisecond
	// recheck finds changes that a file system does not announce.
	recheck = time.Minute
)

// Start watches the files until ctx ends. It watches directories, because a
// ConfigMap's volume is updated by exchanging a link in its directory.
func (s *Store) Start(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching the configuration: %w", err)
	}
	defer w.Close()
	for dir := range s.dirs() {
		if err := w.Add(dir); err != nil {
			s.log.Warn("a directory of the configuration can't be watched; it is read each minute", "dir", dir, "err", err)
		}
	}
	pending := time.NewTimer(0) // files may have changed since NewStore read them
	defer pending.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-w.Events:
			if !ok {
				return nil
			}
			pending.Reset(settle)
		case err, ok := <-w.Errors:
			if !ok {
				return nil
			}
			s.log.Warn("watching the configuration", "err", err)
		case <-pending.C:
			s.reload()
			pending.Reset(recheck)
		}
	}
}

// NeedLeaderElection is false: each replica reads its own configuration.
func (s *Store) NeedLeaderElection() bool { return false }

func (s *Store) reload() {
	snapshot, rules, err := load(s.paths, &s.compiled)
	if err := errors.Join(err, rules); err != nil {
		if s.broken(err, rules != nil) {
			s.log.Error("the changed configuration is broken; the last good one stays in force", "err", err)
		}
		return
	}
	if s.Problem() == "" && snapshot.same(s.Current()) {
		return
	}
	s.set(snapshot)
	s.log.Info("configuration loaded", "profiles", snapshot.Profiles.Revisions(), "rules", len(snapshot.Rules.Rules()))
}

func (s *Store) dirs() map[string]bool {
	dirs := map[string]bool{}
	for _, file := range []string{s.paths.Config, s.paths.PolicyParameters} {
		if file != "" {
			dirs[filepath.Dir(file)] = true
		}
	}
	for _, dir := range []string{s.paths.Profiles, s.paths.Rules} {
		if dir != "" {
			dirs[dir] = true
		}
	}
	return dirs
}
