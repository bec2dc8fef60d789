package top

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// column is one of the table.
type column struct {
	title string
	// width is what its cells need; those of names take what is left, too.
	width int
	name  bool
	// goes is when the column goes on a narrow terminal: the highest first, 0 never.
	goes int
	cell func(*row) string
	fit  func(text string, width int) string
}

var columns = []column{
	{title: "NAMESPACE", width: 9, name: true, cell: func(r *row) string { return r.Namespace }, fit: middle},
	{title: "POD", width: 12, name: true, cell: func(r *row) string { return r.Pod }, fit: middle},
	{title: "STREAM", width: 13, name: true, goes: 1, cell: func(r *row) string { return r.Stream }, fit: end},
	{title: "HEALTH", width: 9, cell: func(r *row) string { return r.Health }},
	{title: "CAUSE", width: 7, goes: 3, cell: func(r *row) string { return dash(r.Cause) }},
	{title: "STALL(BUF)", width: 10, cell: stallCell},
	{title: "SOCK", width: 5, goes: 2, cell: func(r *row) string { return dropsCell(r.Drops.Socket, r.Drops.Bound) }},
	{title: "KERN", width: 5, goes: 2, cell: func(r *row) string { return dropsCell(r.Drops.Kernel, r.Drops.Bound) }},
	{title: "WIRE", width: 4, goes: 2, cell: func(r *row) string { return dropsCell(r.Drops.Wire, false) }},
	{title: "LOSS", width: 5, goes: 4, cell: func(r *row) string { return percent(r.LossRatio) }},
	{title: "BIT/S", width: 5, goes: 6, cell: func(r *row) string { return short(r.BitsPerSecond) }},
	{title: "AGE", width: 4, goes: 5, cell: func(r *row) string { return age(r.AgeSeconds) }},
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// stallCell says when viewers see a stall, and with which buffer in seconds.
func stallCell(r *row) string {
	switch {
	case r.Waiting != nil:
		return "now (" + number(*r.Waiting) + ")"
	case r.StallSeconds != nil:
		return fmt.Sprintf("%.1fs (%s)", min(max(*r.StallSeconds, 0), 99), number(*r.StallBuffer))
	}
	return "-"
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }

func dropsCell(f figure, bound bool) string {
	text := short(f)
	if bound {
		return "≤" + text
	}
	return text
}

// short is a number in at most five characters.
func short(f figure) string {
	if f == nil {
		return "-"
	}
	v := math.Abs(*f)
	for _, unit := range []string{"", "k", "M", "G", "T"} {
		switch {
		case unit == "" && v < 9999.5:
			return strconv.FormatFloat(v, 'f', 0, 64)
		case unit != "" && v < 9.95:
			return strconv.FormatFloat(v, 'f', 1, 64) + unit
		case unit != "" && v < 999.5:
			return strconv.FormatFloat(v, 'f', 0, 64) + unit
		}
		v /= 1000
	}
	return "many"
}

func percent(f figure) string {
	switch {
	case f == nil:
		return "-"
	case *f >= 0.0995:
		return fmt.Sprintf("%.0f%%", min(*f, 1)*100)
	}
	return fmt.Sprintf("%.1f%%", max(*f, 0)*100)
}

func age(f figure) string {
	switch {
	case f == nil:
		return "-"
	case *f < 100:
		return fmt.Sprintf("%.0fs", *f)
	case *f < 5940:
		return fmt.Sprintf("%.0fm", *f/60)
	}
	return fmt.Sprintf("%.0fh", min(*f/3600, 999))
}

// middle cuts a text in its middle: pods' names differ at their ends.
func middle(text string, width int) string {
	n := ansi.StringWidth(text)
	if n <= width || width < 3 {
		return ansi.Truncate(text, width, "")
	}
	left := (width - 1) / 2
	return ansi.Truncate(text, left, "") + "…" + ansi.TruncateLeft(text, n-(width-1-left), "")
}

// end keeps a text's end: streams' names differ by port.
func end(text string, width int) string {
	n := ansi.StringWidth(text)
	if n <= width || width < 2 {
		return ansi.Truncate(text, width, "")
	}
	return "…" + ansi.TruncateLeft(text, n-(width-1), "")
}

// layout is the columns that a width has room for, and how wide each is.
type layout struct {
	columns []column
	widths  []int
	width   int
}

// unlimited is the width where nothing is cut.
const unlimited = math.MaxInt32

func newLayout(width int, namespaces bool, all []row) layout {
	l := layout{width: width}
	for _, c := range columns {
		if c.title != "NAMESPACE" || namespaces {
			l.columns = append(l.columns, c)
		}
	}
	need := func() int {
		sum := 0
		for _, c := range l.columns {
			sum += c.width + 1
		}
		return sum - 1
	}
	for goes := 6; goes > 0 && need() > width; goes-- {
		kept := l.columns[:0:0]
		for _, c := range l.columns {
			if c.goes != goes {
				kept = append(kept, c)
			}
		}
		l.columns = kept
	}
	left := width - need()
	for i, c := range l.columns {
		w := max(c.width, len(c.title))
		if w > c.width {
			w = c.width
		}
		if c.name {
			wants := w
			for j := range all {
				wants = max(wants, ansi.StringWidth(c.cell(&all[j])))
			}
			// The names before the last get half each of what is left.
			share := left
			if i+1 < len(l.columns) && l.columns[i+1].name {
				share = left / 2
			}
			grow := min(max(wants-w, 0), max(share, 0))
			w += grow
			left -= grow
		}
		l.widths = append(l.widths, w)
	}
	return l
}

func (l *layout) head() string {
	var b strings.Builder
	for i, c := range l.columns {
		l.put(&b, i, c.title)
	}
	return l.cut(b.String())
}

// line is a row. What is no stream says why from where the stream would be.
func (l *layout) line(r *row) string {
	var b strings.Builder
	for i, c := range l.columns {
		if r.Kind != kindStream && c.title != "NAMESPACE" && c.title != "POD" {
			b.WriteString(strings.ReplaceAll(r.Kind, "-", " ") + ": " + r.Why)
			break
		}
		l.put(&b, i, c.cell(r))
	}
	return l.cut(b.String())
}

func (l *layout) put(b *strings.Builder, i int, text string) {
	w := l.widths[i]
	if fit := l.columns[i].fit; fit != nil {
		text = fit(text, w)
	} else {
		text = ansi.Truncate(text, w, "")
	}
	b.WriteString(text)
	if i+1 < len(l.columns) {
		b.WriteString(strings.Repeat(" ", w-ansi.StringWidth(text)+1))
	}
}

func (l *layout) cut(text string) string {
	if l.width == unlimited {
		return text
	}
	return ansi.Truncate(text, l.width, "…")
}

// summary is the first line.
func summary(where string, all []row, now time.Time) string {
	pods, unreachable, streams, trouble := map[string]bool{}, 0, 0, 0
	for i := range all {
		r := &all[i]
		pods[r.Namespace+"/"+r.Pod] = true
		switch {
		case r.Kind == kindUnreachable:
			unreachable++
		case r.Kind == kindStream:
			streams++
			if r.inTrouble() {
				trouble++
			}
		}
	}
	return fmt.Sprintf("%s  %s  %s: %d in trouble, %d unreachable  %s", where, plural(len(pods), "probe"), plural(streams, "stream"),
		trouble, unreachable, now.Format("15:04:05"))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
