package session

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// warnings are how long before the end people are told.
var warnings = []time.Duration{5 * time.Minute, time.Minute}

// Warning returns what people are told before the end.
func warning(left time.Duration, at time.Time) string {
	return fmt.Sprintf("this session ends in %s, at %s UTC. Its time can't be extended: for more, start a new one "+
		"with kubectl debugsidecar debug", roughly(left), at.UTC().Format(time.TimeOnly))
}

func roughly(d time.Duration) string {
	switch minutes := int(d.Round(time.Minute) / time.Minute); {
	case d < 55*time.Second:
		return fmt.Sprintf("%.0f s", max(0, d.Seconds()))
	case minutes == 1:
		return "1 minute"
	default:
		return fmt.Sprintf("%d minutes", minutes)
	}
}

// Tell writes a line to the session's terminals: ours, and if we are the
// container's first process also those of kubectl exec. It never blocks, since a
// terminal may be stopped (Ctrl-S) or nobody reads it. Without a terminal it is the
// file.
func (s *Self) Tell(otherwise *os.File, text string) {
	line := []byte("\r\n[debugsidecar] " + text + "\r\n")
	var paths []string
	if s.first {
		paths, _ = filepath.Glob("/dev/pts/[0-9]*") // the pattern is sound
	}
	if len(paths) == 0 {
		paths = []string{"/dev/tty"}
	}
	told := false
	for _, path := range paths {
		told = writeTo(path, line) || told
	}
	if !told {
		writeWithin(otherwise, append([]byte("[debugsidecar] "+text), '\n'), time.Second)
	}
}

// writeTo writes to a terminal, and nothing else.
func writeTo(path string, line []byte) bool {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
		return false
	}
	_, _ = unix.Write(fd, line)
	return true // also if it is full: then it is a terminal that nobody reads
}

// writeWithin gives up a write that blocks; it is left to the end of the program.
func writeWithin(f *os.File, text []byte, limit time.Duration) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Not by f itself, whose lock others may want.
		if fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3); err == nil {
			defer unix.Close(fd)
			_, _ = unix.Write(fd, text)
		}
	}()
	select {
	case <-done:
	case <-time.After(limit):
	}
}

// terminationLog is where the kubelet takes a container's last words from.
const terminationLog = "/dev/termination-log"

// LastWords puts a sentence into the pod's status, as the container's message.
// Where there is no such file, as outside of Kubernetes, none is made.
func LastWords(text string) error { return lastWords(terminationLog, text) }

func lastWords(path, text string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return &os.PathError{Op: "write", Path: path, Err: unix.EINVAL}
	}
	const most = 4096 // the kubelet takes no more
	_, err = unix.Write(fd, []byte(text[:min(len(text), most-1)]+"\n"))
	return err
}
