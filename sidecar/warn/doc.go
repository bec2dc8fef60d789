// Package warn says what viewers of a stream are about to see. A Detector is a
// pure state machine over samples: it has no clock and no goroutine, and the same
// samples give the same verdicts and alerts.
//
// # Playout
//
// A viewer shows each picture at a fixed time after its place in the stream: the
// arrival of the first, plus the depth of the buffer. A picture that is late is
// shown when it comes. A stall is a gap between two pictures of at least 3d and
// d + 150 ms, d being the nominal frame interval, and begins d after the last
// picture. So what a viewer has left is the depth less the lag: how much later
// than the first picture's the newest one's arrival was.
//
// The lag is the application's. To what the tap sees, the bytes that wait in
// the socket are added: the picture that is read now is the one that arrived as
// many bytes ago.
//
// # Two promises
//
// Degraded says at the next sample that packets of a burst are lost.
// StallPredicted is judged by its lead and its false alarms alone.
package warn
