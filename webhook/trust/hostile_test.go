package trust

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// answers that a registry, or who is in its place, may give to everything but the
// first question.
func TestAHostileRegistryHoldsNobodyUpAndIsNotBelieved(t *testing.T) {
	endless := func(w http.ResponseWriter, _ *http.Request) bool {
		block := make([]byte, 64<<10)
		for {
			if _, err := w.Write(block); err != nil {
				return true
			}
		}
	}
	cases := []struct {
		name   string
		answer func(w http.ResponseWriter, r *http.Request) bool
		result Result
		why    string
	}{
		{"hangs", func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }, Unreachable, "in time"},
		{"one byte after the other", func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			for r.Context().Err() == nil {
				if _, err := w.Write([]byte(" ")); err != nil {
					return true
				}
				w.(http.Flusher).Flush()
				time.Sleep(10 * time.Millisecond)
			}
			return true
		}, Unreachable, "in time"},
		{"endless", endless, Unsigned, "too large"},
		{"garbage", func(w http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(w, "\x00{{{"); return true }, Unsigned, "can't be read"},
		{"other JSON", func(w http.ResponseWriter, _ *http.Request) bool {
			fmt.Fprint(w, `{"layers": [null, {"annotations": {"dev.cosignproject.cosign/signature": "%%%"}}, {"digest": "x"}], "manifests": [{"digest": "sha256:00"}]}`)
			return true
		}, Unsigned, ""},
		{"errors", func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(500)
			fmt.Fprint(w, "secret of the registry")
			return true
		}, Unreachable, "status 500"},
		{"hangs up", func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, Unreachable, ""},
		{"half a body", func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "{")
			return true
		}, Unreachable, ""},
		{"sends on to itself for ever", func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusTemporaryRedirect)
			return true
		}, Unreachable, ""},
		{"wants a token from the metadata service", func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://169.254.169.254/token",service="x"`)
			w.WriteHeader(401)
			return true
		}, Unreachable, ""},
	}
	for _, c := range cases {
		for _, whole := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, all %t", c.name, whole), func(t *testing.T) {
				t.Parallel()
				h, s := newHub(t, true), ecdsaSigner(t)
				p, checker := compile(t, h.settings(s)), newChecker(t)
				d := h.push(t, "team/tool:1")
				h.instead(func(w http.ResponseWriter, r *http.Request) bool {
					return (whole || r.URL.Path != "/v2/") && c.answer(w, r)
				})
				start := time.Now()
				f := checker.Verify(t.Context(), p, d.String(), Tenant)
				if f == nil {
					t.Fatal("it is trusted")
				}
				// A machine under load may not get through what is endless in time.
				late := c.name == "endless" && f.Result == Unreachable
				if !whole && !late && (f.Result != c.result || !strings.Contains(f.Error(), c.why)) {
					t.Errorf("got %s: %v, want %s: %s", f.Result, f, c.result, c.why)
				}
				if strings.Contains(f.Error(), "secret") {
					t.Errorf("what the registry said is passed on: %v", f)
				}
				if took := time.Since(start); took > flightTime+time.Second {
					t.Errorf("it took %s", took)
				}
				if n := h.asked.Load(); n > maxRequests {
					t.Errorf("%d requests", n)
				}
				h.CloseClientConnections()
			})
		}
	}
}

func TestNobodyWaitsLongerThanHeSays(t *testing.T) {
	h, s := newHub(t, true), ecdsaSigner(t)
	p, c := compile(t, h.settings(s)), newChecker(t)
	d := h.push(t, "team/tool:1")
	h.classic(t, s, d, d)
	release := make(chan struct{})
	h.instead(func(http.ResponseWriter, *http.Request) bool { <-release; return false })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	wantOf(t, c.Verify(ctx, p, d.String(), Tenant), Unreachable, "in time")
	if took := time.Since(start); took > time.Second {
		t.Errorf("it took %s", took)
	}
	close(release)
	// The question goes on, and who asks next finds its answer.
	deadline := time.Now().Add(5 * time.Second)
	for by, _ := c.lanes[Tenant].verifiedBy(p, d.DigestStr(), c.now()); by == nil; by, _ = c.lanes[Tenant].verifiedBy(p, d.DigestStr(), c.now()) {
		if time.Now().After(deadline) {
			t.Fatal("nobody found the answer")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestARegistryThatFailsAgainAndAgainIsLeftAlone(t *testing.T) {
	h, s := newHub(t, true), ecdsaSigner(t)
	p, c := compile(t, h.settings(s)), newChecker(t)
	d := h.push(t, "team/tool:1")
	h.instead(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(502); return true })
	for range 20 {
		want(t, c, p, d.String(), Unreachable)
	}
	if n := h.asked.Load(); n > breakAfter {
		t.Errorf("it was asked %d times", n)
	}
}

func TestNoOtherHostIsAsked(t *testing.T) {
	var victim atomic.Int64
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		victim.Add(1)
		fmt.Fprint(w, `{"token": "x"}`)
	}))
	defer other.Close()
	elsewhere := other.URL
	token := func(realm string) func(w http.ResponseWriter, r *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`",service="x"`)
			w.WriteHeader(401)
			return true
		}
	}
	redirect := func(to string) func(w http.ResponseWriter, r *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/v2/" {
				return false
			}
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
			return true
		}
	}
	h, s := newHub(t, true), ecdsaSigner(t)
	d := h.push(t, "team/tool:1")
	h.classic(t, s, d, d)
	for _, to := range []string{elsewhere, "http://169.254.169.254/latest/meta-data", "https://169.254.169.254/", "http://" + h.host + "/v2/", "https://[fd00:ec2::254]/", "file:///etc/passwd"} {
		for kind, answer := range map[string]func(http.ResponseWriter, *http.Request) bool{"token": token(to), "redirect": redirect(to)} {
			h.instead(answer)
			p, c := compile(t, h.settings(s)), newChecker(t)
			if f := c.Verify(t.Context(), p, d.String(), Tenant); resultOf(f) != Unreachable {
				t.Errorf("%s at %s: got %v", kind, to, f)
			}
		}
	}
	if victim.Load() != 0 {
		t.Errorf("another host was asked %d times", victim.Load())
	}
	// Where the administrator lists it, it is.
	h.instead(redirect(elsewhere))
	settings := h.settings(s)
	settings.Registries[0].Hosts = []string{strings.TrimPrefix(elsewhere, "https://")}
	f := newChecker(t).Verify(t.Context(), compile(t, settings), d.String(), Tenant)
	if victim.Load() == 0 {
		t.Errorf("a host that is listed was not asked: %v", f)
	}
}

func TestOnlyTheRegistryAndItsHostsArePermitted(t *testing.T) {
	r, err := newRegistry(Registry{Host: "docker.io", Hosts: []string{"auth.docker.io", "*.blobs.example"}})
	must(t, err)
	plain, err := newRegistry(Registry{Host: "registry.example:5000", Hosts: []string{"auth.example"}, PlainHTTP: true})
	must(t, err)
	for _, c := range []struct {
		r    *registry
		url  string
		want bool
	}{
		{r, "https://index.docker.io/v2/", true}, {r, "https://INDEX.docker.io:443/v2/", true}, {r, "https://auth.docker.io/token", true},
		{r, "https://eu.blobs.example/x", true}, {r, "https://blobs.example/x", false}, {r, "https://evilblobs.example/x", false},
		{r, "https://auth.docker.io:8443/token", false}, {r, "http://index.docker.io/v2/", false}, {r, "https://docker.io.example/", false},
		{r, "https://me:pa55@auth.docker.io/token", false}, {r, "https://[::1]/", false}, {r, "ftp://index.docker.io/", false},
		{plain, "http://registry.example:5000/v2/", true}, {plain, "https://registry.example:5000/v2/", true},
		{plain, "http://registry.example/v2/", false}, {plain, "http://auth.example/token", false}, {plain, "https://auth.example/token", true},
	} {
		u, err := url.Parse(c.url)
		must(t, err)
		if err := c.r.permits(u); (err == nil) != c.want {
			t.Errorf("%s: got %v, want it permitted: %t", c.url, err, c.want)
		}
	}
}

func TestCloudsMetadataIsNotDialled(t *testing.T) {
	for _, address := range []string{"169.254.169.254:80", "[fe80::1%lo]:80", "[::ffff:169.254.169.254]:80", "[fd00:ec2::254]:443", "100.100.100.200:80", "0.0.0.0:80", "[::]:80", "224.0.0.1:80"} {
		if refuseMetadata("tcp", address, nil) == nil {
			t.Errorf("%s would be dialled", address)
		}
	}
	for _, address := range []string{"10.0.0.1:443", "192.0.2.1:443", "[2001:db8::1]:443", "127.0.0.1:5000"} {
		if err := refuseMetadata("tcp", address, nil); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestPlainHTTPOnlyWhereItIsListed(t *testing.T) {
	h, s := newHub(t, true), ecdsaSigner(t)
	plain := httptest.NewServer(h.Config.Handler)
	defer plain.Close()
	d := h.push(t, "team/tool:1")
	h.classic(t, s, d, d)
	host := strings.TrimPrefix(plain.URL, "http://")
	image := host + "/team/tool@" + d.DigestStr()
	settings := Settings{Mode: Enforce, Keys: []string{s.pem}, Registries: []Registry{{Host: host}}}
	before := h.asked.Load()
	want(t, newChecker(t), compile(t, settings), image, Unreachable)
	if h.asked.Load() != before {
		t.Error("it was asked without TLS")
	}
	settings.Registries[0].PlainHTTP = true
	want(t, newChecker(t), compile(t, settings), image, Verified)
}

func TestAnUnknownCAIsNotBelieved(t *testing.T) {
	h, s := newHub(t, true), ecdsaSigner(t)
	d := h.push(t, "team/tool:1")
	h.classic(t, s, d, d)
	settings := h.settings(s)
	settings.Registries[0].CA = ""
	want(t, newChecker(t), compile(t, settings), d.String(), Unreachable)
}

func TestAPanicIsThatQuestionsAlone(t *testing.T) {
	h, s := newHub(t, true), ecdsaSigner(t)
	p, c := compile(t, h.settings(s)), newChecker(t)
	_, f := c.ask(t.Context(), c.lanes[Tenant], p, p.registries[h.host], "digest", "x", func(context.Context) (string, error) { panic("hostile") })
	wantOf(t, f, Unreachable)
	_, f = c.ask(t.Context(), c.lanes[Tenant], p, p.registries[h.host], "digest", "x", func(context.Context) (string, error) { return "", io.EOF })
	wantOf(t, f, Unreachable)
}
