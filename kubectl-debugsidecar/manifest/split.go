package manifest

import (
	"bytes"
)

// segment is the text of one document in a YAML stream. Head, body and tail of
// all segments, one after the other, are the stream.
type segment struct {
	head []byte // comments and directives before the document, and its marker ---
	body []byte
	tail []byte // the marker ... and what follows it
	line int    // of the stream, in which head starts, from 1
}

// split cuts a YAML stream at its document markers (YAML 1.2, section 9.1.2). It
// does not understand the documents: a marker at the start of a line ends even
// an unfinished one.
func split(stream []byte) []segment {
	var all []segment
	var marked, ended bool      // whether this segment has its marker; whether ... came last
	var start, body, offset int // of the segment, of its body, of the line
	line, startLine := 0, 1
	finish := func(bodyEnd, end int) {
		all = append(all, segment{stream[start:body], stream[body:bodyEnd], stream[bodyEnd:end], startLine})
		start, body, marked = end, end, false
	}
	for text := range bytes.Lines(stream) {
		line++
		next := offset + len(text)
		switch {
		case isMarker(text, "---"):
			if marked || !isVoid(stream[body:offset]) {
				finish(offset, offset)
				startLine = line
			}
			marked, ended = true, false
			body = next
			if rest := bytes.TrimSpace(text[3:]); len(rest) > 0 && rest[0] != '#' {
				body = offset // the document starts on the marker's line
			}
		case isMarker(text, "..."):
			finish(offset, next)
			startLine, ended = line+1, true
		}
		offset = next
	}
	switch rest := stream[body:]; {
	case start == len(stream):
	case ended && isVoid(rest):
		last := &all[len(all)-1]
		last.tail = stream[start-len(last.tail):]
	default:
		finish(len(stream), len(stream))
	}
	return all
}

func isMarker(line []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(marker))
	return ok && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

// isVoid says whether text is comments, directives and blank lines only.
func isVoid(text []byte) bool {
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && line[0] != '%' {
			return false
		}
	}
	return true
}
