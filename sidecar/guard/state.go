package guard

import (
	"fmt"
	"slices"
)

// State is where a program is in its life.
type State int32

const (
	// Initializing is before it can do its work.
	Initializing State = iota
	// Ready is all well.
	Ready
	// Degraded does a part of its work.
	Degraded
	// Recovering tries to get back what was lost.
	Recovering
	// Stopping runs the clean-ups.
	Stopping
	// Stopped is the end.
	Stopped
)

var names = [...]string{"Initializing", "Ready", "Degraded", "Recovering", "Stopping", "Stopped"}

// String returns the state's name.
func (s State) String() string {
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("State(%d)", int32(s))
	}
	return names[s]
}

// ways are the legal transitions:
//
//	Initializing -> Ready <-> Degraded <-> Recovering -> Ready
//	any of these -> Stopping -> Stopped
var ways = map[State][]State{
	Initializing: {Ready, Stopping},
	Ready:        {Degraded, Stopping},
	Degraded:     {Ready, Recovering, Stopping},
	Recovering:   {Ready, Degraded, Stopping},
	Stopping:     {Stopped},
}

// legal says whether there is a way. To stay is legal but at the end, since the
// reason may change.
func legal(from, to State) bool {
	return from == to && from < Stopping || slices.Contains(ways[from], to)
}

// TransitionError is a change of state that is not legal.
type TransitionError struct{ From, To State }

// Error names both states and what would have been legal.
func (e *TransitionError) Error() string {
	if len(ways[e.From]) == 0 {
		return fmt.Sprintf("state %v can't become %v: it is the last one", e.From, e.To)
	}
	return fmt.Sprintf("state %v can't become %v: from it the way leads to %v", e.From, e.To, ways[e.From])
}
