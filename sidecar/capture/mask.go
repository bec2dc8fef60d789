package capture

import (
	"net/url"
	"regexp"
	"strings"
)

const masked = "***"

// secretParameter finds cameras' passwords in queries and paths:
// "?user=admin&pwd=x", and XiongMai's "/user=admin_password=x_channel=1". The
// value goes on to where nothing of a password can follow.
var secretParameter = regexp.MustCompile(`(?i)((?:pass|pwd|token|secret|key|auth|sig|credential)[a-z0-9_.-]*=)[^&?;/#\s]+`)

// Mask returns a source's URL as it may be shown: without its password. Of a
// URL that is ambiguous, as one with a slash or an @ that was not escaped, it
// rather masks too much: all between the scheme and the last @.
func Mask(source string) string {
	head, rest := "", source
	if i := strings.Index(source, "://"); i >= 0 {
		head, rest = source[:i+3], source[i+3:]
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, _, hasPassword := strings.Cut(rest[:at], ":")
		if !hasPassword || strings.ContainsAny(user, "@/?#") {
			rest = masked + rest[at:] // a lone user may be a token
		} else {
			rest = user + ":" + masked + rest[at:]
		}
	}
	shown := head + secretParameter.ReplaceAllString(rest, "${1}"+masked)
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, shown)
}

// urlInText finds URLs with something before an @.
var urlInText = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s'"]*@`)

// redactor takes a source's secrets out of what others say of it.
type redactor struct{ replace *strings.Replacer }

func newRedactor(source string) redactor {
	if source == "" {
		return redactor{strings.NewReplacer()}
	}
	pairs := []string{source, Mask(source)}
	secret := func(s string) {
		if len(s) > 3 { // shorter ones are in every second word
			for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s)} {
				pairs = append(pairs, form, masked)
			}
		}
	}
	_, rest, _ := strings.Cut(source, "://")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, password, hasPassword := strings.Cut(rest[:at], ":")
		if !hasPassword {
			password = user
		}
		secret(password)
		for _, unescape := range []func(string) (string, error){url.PathUnescape, url.QueryUnescape} {
			if plain, err := unescape(password); err == nil {
				secret(plain)
			}
		}
	}
	return redactor{strings.NewReplacer(pairs...)}
}

func (r redactor) text(s string) string {
	s = urlInText.ReplaceAllStringFunc(r.replace.Replace(s), Mask)
	return secretParameter.ReplaceAllString(s, "${1}"+masked)
}
