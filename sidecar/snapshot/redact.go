package snapshot

import (
	"bytes"
	"encoding/json"
	"io"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/debugsidecar/debugsidecar/sidecar/capture"
)

const masked = "***"

var (
	secretName = `(?:pass|pwd|token|secret|key|auth|sig|credential|cookie)`
	// named is a name with a secret's word in it, and what follows = or :.
	named = regexp.MustCompile(`(?i)(` + secretName + `[a-z0-9_.-]*["']?\s?[=:]\s?)("[^"]*"?|'[^']*'?|[^\s,;&]+)`)
	// wholly is such a name at an argument's beginning: all that follows is masked.
	wholly = regexp.MustCompile(`(?is)^([^=:\s]*` + secretName + `[^=:\s]*[=:]).+$`)
	// follows is an argument whose secret is the next one.
	follows  = regexp.MustCompile(`(?i)^(?:-{1,2}[a-z0-9_.-]*` + secretName + `[a-z0-9_.-]*|-u|--user|--proxy-user|-p)$`)
	address  = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s'"]+`)
	scheme   = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}`)
	wellMade = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*` + // JSON web tokens
		`|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}|\bxox[abp]-[A-Za-z0-9-]{10,}` + // AWS, GitHub, Slack
		`|(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`)
	isSecret = regexp.MustCompile(`(?i)` + secretName)
)

// redactor takes secrets out of text: what looks like one, and those whose value
// is known from an environment or a file.
type redactor struct {
	values  []string
	replace *strings.Replacer // of the values; nil before ready
}

// minSecret is the least length of a value that is looked for everywhere; shorter
// ones are in every second word.
const minSecret = 6

// know adds a value that must not be shown.
func (r *redactor) know(value string) {
	value = strings.TrimSpace(value)
	if len(value) < minSecret || len(r.values) >= 10_000 {
		return
	}
	for _, form := range []string{value, url.QueryEscape(value), url.PathEscape(value)} {
		if !slices.Contains(r.values, form) {
			r.values = append(r.values, form)
		}
	}
}

// knowEnvironment adds the values of variables that are named like secrets, and
// the passwords in URLs.
func (r *redactor) knowEnvironment(environment []string) {
	for _, one := range environment {
		name, value, _ := strings.Cut(one, "=")
		if isSecret.MatchString(name) {
			r.know(value)
		}
		for _, found := range address.FindAllString(value, 8) {
			if u, err := url.Parse(found); err == nil && u.User != nil {
				if password, ok := u.User.Password(); ok {
					r.know(password)
				}
			}
		}
	}
}

// ready puts long values first: one may be a part of another.
func (r *redactor) ready() {
	slices.SortFunc(r.values, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	var pairs []string
	for _, value := range r.values {
		pairs = append(pairs, value, masked)
	}
	r.replace = strings.NewReplacer(pairs...) // one pass, however many there are
}

func (r *redactor) text(s string) string {
	if r.replace != nil {
		s = r.replace.Replace(s)
	}
	s = wellMade.ReplaceAllString(s, masked)
	s = scheme.ReplaceAllString(s, "${1} "+masked)
	s = address.ReplaceAllStringFunc(s, capture.Mask)
	return named.ReplaceAllString(s, "${1}"+masked)
}

// arguments masks a command line. The program's name stays.
func (r *redactor) arguments(all []string) []string {
	out := make([]string, len(all))
	next := false
	for i, one := range all {
		switch {
		case next:
			out[i] = masked
		case wholly.MatchString(one) && !strings.Contains(one, "://"):
			out[i] = wholly.ReplaceAllString(one, "${1}"+masked)
		default:
			out[i] = r.text(strings.ToValidUTF8(one, "?"))
		}
		next = i > 0 && !next && follows.MatchString(one)
	}
	return out
}

// json masks the texts in a JSON value, and in values of a secret's name.
func (r *redactor) json(text []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // as they were written
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return encode(r.value(v))
}

func (r *redactor) value(v any) any {
	switch v := v.(type) {
	case string:
		return r.text(v)
	case []any:
		for i := range v {
			v[i] = r.value(v[i])
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, one := range v {
			out[r.text(name)] = r.value(one)
		}
		return out
	}
	return v
}

// encode writes JSON for people: a line for each field.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(v)
	return b.Bytes(), err
}

// tokenFiles hold secrets that a container may have.
var tokenFiles = []string{
	"/var/run/secrets/kubernetes.io/serviceaccount/token", "/run/debugsidecar/token",
}

func (r *redactor) knowFiles() {
	for _, path := range tokenFiles {
		if f, err := os.Open(path); err == nil {
			text, _ := io.ReadAll(io.LimitReader(f, 16<<10))
			f.Close()
			r.know(string(text))
		}
	}
}
