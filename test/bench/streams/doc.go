// Package streams sends RTP flows at the pace of video cameras, cheaply enough
// that the load is not what a measurement finds: one system call a frame, no
// allocation, no offload. It says if it could not hold the pace.
package streams
