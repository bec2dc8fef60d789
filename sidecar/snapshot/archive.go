package snapshot

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// mostPart and mostAll bound what is put into an archive, before compression.
	mostPart = 2 << 20
	mostAll  = 32 << 20
)

// archive is a tar.gz that is written as its parts come.
type archive struct {
	zip *gzip.Writer
	tar *tar.Writer
	at  time.Time
	all int
}

func newArchive(w io.Writer, at time.Time) *archive {
	z := gzip.NewWriter(w)
	return &archive{zip: z, tar: tar.NewWriter(z), at: at.Truncate(time.Second)}
}

func (a *archive) add(name string, text []byte) error {
	a.all += len(text)
	err := a.tar.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: "snapshot/" + name, Mode: 0o600, Size: int64(len(text)), ModTime: a.at, Format: tar.FormatPAX,
	})
	if err == nil {
		_, err = a.tar.Write(text)
	}
	return err
}

func (a *archive) close() error { return errors.Join(a.tar.Close(), a.zip.Close()) }

// create opens a new file that its owner alone may read. What is there already is
// not overwritten, nor is a link followed.
func create(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s is there already: choose another name", path)
	}
	return f, err
}
