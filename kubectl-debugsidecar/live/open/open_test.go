package open

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/streaming/pkg/httpstream"
)

const goodToken = "l1kDY8ly9k1o-snwbK4MoNsP5mycDHyoQFGltZbaB1k"

func TestWhatTheContainerSaysOfItsPage(t *testing.T) {
	in, err := understand([]byte(`{"address":"127.0.0.1:9402","token":"` + goodToken + `"}` + "\n"))
	if err != nil || in != (inside{9402, goodToken}) {
		t.Errorf("got %+v, %v", in, err)
	}
	for name, text := range map[string]string{
		"nothing":           "",
		"no JSON":           goodToken,
		"no token":          `{"address":"127.0.0.1:9402"}`,
		"a short token":     `{"address":"127.0.0.1:9402","token":"abc"}`,
		"an option":         `{"address":"127.0.0.1:9402","token":"` + goodToken + ` --version"}`,
		"an escape":         `{"address":"127.0.0.1:9402","token":"` + goodToken + `\u001b[2J"}`,
		"a query":           `{"address":"127.0.0.1:9402","token":"` + goodToken + `&x=1"}`,
		"a long token":      `{"address":"127.0.0.1:9402","token":"` + strings.Repeat("a", 200) + `"}`,
		"a foreign address": `{"address":"10.0.0.1:9402","token":"` + goodToken + `"}`,
		"a name":            `{"address":"evil.example:9402","token":"` + goodToken + `"}`,
		"no port":           `{"address":"127.0.0.1","token":"` + goodToken + `"}`,
		"port 0":            `{"address":"127.0.0.1:0","token":"` + goodToken + `"}`,
		"a high port":       `{"address":"127.0.0.1:99999","token":"` + goodToken + `"}`,
	} {
		if in, err := understand([]byte(text)); err == nil {
			t.Errorf("%s is understood: %+v", name, in)
		} else if strings.Contains(err.Error(), goodToken) {
			t.Errorf("%s: the error has the token", name)
		}
	}
}

func TestAnEndlessAnswerIsBounded(t *testing.T) {
	var b bounded
	for range 1000 {
		if n, err := b.Write(make([]byte, 1<<16)); n != 1<<16 || err != nil {
			t.Fatal(n, err)
		}
	}
	if b.Len() != mostSaid {
		t.Errorf("%d bytes are kept", b.Len())
	}
}

func TestTheBrowsersLinkWorksOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	once, err := handOver(ctx, "http://127.0.0.1:1/?token=secret")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(once, "secret") {
		t.Errorf("the link has the token: %s", once)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	get := func(method, url, host string) (int, string) {
		t.Helper()
		request, err := http.NewRequest(method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		io.Copy(io.Discard, response.Body) //nolint:errcheck // nothing is read
		return response.StatusCode, response.Header.Get("Location")
	}
	for _, c := range []struct{ method, url, host string }{
		{"GET", once + "x", ""}, {"GET", once[:strings.LastIndex(once, "/")+1], ""}, {"HEAD", once, ""}, {"GET", once, "evil.example"},
	} {
		if status, location := get(c.method, c.url, c.host); status != http.StatusNotFound || location != "" {
			t.Errorf("%+v: %d, %s", c, status, location)
		}
	}
	if status, location := get("GET", once, ""); status != http.StatusSeeOther || location != "http://127.0.0.1:1/?token=secret" {
		t.Errorf("first: %d, %s", status, location)
	}
	if status, location := get("GET", once, ""); status != http.StatusGone || location != "" {
		t.Errorf("second: %d, %s", status, location)
	}
	cancel()
	for {
		if _, err := client.Get(once); err != nil {
			return
		}
	}
}

func TestWhatIsARefusal(t *testing.T) {
	forbidden := &httpstream.UpgradeFailureError{Cause: apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "ingest", errors.New("no"))}
	for _, c := range []struct {
		name          string
		first, second error
		refused       bool
	}{
		{"by both", forbidden, errors.New("unable to upgrade connection: pods is forbidden\x1b[2J"), true},
		{"get is forbidden, create is not", forbidden, nil, false},
		{"then the network fails", forbidden, errors.New("dial tcp: connection refused"), false},
		{"no such pod", &httpstream.UpgradeFailureError{Cause: apierrors.NewNotFound(schema.GroupResource{}, "x")}, errors.New("unable to upgrade connection: not found"), false},
		{"a proxy without WebSocket", &httpstream.UpgradeFailureError{Cause: errors.New("bad handshake")}, errors.New("unable to upgrade connection: later"), false},
	} {
		var f fallback
		if !f.wanted(c.first) {
			t.Errorf("%s: SPDY is not tried", c.name)
		}
		err := f.why(c.second)
		if _, is := errors.AsType[refused](err); is != c.refused || (err == nil) != (c.second == nil) {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.refused && strings.Contains(fmt.Sprint(err), "\x1b") {
			t.Errorf("%s: %q", c.name, err)
		}
	}
}
