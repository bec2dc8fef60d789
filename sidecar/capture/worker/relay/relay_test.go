package relay_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/worker/relay"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/worker/trust"
)

const generous = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func fetch(t *testing.T, target string, timeout time.Duration) (string, error) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	r, err := relay.Start(context.Background(), u, trust.Trust{}, timeout)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(r.Pipe())
	if err != nil {
		t.Fatal(err)
	}
	r.Pipe().Close()
	return string(body), r.End()
}

func causeOf(err error) wire.Cause {
	if e := (*relay.Error)(nil); errors.As(err, &e) {
		return e.Cause
	}
	return ""
}

func TestStreamComesThroughWhole(t *testing.T) {
	want := strings.Repeat("0123456789", 100_000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "admin" || password != "s3kret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, want)
	}))
	defer server.Close()
	got, err := fetch(t, strings.Replace(server.URL, "://", "://admin:s3kret@", 1), generous)
	if err != nil || got != want {
		t.Errorf("%d bytes of %d (%v)", len(got), len(want), err)
	}
	if _, err := fetch(t, server.URL, generous); causeOf(err) != wire.Credentials {
		t.Errorf("without password: %v", err)
	}
}

func TestSilentServerIsTheCamerasFault(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "beginning")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	got, err := fetch(t, server.URL, 3*time.Second) // for the beginning, too
	if got != "beginning" || causeOf(err) != wire.Camera || !strings.Contains(err.Error(), "silent") {
		t.Errorf("%q, %v", got, err)
	}
}

func TestServerThatBreaksOffIsTheCamerasFault(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
	}))
	defer server.Close()
	if got, err := fetch(t, server.URL, generous); got != "half" || causeOf(err) != wire.Camera {
		t.Errorf("%q, %v", got, err)
	}
}

func TestEndlessRedirectsEnd(t *testing.T) {
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, server.URL+"/"+r.URL.Path+"x", http.StatusFound)
	}))
	defer server.Close()
	if _, err := fetch(t, server.URL, generous); causeOf(err) != wire.Camera || !strings.Contains(err.Error(), "too often") {
		t.Errorf("%v", err)
	}
}

func TestCertificateOfNobodyIsRefused(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	if _, err := fetch(t, server.URL, generous); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v", err)
	}
}

// A name is looked at after it was resolved, each time anew.
func TestNameOfAForbiddenAddressIsRefused(t *testing.T) {
	for name, address := range map[string][4]byte{"metadata.test.": {169, 254, 169, 254}, "alibaba.test.": {100, 100, 100, 200}} {
		t.Run(name, func(t *testing.T) {
			resolveTo(t, address)
			target := "http://" + strings.TrimSuffix(name, ".") + ":8080/"
			if _, err := fetch(t, target, generous); causeOf(err) != wire.Refused {
				t.Errorf("asked for: %v", err)
			}
			server := httptest.NewServer(http.RedirectHandler(target, http.StatusFound))
			defer server.Close()
			if _, err := fetch(t, server.URL, generous); causeOf(err) != wire.Refused {
				t.Errorf("redirected to: %v", err)
			}
		})
	}
}

// resolveTo makes all names have one address until the test ends.
func resolveTo(t *testing.T, address [4]byte) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.Additionals = true, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
					Body:   &dnsmessage.AResource{A: address},
				}}
			}
			answer, err := m.Pack()
			if err == nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		conn.Close()
		<-done
	})
}

func TestRelayEndsWhenNobodyReads(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := fmt.Fprint(w, strings.Repeat("x", 10_000)); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	r, err := relay.Start(context.Background(), u, trust.Trust{}, generous)
	if err != nil {
		t.Fatal(err)
	}
	r.Pipe().Close()
	if err := r.End(); err == nil {
		t.Error("it ended as if the stream had")
	}
}
