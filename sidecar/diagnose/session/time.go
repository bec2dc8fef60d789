package session

import (
	"fmt"
	"time"
)

// What the plugin and the webhook put into the container's environment.
const (
	envTTL   = "DEBUGSIDECAR_SESSION_TTL"
	envUntil = "DEBUGSIDECAR_SESSION_UNTIL"
)

// standard is for a session whose time can't be read: none is endless by mistake.
const standard = time.Hour

// Time is how long a session lasts.
type Time struct {
	// Until is by the node's clock; zero: not told.
	Until time.Time
	// TTL is from our own start; zero: not told.
	TTL     time.Duration
	started time.Time
	// Problem says what could not be read.
	Problem string
}

// Read reads a session's time. There is none in a container that is no session's,
// and where --no-ttl was asked for. Where both are told, what comes first counts:
// the container starts after it was admitted, so _UNTIL does, unless the node's
// clock is late.
func Read(getenv func(string) string, now time.Time) Time {
	t := Time{started: now}
	unread := func(name, value string) {
		t.Problem = fmt.Sprintf("%s can't be read: %.100q", name, value)
		t.TTL = standard
	}
	if value := getenv(envTTL); value != "" {
		ttl, err := time.ParseDuration(value)
		if err != nil || ttl < 0 {
			unread(envTTL, value)
		} else {
			t.TTL = ttl
		}
	}
	if value := getenv(envUntil); value != "" {
		until, err := time.Parse(time.RFC3339, value)
		if err == nil {
			t.Until = until.UTC()
		} else if t.TTL == 0 {
			unread(envUntil, value)
		} else {
			t.Problem = fmt.Sprintf("%s can't be read: %.100q", envUntil, value)
		}
	}
	return t
}

// Ends says whether there is an end, and when: by the node's clock, for people.
func (t Time) Ends() (at time.Time, ok bool) {
	if t.Until.IsZero() && t.TTL == 0 {
		return time.Time{}, false
	}
	now := time.Now()
	return now.Add(t.left(now)).UTC().Round(time.Second), true
}

// left is how long the session still has. The clock may be set meanwhile, so it
// has to be asked again.
func (t Time) left(now time.Time) time.Duration {
	var left time.Duration
	switch {
	case t.TTL == 0:
		left = t.Until.Sub(now)
	case t.Until.IsZero():
		left = t.TTL - now.Sub(t.started)
	default:
		left = min(t.Until.Sub(now), t.TTL-now.Sub(t.started))
	}
	return left
}
