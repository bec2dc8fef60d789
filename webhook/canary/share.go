package canary

import (
	"crypto/sha256"
	"encoding/binary"
)

// Selected says whether the pods of an owner belong to the share. The owner is
// the UID of the controlling owner, or else what names the pod, so that replicas
// of one workload get the same sidecar, whichever webhook answers.
//
// The answer must never change between versions: a rolling upgrade of the
// webhook would move workloads in and out of the share.
func Selected(owner string, percent int) bool {
	sum := sha256.Sum256([]byte(owner))
	// Of 2^64, 100 is no divisor; the share is wrong by less than 1e-17.
	return int64(binary.BigEndian.Uint64(sum[:8])%100) < int64(percent)
}
