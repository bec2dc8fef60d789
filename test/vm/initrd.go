package vm

import (
	"bufio"
	"fmt"
	"io"
	"os"
)

// archive writes a cpio archive of the kind "newc", which the kernel unpacks as
// its first file system (Documentation/driver-api/early-userspace/buffer-format.rst).
type archive struct {
	w     *bufio.Writer
	inode int
	err   error
}

const (
	modeDir  = 0o040755
	modeFile = 0o100755
)

func newArchive(w io.Writer) *archive { return &archive{w: bufio.NewWriterSize(w, 1<<20)} }

func (a *archive) header(name string, mode, size int) {
	if a.err != nil {
		return
	}
	a.inode++
	_, a.err = fmt.Fprintf(a.w, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name)+1, 0, name)
	a.pad(110 + len(name) + 1)
}

// pad fills up to a multiple of four.
func (a *archive) pad(written int) {
	if a.err == nil {
		_, a.err = a.w.Write(make([]byte, -written&3))
	}
}

func (a *archive) dir(name string) { a.header(name, modeDir, 0) }

func (a *archive) text(name, content string) {
	a.header(name, modeFile, len(content))
	if a.err == nil {
		_, a.err = a.w.WriteString(content)
	}
	a.pad(len(content))
}

func (a *archive) file(name, from string) {
	b, err := os.ReadFile(from)
	if err != nil && a.err == nil {
		a.err = err
		return
	}
	a.text(name, string(b))
}

func (a *archive) close() error {
	a.header("TRAILER!!!", 0, 0)
	if a.err != nil {
		return a.err
	}
	return a.w.Flush()
}
