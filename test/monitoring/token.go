package monitoring

import (
	"errors"
	"fmt"
	"strings"
)

type kind int

const (
	none kind = iota // the end
	name
	number // or a duration, also one that Grafana fills in
	text
	comparison
	symbol
)

type token struct {
	kind kind
	text string
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:"
	digits  = "0123456789"
)

// tokenize cuts a PromQL expression into its words. Comments are left out.
func tokenize(expr string) ([]token, error) {
	var tokens []token
	for rest := strings.TrimLeft(expr, " \t\r\n"); rest != ""; rest = strings.TrimLeft(rest, " \t\r\n") {
		if rest[0] == '#' {
			_, rest, _ = strings.Cut(rest, "\n")
			continue
		}
		t, err := first(rest)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
		rest = rest[len(t.text):]
	}
	return tokens, nil
}

func first(s string) (token, error) {
	switch c := s[0]; {
	case strings.IndexByte(letters, c) >= 0:
		return token{name, s[:span(s, letters+digits)]}, nil
	case strings.IndexByte(digits+".", c) >= 0:
		return token{number, s[:span(s, digits+letters+".")]}, nil
	case c == '$':
		return token{number, s[:1+span(s[1:], letters+digits)]}, nil
	case c == '"' || c == '\'' || c == '`':
		end, err := closing(s)
		return token{text, s[:end]}, err
	}
	for _, op := range []string{"=~", "!~", "!=", "==", "<=", ">=", "=", "<", ">"} {
		if strings.HasPrefix(s, op) {
			return token{comparison, op}, nil
		}
	}
	if strings.IndexByte("(){}[],+-*/%^@", s[0]) >= 0 {
		return token{symbol, s[:1]}, nil
	}
	return token{}, fmt.Errorf("unexpected %.10q", s)
}

// span returns how many bytes at the start of s are in set.
func span(s, set string) int {
	if i := strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune(set, r) }); i >= 0 {
		return i
	}
	return len(s)
}

// closing returns the length of the string that s begins with.
func closing(s string) (int, error) {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == s[0]:
			return i + 1, nil
		case s[i] == '\\' && s[0] != '`':
			i++
		}
	}
	return 0, errors.New("a string without its end")
}
