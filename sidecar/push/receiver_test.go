package push

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// secret stands wherever a receiver may have one.
const secret = "hunter2-secret"

// logged is a log that can be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Passwords stand in a URL's user part, a token in its path or query.
func TestNoLogAndNoMetricShowsASecret(t *testing.T) {
	refusing := newReceiver(t)
	refusing.statuses = []int{500, 302, 400}
	var log logged
	var receivers []Receiver
	for _, base := range []string{refusing.URL, dead} {
		u, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		u.User, u.Path, u.RawQuery = url.UserPassword("user", secret), "/hooks/"+secret, "key="+secret
		receivers = append(receivers, Receiver{Kind: Webhook, URL: u.String(), Proxy: "http://user:" + secret + "@" + u.Host})
		receivers = append(receivers, Receiver{Name: u.Host + " direct", Kind: Webhook, URL: u.String()})
	}
	p, stop := running(t, Options{Receivers: receivers, Drain: 300 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil))})
	for i := range 3 {
		p.Alert(raised(time.Now(), i, warn.Stalled, time.Second))
		time.Sleep(150 * time.Millisecond)
	}
	stop()
	if !strings.Contains(log.String(), "could not be sent") {
		t.Errorf("nothing is logged: %s", log.String())
	}
	if strings.Contains(log.String(), secret) {
		t.Errorf("the log shows a secret: %s", log.String())
	}
	for _, s := range p.senders {
		if strings.Contains(s.receiver.Name, secret) {
			t.Errorf("the name shows a secret: %s", s.receiver.Name)
		}
	}
	for _, r := range []Receiver{{URL: "ftp://user:" + secret + "@host/"}, {URL: "http://user:" + secret + "@[bad"}, {URL: "://" + secret}} {
		if _, err := New(Options{Receivers: []Receiver{r}}); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("the error is %v", err)
		}
	}
}

// A redirect would take the token to another place.
func TestRedirectsAreNotFollowed(t *testing.T) {
	thief := newReceiver(t)
	redirecting := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	defer redirecting.Close()
	p, _ := running(t, Options{Receivers: []Receiver{{Name: "hook", Kind: Webhook, URL: redirecting.URL}}})
	p.Alert(raised(time.Now(), 0, warn.Stalled, time.Second))
	eventually(t, "it is given up", func() bool { return p.outcome("hook", "failed") == 1 })
	if len(thief.kinds(t)) > 0 {
		t.Error("the redirect was followed")
	}
}

func TestTheTokenIsReadForEachRequest(t *testing.T) {
	r := newReceiver(t)
	file := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	p, _ := running(t, Options{Receivers: []Receiver{{Name: "hook", Kind: Webhook, URL: r.URL, TokenFile: file}}})
	for i, token := range []string{"first", "second"} {
		write(token + "\n")
		p.Alert(raised(time.Now(), i, warn.Stalled, time.Second))
		eventually(t, "it is there", func() bool { return len(r.kinds(t)) == i+1 })
		if got := r.headers[i].Get("Authorization"); got != "Bearer "+token {
			t.Errorf("got %q", got)
		}
	}
}

// The application's proxy is not ours.
func TestTheEnvironmentsProxyIsNotUsed(t *testing.T) {
	proxy := newReceiver(t)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	p, stop := running(t, Options{Drain: time.Millisecond, Receivers: []Receiver{{Name: "hook", Kind: Webhook, URL: "http://224.0.0.1/"}}}) // nobody asks a name server, and no connection leads there
	p.Alert(raised(time.Now(), 0, warn.Stalled, time.Second))
	eventually(t, "it is tried", func() bool { return len(p.metrics.attemptsOf(t, "hook")) > 0 })
	stop()
	if len(proxy.kinds(t)) > 0 {
		t.Error("it went through the proxy of the environment")
	}
}

func TestCertificatesAreChecked(t *testing.T) {
	r := &receiver{}
	r.Server = httptest.NewUnstartedServer(r)
	r.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	r.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	r.StartTLS()
	defer r.Close()
	dir := t.TempDir()
	write := func(name string, block *pem.Block) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	own := r.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	ca := write("ca", &pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]})
	keyFile := write("key", &pem.Block{Type: "PRIVATE KEY", Bytes: key})
	p, _ := running(t, Options{Drain: time.Millisecond, Receivers: []Receiver{
		{Name: "no trust", Kind: Webhook, URL: r.URL},
		{Name: "other name", Kind: Webhook, URL: r.URL, CAFile: ca, ServerName: "other.test", CertFile: ca, KeyFile: keyFile},
		{Name: "no certificate", Kind: Webhook, URL: r.URL, CAFile: ca},
		{Name: "all", Kind: Webhook, URL: r.URL, CAFile: ca, ServerName: "example.com", CertFile: ca, KeyFile: keyFile},
	}})
	p.Alert(raised(time.Now(), 0, warn.Stalled, time.Second))
	eventually(t, "the one that has all works", func() bool { return p.outcome("all", "pushed") == 1 })
	for _, name := range []string{"no trust", "other name", "no certificate"} {
		eventually(t, name+" is tried", func() bool { return len(p.metrics.attemptsOf(t, name)) > 0 })
		if p.outcome(name, "pushed") != 0 {
			t.Errorf("%s: it was taken", name)
		}
	}
}

func TestReceiversAreReadStrictly(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "",
		"- url: http://am:9093":                  "",
		`[{"url": "http://am:9093"}]`:            "",
		"- url: http://am:9093\n  token: x":      "unknown field",
		"- kind: pager\n  url: http://am":        "kind",
		"- url: am:9093":                         "url",
		"- url: http://am\n- url: http://am":     "give it a name",
		"- url: https://am\n  certFile: x":       "keyFile",
		"- url: http://am\n  caFile: x":          "not https",
		"- url: https://am\n  caFile: /no":       "caFile",
		"- url: http://a\n  timeoutSeconds: 9e9": "timeoutSeconds",
		"url: http://am":                         "cannot unmarshal",
	} {
		path := filepath.Join(t.TempDir(), "receivers.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := ReadReceivers(path)
		if err == nil {
			_, err = New(Options{Receivers: list})
		}
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzNoReceiversErrorShowsItsURL(f *testing.F) {
	for _, seed := range []string{"http://u:p@h/", "https://[::1", "x", "http://h/%zz", "http://u:p@h:99999/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := Receiver{URL: "http://user:" + secret + "@" + text}
		err := r.complete()
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil && strings.Contains(r.Name, secret) && !strings.Contains(text, secret) {
			t.Errorf("%q: name %q", text, r.Name)
		}
	})
}

// Raising an alert costs the sampling loop next to nothing, whoever is dead.
func BenchmarkAlert(b *testing.B) {
	p, err := New(Options{Receivers: []Receiver{{Name: "am", URL: "http://127.0.0.1:1"}, {Name: "hook", Kind: Webhook, URL: "http://127.0.0.1:1"}}})
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	b.ReportAllocs()
	for i := range b.N {
		p.Alert(raised(now, i%100, warn.Stalled, time.Second))
	}
}
