package build

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// reportEvery is the time between two lines of progress.
const reportEvery = 5 * time.Second

// stale returns the packages that have to be compiled. To find them, the go
// command downloads all modules.
func (b *builder) stale(ctx context.Context) (map[string]bool, error) {
	modules := 0
	say := b.ticker(func() string {
		if modules == 0 {
			return "looking what has to be compiled for " + b.title
		}
		return fmt.Sprintf("downloading the source of %s: %d modules", b.title, modules)
	})
	defer say.stop()
	var list bytes.Buffer
	args := append([]string{"list", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}"}, b.flags...)
	err := b.run(ctx, &list, func(line string) bool {
		if !strings.HasPrefix(line, "go: downloading ") {
			return false
		}
		say.update(func() { modules++ })
		return true
	}, append(args, b.pkg)...)
	if err != nil {
		return nil, err
	}
	packages := map[string]bool{}
	for name := range strings.FieldsSeq(list.String()) {
		packages[name] = true
	}
	return packages, nil
}

// compile builds the binary out, for which the stale packages have to be compiled.
func (b *builder) compile(ctx context.Context, out string, stale map[string]bool) error {
	done := 0
	say := b.ticker(func() string {
		// The last package is the program itself, which is mostly linking.
		if done >= len(stale)-1 {
			return "linking " + b.title
		}
		return fmt.Sprintf("compiling %s: %d of %d packages", b.title, done, len(stale))
	})
	defer say.stop()
	args := append([]string{"build", "-v", "-o", out}, b.flags...)
	return b.run(ctx, io.Discard, func(line string) bool {
		if !stale[line] {
			return false
		}
		say.update(func() { done++ })
		return true
	}, append(args, b.pkg)...)
}

// run runs the go command in the program's module. Each line of its standard
// error goes to known; those that known doesn't take are the error's text.
func (b *builder) run(ctx context.Context, stdout io.Writer, known func(line string) bool, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.dir
	// Static, and the same for every program of this repository: a package that
	// was compiled with cgo can't be used without.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdout = stdout
	// An interrupted go command stops its compilers, a killed one doesn't.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	var other []string
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		if !known(lines.Text()) {
			other = append(other, lines.Text())
		}
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("go %s: %w\n%s", args[0], err, strings.Join(other, "\n"))
	}
	return nil
}

// ticker reports a line at once and then every few seconds.
func (b *builder) ticker(line func() string) *ticker {
	t := &ticker{line: line, report: b.report, quit: make(chan struct{})}
	t.ended.Go(func() {
		tick := time.NewTicker(reportEvery)
		defer tick.Stop()
		for {
			t.say()
			select {
			case <-tick.C:
			case <-t.quit:
				return
			}
		}
	})
	return t
}

type ticker struct {
	mu     sync.Mutex
	line   func() string
	last   string
	report func(string)
	quit   chan struct{}
	ended  sync.WaitGroup
}

func (t *ticker) say() {
	t.mu.Lock()
	line := t.line()
	t.mu.Unlock()
	if line != t.last {
		t.report(line)
		t.last = line
	}
}

func (t *ticker) update(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f()
}

func (t *ticker) stop() {
	close(t.quit)
	t.ended.Wait()
}
