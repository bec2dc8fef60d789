// Package v4l2 counts the frames that a camera's driver completes for a pod's
// programs, and those that it loses: in the driver (a gap in the sequence
// numbers), on the wire (a buffer with an error), or because the program does
// not take its buffers in time (frames wait, then a gap).
//
// The kernel's tracepoints see the whole node. Reported are only queues whose
// buffers a task of the target dequeues, known by that task's network namespace
// or control group, with all that happened to the queue since the stream began.
//
// At STREAMOFF a driver gives back what is queued, marked as broken, with an old
// sequence number: that is no error. STREAMON counts from 0 again: that is no
// gap. A stream's first frame is where counting begins.
//
// The tracepoints are in modules, mostly, that come with the first camera. Open
// succeeds without them; the probe attaches when they are there. While it is
// attached, the modules videobuf2 and videodev can't be removed.
//
// It needs CAP_BPF and CAP_PERFMON, and BTF of the modules. There is no tier
// without: a program that reads a camera sees its own sequence numbers.
package v4l2
