// Package capture plays the stream in a session of the probe's own, to see its
// pictures: what arrives at all, how late, black, frozen or broken ones, and a
// live view with the verdict drawn in.
//
// Decoders are C code that strangers feed, and C code can be timed out only by
// killing it. So a child process plays the stream (sidecar/capture/worker), and
// this package only watches it: kills it when frames stop, starts it again with
// growing pauses, and says why there is no picture. Where there is no such
// program, the state is Absent, and all else of the probe works.
//
// A second session doubles a camera's traffic. So by default it is opened only
// while an alert is on or somebody looks.
package capture
