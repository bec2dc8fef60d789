package serve

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// paths are all that loopback serves.
var paths = []string{"/", "/api/v1/status", "/api/v1/alerts", "/api/v1/history", "/api/v1/marks", "/live.mjpg", "/debug/pprof/", "/debug/pprof/heap", "/nothing"}

// request is one to loopback, as a program there makes it.
func request(path string, change func(*http.Request)) *http.Request {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = "127.0.0.1:9401"
	r.Header.Set("Authorization", "Bearer "+token)
	if change != nil {
		change(r)
	}
	return r
}

// local returns the answer of loopback. Streams end at once.
func local(s *Server, r *http.Request) *http.Response {
	ctx, cancel := contextEnded(r)
	defer cancel()
	w := httptest.NewRecorder()
	s.handlers[1].ServeHTTP(w, r.WithContext(ctx))
	return w.Result()
}

func TestLoopbackTakesTheToken(t *testing.T) {
	s := unbound(t, Options{Pictures: &film{}})
	s.Publish(scripted(time.Now(), 1, .02, 0))
	for _, path := range paths {
		for what, change := range map[string]func(*http.Request){
			"no token":            func(r *http.Request) { r.Header.Del("Authorization") },
			"an empty token":      func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") },
			"half a token":        func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token[:20]) },
			"another scheme":      func(r *http.Request) { r.Header.Set("Authorization", "Basic "+token) },
			"the token as cookie": func(r *http.Request) { r.Header.Set("Authorization", ""); r.AddCookie(cookie(s, token)) },
			"a wrong token wins over the cookie": func(r *http.Request) {
				r.Header.Set("Authorization", "Bearer x")
				r.AddCookie(cookie(s, access1(t).cookieValue))
			},
		} {
			if got := local(s, request(path, change)); got.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s with %s: %s", path, what, got.Status)
			}
		}
		for what, change := range map[string]func(*http.Request){
			"the token": nil,
			"the cookie": func(r *http.Request) {
				r.Header.Del("Authorization")
				r.AddCookie(cookie(s, access1(t).cookieValue))
			},
			"a small scheme": func(r *http.Request) { r.Header.Set("Authorization", "bearer "+token) },
		} {
			if got := local(s, request(path, change)); got.StatusCode == http.StatusUnauthorized || got.StatusCode == http.StatusForbidden {
				t.Errorf("%s with %s: %s", path, what, got.Status)
			}
		}
	}
}

func access1(t *testing.T) *access {
	t.Helper()
	a, err := newAccess(token)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func cookie(_ *Server, value string) *http.Cookie {
	a, _ := newAccess(token) // the constant is long enough
	return &http.Cookie{Name: a.cookieName, Value: value}
}

// A page elsewhere reaches loopback by a name of its own (DNS rebinding) or by a
// request across origins; another port of localhost is another origin, too.
func TestForeignPagesAreRefused(t *testing.T) {
	s := unbound(t, Options{})
	s.Publish(scripted(time.Now(), 1, .02, 0))
	for what, change := range map[string]func(*http.Request){
		"a foreign Host":              func(r *http.Request) { r.Host = "evil.example:9401" },
		"a Host that looks like ours": func(r *http.Request) { r.Host = "127.0.0.1.evil.example" },
		"the node's address":          func(r *http.Request) { r.Host = "10.0.0.1:9401" },
		"no Host":                     func(r *http.Request) { r.Host = "" },
		"a foreign Origin":            func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") },
		"another port":                func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:8080") },
		"another name of loopback":    func(r *http.Request) { r.Header.Set("Origin", "http://localhost:9401") },
		"a null Origin":               func(r *http.Request) { r.Header.Set("Origin", "null") },
		"two Origins":                 func(r *http.Request) { r.Header["Origin"] = []string{"http://127.0.0.1:9401", "http://evil.example"} },
		"a picture elsewhere":         func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"a script on another port":    func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"a POST":                      func(r *http.Request) { r.Method = http.MethodPost },
		"a body":                      func(r *http.Request) { r.ContentLength, r.Body = 5, io.NopCloser(strings.NewReader("hello")) },
		"a body of unknown length":    func(r *http.Request) { r.ContentLength, r.Body = -1, io.NopCloser(strings.NewReader("hello")) },
	} {
		got := local(s, request("/api/v1/status", change))
		if got.StatusCode < 400 || got.StatusCode == http.StatusUnauthorized {
			t.Errorf("%s: %s", what, got.Status)
		}
		if body, _ := io.ReadAll(got.Body); strings.Contains(string(body), "10.20.0.7") {
			t.Errorf("%s: the answer names a stream", what)
		}
	}
	for what, change := range map[string]func(*http.Request){
		"a program":      nil,
		"a port-forward": func(r *http.Request) { r.Host = "localhost:34567" },
		"IPv6":           func(r *http.Request) { r.Host = "[::1]:9401" },
		"our own page": func(r *http.Request) {
			r.Header.Set("Origin", "http://127.0.0.1:9401")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		},
		"a typed address": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none") },
	} {
		if got := local(s, request("/api/v1/status", change)); got.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", what, got.Status)
		}
	}
}

func TestTheTokenLeavesTheAddressForACookie(t *testing.T) {
	s := unbound(t, Options{})
	got := local(s, request("/?token="+token+"&x=1", func(r *http.Request) { r.Header.Del("Authorization") }))
	if got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != "/?x=1" {
		t.Fatalf("%s to %q", got.Status, got.Header.Get("Location"))
	}
	set := got.Cookies()
	if len(set) != 1 || !set[0].HttpOnly || set[0].SameSite != http.SameSiteStrictMode || set[0].Path != "/" {
		t.Fatalf("cookies %v", got.Header["Set-Cookie"])
	}
	if strings.Contains(set[0].Value, token) || strings.Contains(set[0].Name, token) {
		t.Error("the cookie is the token")
	}
	for _, path := range []string{"/?token=wrong", "/?token=", "/api/v1/status?token=" + token} {
		got := local(s, request(path, func(r *http.Request) { r.Header.Del("Authorization") }))
		if got.StatusCode != http.StatusUnauthorized || len(got.Cookies()) > 0 {
			t.Errorf("%s: %s, cookies %v", path, got.Status, got.Cookies())
		}
	}
}

func TestEachAnswerIsHardened(t *testing.T) {
	s := unbound(t, Options{})
	for _, path := range paths {
		got := local(s, request(path, nil))
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
		} {
			if have := got.Header.Get(name); have != want {
				t.Errorf("%s: %s is %q", path, name, have)
			}
		}
		if policy := got.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
	}
}

func TestPicturesAreOffUnlessTurnedOn(t *testing.T) {
	s := unbound(t, Options{})
	if got := local(s, request("/live.mjpg", nil)); got.StatusCode != http.StatusNotFound {
		t.Errorf("without: %s", got.Status)
	}
	s = unbound(t, Options{Pictures: &film{}})
	if got := local(s, request("/live.mjpg", nil)); got.StatusCode != http.StatusOK {
		t.Errorf("with: %s", got.Status)
	}
}

func TestTheCommandLineIsNotShown(t *testing.T) {
	s := unbound(t, Options{})
	if got := local(s, request("/debug/pprof/cmdline", nil)); got.StatusCode != http.StatusNotFound {
		t.Error(got.Status)
	}
}

// Metrics are for everyone who reaches the pod; nothing else is.
func TestThePodsAddressServesNoPicturesAndNoStatus(t *testing.T) {
	s := unbound(t, Options{Pictures: &film{}})
	s.Publish(scripted(time.Now(), 1, .02, 0))
	for _, path := range paths {
		r := request(path, nil)
		w := httptest.NewRecorder()
		s.handlers[0].ServeHTTP(w, r)
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestAShortTokenIsRefused(t *testing.T) {
	for _, short := range []string{"", "secret", token[:31]} {
		if _, err := New(Options{Token: short, Addr: "127.0.0.1:0", LocalAddr: "127.0.0.1:0"}); err == nil {
			t.Errorf("%q will do", short)
		}
	}
	if a, b := NewToken(), NewToken(); a == b || len(a) < minToken {
		t.Errorf("tokens %q, %q", a, b)
	}
}

func TestTheTokensFileIsItsOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	path, victim := filepath.Join(dir, "run", "token"), filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time a link lies in its place
		if err := WriteToken(path, token); err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(path)
		if err != nil || info.Mode() != 0o600 {
			t.Fatalf("mode %v, %v", info.Mode(), err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != token+"\n" {
			t.Fatalf("%q, %v", b, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(victim, path); err != nil {
			t.Fatal(err)
		}
	}
	if b, _ := os.ReadFile(victim); string(b) != "precious" {
		t.Errorf("a link was followed: %q", b)
	}
}

func TestOnlyLoopbackIsTakenForTheLocalAddress(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "example.com:0", "nonsense"} {
		if _, err := New(Options{Token: token, Addr: "127.0.0.1:0", LocalAddr: addr}); err == nil {
			t.Errorf("%s will do", addr)
		}
	}
}

// What passes for loopback, another parser takes for loopback, too.
func FuzzForeignHostsAreRefused(f *testing.F) {
	for _, seed := range []string{"localhost", "127.0.0.1:9401", "[::1]:1", "::01", "127.0.0.1.evil.example", "localhost:evil", "[localhost]", "0x7f.1", "127.1", "LOCALHOST.", "[::ffff:127.0.0.1]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if !loopbackHost(host) {
			return
		}
		for _, candidate := range []string{host, host[:max(0, strings.LastIndex(host, ":"))]} {
			name, _, _ := strings.Cut(strings.Trim(candidate, "[]"), "%")
			if ip := net.ParseIP(name); strings.EqualFold(name, "localhost") || (ip != nil && ip.IsLoopback()) {
				return
			}
		}
		t.Errorf("%q passes for loopback", host)
	})
}

// Whatever a client says that it had last, it gets alerts in their order, the
// newest last.
func FuzzAnyLastEventIDIsTaken(f *testing.F) {
	for _, seed := range []string{"", "x", "x-1", "-", "-5", "a-b-c", "x-18446744073709551615"} {
		f.Add(seed)
	}
	e := newEvents()
	for range 5 {
		e.add(scriptedAlert(time.Unix(1767225600, 0), "stall", 0, sample.Figure{}))
	}
	f.Fuzz(func(t *testing.T, id string) {
		for _, id := range []string{id, e.boot + id, e.boot + "-" + id} {
			r := httptest.NewRequest(http.MethodGet, "/api/v1/alerts", nil)
			r.Header["Last-Event-Id"] = []string{id}
			list, _, _ := e.after(e.start(r))
			if len(list) > 0 && list[len(list)-1].number != 5 {
				t.Errorf("%q: %d alerts, the last is %d", id, len(list), list[len(list)-1].number)
			}
		}
	})
}
