// Package canary decides about a new sidecar that a share of new pods gets
// first: which pods these are, and when it is rolled back. All of it is pure;
// it reads no cluster and no clock.
package canary

// Thresholds say when a canary is worse than the stable sidecar.
type Thresholds struct {
	// FailedPods is how many canary pods have to fail at least. One may be bad
	// luck with its node.
	FailedPods int
	// MarginPercent is by how many percent points more canary pods than stable
	// ones have to fail. So an outage that hits both rolls nothing back.
	MarginPercent int
	// Restarts is how many restarts of the sidecar count as a failure.
	Restarts int32
}

// DefaultThresholds are those of a configuration that names none.
func DefaultThresholds() Thresholds {
	return Thresholds{FailedPods: 2, MarginPercent: 20, Restarts: 3}
}
