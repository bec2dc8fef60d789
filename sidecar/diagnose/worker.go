package diagnose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
	"github.com/debugsidecar/debugsidecar/sidecar/launch"
)

// patience is how long the capture program may take to answer.
const patience = 15 * time.Second

// tryCapture starts the capture program as the probe does, and orders a source
// that it must refuse: then it has started, and listens.
func tryCapture(ctx context.Context, path string) (said string, err error) {
	conn, theirs, err := wire.NewSocket()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer theirs.Close()
	memory, err := wire.NewMemory()
	if err != nil {
		return "", err
	}
	defer memory.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close()
	child, err := launch.Start(launch.Spec{
		Path: path, Dir: "/", Stderr: w, ExtraFiles: []*os.File{theirs, memory.File()}, Unprivileged: true,
	})
	w.Close()
	theirs.Close()
	if err != nil {
		return "", err
	}
	defer child.Kill()
	deadline := time.Now().Add(patience)
	if end, ok := ctx.Deadline(); ok && end.Before(deadline) {
		deadline = end
	}
	if err := errors.Join(conn.SetDeadline(deadline), r.SetReadDeadline(deadline)); err != nil {
		return "", err
	}
	order, err := wire.MarshalOrder(wire.Order{Open: &wire.Open{
		Source: "file:///dev/null", Timeout: time.Second, Late: time.Second, CheckEvery: time.Second, PictureWidth: 16,
	}})
	if err != nil {
		return "", err
	}
	if _, err = conn.Write(order); err == nil {
		err = awaitRefusal(conn.Read)
	}
	if err == nil {
		if exposed := child.Exposed(); exposed != nil {
			return "without capabilities, but not kept from our memory and tokens (" + exposed.Error() + ")", nil
		}
		return "without capabilities, and kept from our memory", nil
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "", fmt.Errorf("no answer within %v", patience)
	case errors.Is(err, errWrong):
		return "", err
	}
	return "", lastWords(child, r, err)
}

// errWrong is an answer, but a wrong one.
var errWrong = errors.New("a wrong answer")

// awaitRefusal reads messages until the program has refused the source.
func awaitRefusal(read func([]byte) (int, error)) error {
	buf := make([]byte, wire.MaxMessage)
	for {
		n, err := read(buf)
		if err != nil {
			return err
		}
		if wire.IsAlive(buf[:n]) || wire.IsFrame(buf[:n]) {
			continue
		}
		report, err := wire.ParseReport(buf[:n])
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", errWrong, err)
		case report.State == wire.Opening:
		case report.State == wire.Failed && report.Cause == wire.Refused:
			return nil
		default:
			return fmt.Errorf("%w: it did not refuse a file as source (%s)", errWrong, report.State)
		}
	}
}

// lastWords is what the program that hung up wrote to standard error, or how it
// ended.
func lastWords(child *launch.Child, r *os.File, otherwise error) error {
	select {
	case <-child.Done():
	case <-time.After(time.Second):
		child.Kill()
	}
	text := make([]byte, 2048)
	n, _ := r.Read(text) // it is in the pipe, or there is none
	lines := strings.TrimSpace(string(text[:n]))
	if first, _, _ := strings.Cut(lines, "\n"); first != "" {
		return errors.New(printable(first))
	}
	if state, err := child.Wait(); err == nil {
		return fmt.Errorf("it ended: %s", state)
	}
	return otherwise
}
