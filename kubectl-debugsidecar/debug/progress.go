package debug

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// progress says what is waited for: on a terminal in one line that is written over,
// elsewhere in a line whenever it changes.
type progress struct {
	w        io.Writer
	terminal bool
	begin    time.Time
	what     string // last said
	shown    bool
}

func newProgress(w io.Writer) *progress {
	return &progress{w: w, terminal: isTerminal(w), begin: time.Now()}
}

// patience is how long nothing is said: what is there in no time needs no line.
const patience = 400 * time.Millisecond

func (p *progress) say(format string, args ...any) {
	what := session.Text(fmt.Sprintf(format, args...))
	changed := what != p.what
	p.what = what
	if time.Since(p.begin) < patience && !p.shown {
		return
	}
	p.show(changed || !p.shown)
}

// tick shows how time goes by.
func (p *progress) tick() {
	if p.what != "" && time.Since(p.begin) >= patience {
		p.show(!p.shown)
	}
}

func (p *progress) show(changed bool) {
	if !p.terminal {
		if changed {
			fmt.Fprintln(p.w, p.what)
		}
		p.shown = true
		return
	}
	line := fmt.Sprintf("%s (%s)", p.what, time.Since(p.begin).Round(time.Second))
	if most := max(width(p.w)-1, 20); utf8.RuneCountInString(line) > most {
		line = string([]rune(line)[:most-3]) + "..."
	}
	fmt.Fprint(p.w, "\r\x1b[K"+line)
	p.shown = true
}

// end clears the line.
func (p *progress) end() {
	if p.terminal && p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
	p.shown, p.what = false, ""
}

// note prints lines that stay. Parts of them may be what a pod's owner wrote.
func note(w io.Writer, format string, args ...any) {
	fmt.Fprintln(w, lines(fmt.Sprintf(format, args...)))
}

// lines keeps a text of several lines from writing to the terminal what it likes.
func lines(text string) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := range all {
		all[i] = printable(all[i])
	}
	return strings.Join(all, "\n")
}
