// Package snapshot gathers what one always gathers of a pod that misbehaves into
// one archive: processes, sockets, drops, mounts, limits, pressure, and what the
// video probe says. It holds no secret, is bounded in size and time, and does not
// trust the pod that it looks at.
package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/diagnose"
	"github.com/debugsidecar/debugsidecar/sidecar/diagnose/proc"
)

const (
	// partTime is how long a part may take, allTime all of them.
	partTime = 5 * time.Second
	allTime  = 45 * time.Second
)

// part is one file of the archive.
type part struct {
	name string
	// from says where it comes from.
	from string
	// gather returns the text and whether there was more. It may hang: then it is
	// left alone, so it must not write to what others use.
	gather func(ctx context.Context) (text []byte, cut bool, err error)
	// figures are numbers of the kernel's alone, in which there is no secret.
	figures bool
	json    bool
}

// Entry is a part's line in the manifest.
type Entry struct {
	Name  string `json:"name"`
	From  string `json:"from"`
	Bytes int    `json:"bytes"`
	// Truncated says that there was more.
	Truncated bool `json:"truncated,omitempty"`
	// Error says why it is not there, or not all.
	Error   string `json:"error,omitempty"`
	Seconds string `json:"seconds"`
}

// Manifest is manifest.json, the archive's last file.
type Manifest struct {
	Version string    `json:"version"`
	At      time.Time `json:"at"`
	Pod     string    `json:"pod,omitempty"`
	Parts   []Entry   `json:"parts"`
	// Masked says what was done about secrets.
	Masked string `json:"masked"`
}

// options of a snapshot.
type options struct {
	version string
	runDir  string
	proc    string        // a procfs
	since   time.Duration // how far back the probe's log goes
	partTime,
	allTime time.Duration
	progress io.Writer
	extra    []part // of tests
}

// look is what the parts stand on.
type look struct {
	o         options
	view      *diagnose.View
	processes []proc.Process
	err       error // of listing them
	redact    redactor
}

// prepare finds the target and the secrets that must not be shown. Either may
// hang at a hostile process; then the rest goes on without.
func prepare(o options) *look {
	l := &look{o: o}
	var ok bool
	if l.view, ok = within(o.partTime, diagnose.LookAtTarget); !ok {
		l.view = &diagnose.View{WhyNot: "a process hangs who looks at it"}
	}
	type listed struct {
		all []proc.Process
		err error
	}
	list, ok := within(o.partTime, func() listed { all, err := proc.List(o.proc); return listed{all, err} })
	if l.processes, l.err = list.all, list.err; !ok {
		l.err = errors.New("a process hangs who looks at it")
	}
	l.redact.knowEnvironment(os.Environ())
	l.redact.knowFiles()
	if secrets, ok := within(o.partTime, func() []string { return secretsOf(o.proc, l.processes) }); ok {
		l.redact.knowEnvironment(secrets)
	}
	if l.view.RootPath() != "" {
		if token, ok := within(o.partTime, func() string { return l.targetToken() }); ok {
			l.redact.know(token)
		}
	}
	l.redact.ready()
	return l
}

// within returns what fn does, or ok false if that takes longer. fn is then left
// to the end of the program.
func within[T any](limit time.Duration, fn func() T) (result T, ok bool) {
	done := make(chan T, 1)
	go func() { done <- fn() }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case result = <-done:
		return result, true
	case <-timer.C:
		return result, false
	}
}

// write gathers all parts into an archive. The error is about the archive; that
// parts are missing is in its manifest.
func write(ctx context.Context, w io.Writer, o options) (*Manifest, error) {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, o.allTime)
	defer cancel()
	l := prepare(o)
	a := newArchive(w, begin)
	m := &Manifest{Version: o.version, At: begin.UTC().Truncate(time.Second), Pod: os.Getenv("DEBUGSIDECAR_POD"), Masked: "passwords in URLs, " +
		"arguments and texts that look like secrets, and the values of variables that are named like them, are *** here; of environments there are names alone"}
	for _, p := range append(l.parts(), o.extra...) {
		entry, text := l.run(ctx, p, mostAll-a.all)
		if len(text) > 0 {
			if err := a.add(p.name, text); err != nil {
				return nil, fmt.Errorf("writing the archive: %w", err)
			}
		}
		m.Parts = append(m.Parts, entry)
		note := fmt.Sprintf("%d bytes", entry.Bytes)
		if entry.Error != "" {
			note = entry.Error
		}
		fmt.Fprintf(o.progress, "%-32s %s\n", p.name, oneLine(note))
	}
	text, err := encode(m)
	if err == nil {
		err = a.add("manifest.json", text)
	}
	if err = errors.Join(err, a.close()); err != nil {
		return nil, fmt.Errorf("writing the archive: %w", err)
	}
	return m, nil
}

type gathered struct {
	text []byte
	cut  bool
	err  error
}

// run gathers a part in its time, masks it, and keeps it to a size.
func (l *look) run(ctx context.Context, p part, room int) (Entry, []byte) {
	e := Entry{Name: p.name, From: p.from}
	begin := time.Now()
	limit := l.o.partTime
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end))
	}
	if ctx.Err() != nil || limit <= 0 {
		e.Error, e.Seconds = "not gathered: the time for all was over", "0.0"
		return e, nil
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	got, ok := within(limit+200*time.Millisecond, func() (g gathered) {
		defer func() {
			if r := recover(); r != nil {
				g = gathered{err: fmt.Errorf("this part has a fault: %v\n%s", r, debug.Stack())}
			}
		}()
		g.text, g.cut, g.err = p.gather(ctx)
		return g
	})
	e.Seconds = fmt.Sprintf("%.1f", time.Since(begin).Seconds())
	if !ok {
		e.Error = fmt.Sprintf("it did not come within %v", limit.Round(time.Millisecond))
		return e, nil
	}
	text, err := got.text, got.err
	switch {
	case len(text) == 0:
	case p.json && len(text) > mostPart: // to mask it would take its time, too
		text, err = nil, errors.Join(err, errors.New("it is too large"))
	case p.json:
		var masked []byte
		if masked, err = l.redact.json(text); err != nil {
			err = fmt.Errorf("it is no JSON: %w", err)
		}
		text, err = masked, errors.Join(got.err, err)
	case !p.figures:
		text = []byte(l.redact.text(string(text)))
	}
	e.Truncated = got.cut
	if most := max(0, min(mostPart, room)); len(text) > most {
		if text, e.Truncated = text[:most], true; p.json {
			text, err = nil, errors.New("it is too large")
		}
	}
	if err != nil {
		e.Error = l.redact.text(err.Error())
	}
	e.Bytes = len(text)
	return e, text
}

// kernel returns the running kernel's name and version.
func kernel() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err.Error()
	}
	return unix.ByteSliceToString(name.Sysname[:]) + " " + unix.ByteSliceToString(name.Release[:]) + " " +
		unix.ByteSliceToString(name.Version[:]) + " " + unix.ByteSliceToString(name.Machine[:])
}
