package session

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text makes what someone wrote fit to be shown and kept: at most MaxText bytes,
// and nothing that a terminal takes for a command or that turns a line around.
// Text of its own answer changes nothing.
func Text(s string) string {
	if len(s) <= MaxText && isPrintable(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if !unicode.IsPrint(r) {
			r = utf8.RuneError
		}
		if b.Len()+utf8.RuneLen(r) > MaxText {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

func isPrintable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
