package top

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

// screen is what a person sees, and what the keys change of it.
type screen struct {
	where      string
	namespaces bool // there are pods of several
	problem    string
	rows       []row
	now        time.Time

	width, height int
	// selected is the key of the chosen row; empty for the first one, whichever
	// that is.
	selected string
	offset   int
	filter   string
	typing   bool // into the filter
	details  bool
	scroll   int // of the details
}

// mostFilter is how long a filter may be.
const mostFilter = 60

// shown are the rows that the filter leaves.
func (s *screen) shown() []row {
	if s.filter == "" {
		return s.rows
	}
	want := strings.ToLower(s.filter)
	return slices.DeleteFunc(slices.Clone(s.rows), func(r row) bool {
		text := strings.ToLower(strings.Join([]string{r.Namespace, r.Pod, r.Kind, r.Stream, r.Src, r.Health, r.Cause, r.Why}, " "))
		return !strings.Contains(text, want)
	})
}

func (s *screen) index(all []row) int {
	i := slices.IndexFunc(all, func(r row) bool { return r.key() == s.selected })
	return max(i, 0)
}

// page is how many rows there is room for.
func (s *screen) page() int { return max(s.height-4, 1) }

// press takes a key by its name, and says whether to end.
func (s *screen) press(key, text string) (quit bool) {
	switch {
	case key == "ctrl+c":
		return true
	case s.typing:
		s.typeFilter(key, text)
		return false
	}
	switch key {
	case "q":
		if !s.details {
			return true
		}
		s.details = false
	case "esc":
		if !s.details {
			s.filter = ""
		}
		s.details = false
	case "enter":
		s.details, s.scroll = !s.details, 0
	case "/":
		s.typing, s.details = true, false
	case "up", "k":
		s.move(-1)
	case "down", "j":
		s.move(1)
	case "pgup", "ctrl+b":
		s.move(-s.page())
	case "pgdown", "ctrl+f", "space":
		s.move(s.page())
	case "home", "g":
		s.move(-1 << 20)
	case "end", "G":
		s.move(1 << 20)
	}
	return false
}

func (s *screen) typeFilter(key, text string) {
	switch key {
	case "enter":
		s.typing = false
	case "esc":
		s.typing, s.filter = false, ""
	case "backspace":
		if r := []rune(s.filter); len(r) > 0 {
			s.filter = string(r[:len(r)-1])
		}
	default:
		for _, r := range text {
			if unicode.IsPrint(r) && len(s.filter) < mostFilter {
				s.filter += string(r)
			}
		}
	}
}

func (s *screen) move(by int) {
	if s.details {
		s.scroll = max(s.scroll+by, 0)
		return
	}
	all := s.shown()
	if len(all) == 0 {
		return
	}
	i := min(max(s.index(all)+by, 0), len(all)-1)
	if s.selected = all[i].key(); i == 0 {
		s.selected = "" // stay at the top, with whatever comes there
	}
}

// Colours are never the only sign: words say the same.
var (
	bad      = ansi.Style{}.ForegroundColor(ansi.Red)
	doubtful = ansi.Style{}.ForegroundColor(ansi.Yellow)
	faint    = ansi.Style{}.Faint()
	strong   = ansi.Style{}.Bold()
	reverse  = ansi.Style{}.Reverse(true)
)

// view is the whole screen: at most height lines of at most width.
func (s *screen) view() string {
	if s.width < 20 || s.height < 5 {
		return ansi.Truncate("too small: 20x5 at least", max(s.width, 1), "")
	}
	cut := func(text string) string { return ansi.Truncate(text, s.width, "…") }
	lines := []string{strong.Styled(cut(summary(s.where, s.rows, s.now))), ""}
	switch {
	case s.typing:
		lines[1] = cut("filter: " + s.filter + "_")
	case s.problem != "":
		lines[1] = doubtful.Styled(cut(s.problem))
	case s.filter != "":
		lines[1] = cut("filter: " + s.filter + "  (Esc clears it)")
	}
	all := s.shown()
	keys := "q quit  ↑↓ PgUp PgDn move  Enter details  / filter"
	if s.details && len(all) > 0 {
		keys = "Esc back  ↑↓ PgUp PgDn scroll  q back"
		lines = append(lines, s.detailLines(&all[s.index(all)])...)
	} else {
		lines = append(lines, s.tableLines(all)...)
	}
	for len(lines) < s.height-1 {
		lines = append(lines, "")
	}
	return strings.Join(append(lines, faint.Styled(cut(keys))), "\n")
}

func (s *screen) tableLines(all []row) []string {
	const marker = 2
	l := newLayout(s.width-marker, s.namespaces, all)
	lines := []string{strong.Styled("  " + l.head())}
	if len(all) == 0 {
		text := "  no pod here has a probe"
		if s.filter != "" {
			text = "  nothing matches the filter"
		}
		return append(lines, ansi.Truncate(text, s.width, "…"))
	}
	at := s.index(all)
	s.offset = min(max(s.offset, at-s.page()+1, 0), at)
	for i := s.offset; i < min(len(all), s.offset+s.page()); i++ {
		r := &all[i]
		text := l.line(r)
		switch {
		case i == at:
			text = "> " + text
			text = reverse.Styled(text + strings.Repeat(" ", max(s.width-ansi.StringWidth(text), 0)))
		case r.trouble() >= 7:
			text = "  " + bad.Styled(text)
		case r.inTrouble():
			text = "  " + doubtful.Styled(text)
		case r.Kind != kindStream:
			text = "  " + faint.Styled(text)
		default:
			text = "  " + text
		}
		lines = append(lines, text)
	}
	return lines
}

func (s *screen) detailLines(r *row) []string {
	all := describe(r)
	room := s.height - 3
	s.scroll = min(s.scroll, max(len(all)-room, 0))
	out := make([]string, 0, room)
	for _, line := range all[s.scroll:min(len(all), s.scroll+room)] {
		out = append(out, ansi.Truncate(line, s.width, "…"))
	}
	return out
}
