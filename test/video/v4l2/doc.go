// Package v4l2 has tests that play a camera of the machine. They run in a virtual
// machine (test/vm), whose kernel has the driver vivid, with the capture worker
// and the libraries that it is linked with.
package v4l2
