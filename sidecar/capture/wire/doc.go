// Package wire is what the probe and its capture child say to each other: a
// socket pair that keeps messages apart, and memory that both of them map.
//
// A record of each frame goes through the socket. A picture's bytes go through
// the memory: the child writes them into the next of a few slots, and the
// parent copies them out only when somebody looks. Nobody waits for anybody: a
// slot that was written anew meanwhile shows it by its sequence number, and the
// reader takes a newer one.
//
// The parent treats the child as hostile, since it decodes what strangers send.
// Each message is parsed once, into a value, with all lengths checked. The
// memory is sealed: it can't shrink under the parent's feet, which would be a
// SIGBUS.
package wire
