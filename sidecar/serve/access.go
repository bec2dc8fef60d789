package serve

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// minToken is the least length of a token in characters.
const minToken = 32

// NewToken returns a random token of 256 bits.
func NewToken() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// WriteToken puts the token into a file that its owner alone may read, in a
// folder that is made if need be. What was there is replaced as a whole; a
// symbolic link is replaced, not followed.
func WriteToken(path, token string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("a folder for the token: %w", err)
	}
	tmp, err := os.CreateTemp(dir, ".token-") // 0600
	if err != nil {
		return fmt.Errorf("writing the token: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(token + "\n")
	if err = errors.Join(err, tmp.Close()); err != nil {
		return fmt.Errorf("writing the token: %w", err)
	}
	return os.Rename(tmp.Name(), path)
}

// access decides who may see what loopback serves.
type access struct {
	token [sha256.Size]byte
	// cookie is named after the token, since browsers share cookies among all
	// ports of a host, and so among all pods that are forwarded to it. Its value
	// is derived: who steals it has the page, but not the token.
	cookieName, cookieValue string
}

func newAccess(token string) (*access, error) {
	if len(token) < minToken {
		return nil, fmt.Errorf("the token has %d characters, at least %d are needed", len(token), minToken)
	}
	sum := sha256.Sum256([]byte(token))
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("cookie of the page"))
	name := sha256.Sum256(mac.Sum(nil))
	return &access{
		token:       sum,
		cookieName:  "debugsidecar-" + hex.EncodeToString(name[:4]),
		cookieValue: base64.RawURLEncoding.EncodeToString(mac.Sum(nil)),
	}, nil
}

// wrap lets through to next who may.
func (a *access) wrap(next http.Handler, refused func(reason string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse := func(code int, reason, text string) {
			refused(reason)
			http.Error(w, text, code)
		}
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			refuse(http.StatusMethodNotAllowed, "method", "only GET and HEAD")
		case r.ContentLength != 0:
			refuse(http.StatusRequestEntityTooLarge, "body", "no request here has a body")
		case !loopbackHost(r.Host):
			// A foreign name that resolves to loopback: DNS rebinding.
			refuse(http.StatusMisdirectedRequest, "host", "the Host must be localhost or a loopback address")
		case !sameOrigin(r):
			refuse(http.StatusForbidden, "origin", "requests of other pages are refused")
		case r.URL.Path == "/" && r.URL.Query().Has("token"):
			if !a.isToken(r.URL.Query().Get("token")) {
				refuse(http.StatusUnauthorized, "token", unauthorized)
				return
			}
			http.SetCookie(w, &http.Cookie{
				Name: a.cookieName, Value: a.cookieValue, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
			})
			w.Header().Set("Location", withoutToken(r.URL))
			w.WriteHeader(http.StatusSeeOther)
		case !a.knows(r):
			w.Header().Set("WWW-Authenticate", `Bearer realm="debugsidecar"`)
			refuse(http.StatusUnauthorized, "token", unauthorized)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

const unauthorized = "This takes the pod's token. Open the page with: kubectl debugsidecar open POD\n" +
	"Programs send the header Authorization: Bearer TOKEN."

// knows tells whether the request shows the token or the cookie.
func (a *access) knows(r *http.Request) bool {
	if scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " "); found && strings.EqualFold(scheme, "Bearer") {
		return a.isToken(strings.TrimSpace(token))
	}
	c, err := r.Cookie(a.cookieName)
	return err == nil && subtle.ConstantTimeCompare([]byte(c.Value), []byte(a.cookieValue)) == 1
}

// isToken compares hashes, so that not even the token's length shows in time.
func (a *access) isToken(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sum[:], a.token[:]) == 1
}

// withoutToken is where the browser goes on, with a path of this server only.
func withoutToken(u *url.URL) string {
	query := u.Query()
	query.Del("token")
	return (&url.URL{Path: "/", RawQuery: query.Encode()}).String()
}

// loopbackHost tells whether a Host header names this machine; any port will do,
// since a port-forward has one of its own.
func loopbackHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}

// sameOrigin refuses what a page of another origin asks for. To a browser,
// another port of localhost is the same site, so cookies alone don't tell. What
// is no browser sends neither header.
func sameOrigin(r *http.Request) bool {
	if origin, sent := r.Header["Origin"]; sent && (len(origin) != 1 || origin[0] != "http://"+r.Host) {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return true
	}
	// A link to the page may stand anywhere: whoever follows it sees the page,
	// whoever wrote it does not.
	return r.URL.Path == "/" && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}
