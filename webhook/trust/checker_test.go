package trust

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestATagThatMovesAfterItWasResolvedChangesNothing(t *testing.T) {
	h, s := newHub(t, true), ecdsaSigner(t)
	p, c := compile(t, h.settings(s)), newChecker(t)
	good := h.push(t, "team/tool:1")
	h.classic(t, s, good, good)
	text := h.host + "/team/tool:1"
	pinned, f := c.Resolve(t.Context(), p, text, Tenant)
	wantOf(t, f, Verified)
	bad := h.push(t, "team/tool:1") // unsigned
	if pinned != text+"@"+good.DigestStr() {
		t.Fatalf("got %s", pinned)
	}
	want(t, c, p, pinned, Verified)
	// The tag is asked for again, and what it has become is not trusted.
	now := time.Now()
	c.now = func() time.Time { return now.Add(tagFresh) }
	pinned, f = c.Resolve(t.Context(), p, text, Tenant)
	wantOf(t, f, Verified)
	if pinned != text+"@"+bad.DigestStr() {
		t.Fatalf("got %s, want the tag's new digest", pinned)
	}
	want(t, c, p, pinned, Unsigned)
}

func TestAnswersAreRememberedForATime(t *testing.T) {
	h, s := newHub(t, true), ecdsaSigner(t)
	p, c := compile(t, h.settings(s)), newChecker(t)
	now := time.Now()
	c.now = func() time.Time { return now }
	d := h.push(t, "team/tool:1")
	asked := func(what string, more bool, f func()) {
		t.Helper()
		before := h.asked.Load()
		f()
		if got := h.asked.Load() > before; got != more {
			t.Errorf("%s: the registry was asked: %t, want %t", what, got, more)
		}
	}
	asked("first", true, func() { want(t, c, p, d.String(), Unsigned) })
	asked("again", false, func() { want(t, c, p, d.String(), Unsigned) })
	h.classic(t, s, d, d)
	now = now.Add(refuseFor)
	asked("after it was signed", true, func() { want(t, c, p, d.String(), Verified) })
	now = now.Add(trustFor - time.Second)
	asked("within the hour", false, func() { want(t, c, p, d.String(), Verified) })
	// Under another name of the same content, too.
	asked("elsewhere", false, func() { want(t, c, p, h.host+"/team/elsewhere@"+d.DigestStr(), Verified) })
	now = now.Add(time.Second)
	asked("after the hour", true, func() { want(t, c, p, d.String(), Verified) })
}

func TestAKeyThatIsTakenAwayCountsNoMoreAtOnce(t *testing.T) {
	h, s, other := newHub(t, true), ecdsaSigner(t), ecdsaSigner(t)
	c := newChecker(t)
	d := h.push(t, "team/tool:1")
	h.classic(t, s, d, d)
	both, one := compile(t, h.settings(s, other)), compile(t, h.settings(other))
	want(t, c, both, d.String(), Verified)
	want(t, c, one, d.String(), Unsigned, "another key")
	want(t, c, both, d.String(), Verified)
}

func TestARegistryThatIsAwayIsNoReasonToForget(t *testing.T) {
	h, s := newHub(t, true), ecdsaSigner(t)
	p, c := compile(t, h.settings(s)), newChecker(t)
	now := time.Now()
	c.now = func() time.Time { return now }
	d := h.push(t, "team/tool:1")
	h.classic(t, s, d, d)
	text := h.host + "/team/tool:1"
	c.warm(t.Context(), p, text)
	h.instead(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true })
	now = now.Add(trustFor - time.Minute)
	pinned, f := c.Resolve(t.Context(), p, text, Administrator)
	wantOf(t, f, Verified)
	if pinned != text+"@"+d.DigestStr() {
		t.Fatalf("got %s", pinned)
	}
	want(t, c, p, pinned, Verified)
	now = now.Add(time.Minute)
	_, f = c.Resolve(t.Context(), p, text, Administrator)
	wantOf(t, f, Unreachable, "status 503")
	want(t, c, p, pinned, Unreachable, "status 503")
}

func TestTheConfigurationsImagesAreLookedAtUnasked(t *testing.T) {
	h, s := newHub(t, true), ecdsaSigner(t)
	p, c := compile(t, h.settings(s)), newChecker(t)
	d := h.push(t, "team/tool:1")
	h.classic(t, s, d, d)
	text := h.host + "/team/tool:1"
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { c.Warm(ctx, func() (*Policy, []string) { return p, []string{text} }) })
	deadline := time.Now().Add(10 * time.Second)
	for by, _ := c.lanes[Administrator].verifiedBy(p, d.DigestStr(), c.now()); by == nil; by, _ = c.lanes[Administrator].verifiedBy(p, d.DigestStr(), c.now()) {
		if time.Now().After(deadline) {
			t.Fatal("nobody looked")
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	wg.Wait()
	// After half the time it is looked for again, so that it never runs out.
	now := time.Now()
	c.now = func() time.Time { return now.Add(warmAgain) }
	c.warm(t.Context(), p, text)
	if by, age := c.lanes[Administrator].verifiedBy(p, d.DigestStr(), c.now()); by == nil || age != 0 {
		t.Errorf("it is %s old", age)
	}
}

func TestManyWhoAskAreOneQuestion(t *testing.T) {
	h, s := newHub(t, true), ecdsaSigner(t)
	p, c := compile(t, h.settings(s)), newChecker(t)
	d := h.push(t, "team/tool:1")
	h.classic(t, s, d, d)
	release := make(chan struct{})
	h.instead(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, ".sig") {
			<-release
		}
		return false
	})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if f := c.Verify(background(), p, d.String(), Tenant); f != nil {
				t.Error(f)
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	close(release)
	wg.Wait()
	if n := h.asked.Load(); n > 4 { // the registry itself, the manifest, the payload
		t.Errorf("50 who ask at once made %d requests", n)
	}
}

func TestTenantsCantUseUpWhatTheAdministratorNeeds(t *testing.T) {
	h, s := newHub(t, true), ecdsaSigner(t)
	p, c := compile(t, h.settings(s)), newChecker(t)
	d := h.push(t, "team/ours:1")
	h.classic(t, s, d, d)
	hang := make(chan struct{})
	defer close(hang)
	h.instead(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/theirs") {
			<-hang
		}
		return false
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 4 * maxFlights {
		wg.Go(func() {
			f := c.Verify(ctx, p, fmt.Sprintf("%s/theirs/tool%d@%s", h.host, i, d.DigestStr()), Tenant)
			if resultOf(f) != Unreachable {
				t.Errorf("got %v", f)
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	start := time.Now()
	wantOf(t, c.Verify(t.Context(), p, d.String(), Administrator), Verified)
	if took := time.Since(start); took > time.Second {
		t.Errorf("the administrator's image waited %s", took)
	}
	wg.Wait()
}

func TestCredentialsAreTheLongestThatFitAndGoNowhereElse(t *testing.T) {
	h, s := newHub(t, true), ecdsaSigner(t)
	file := filepath.Join(t.TempDir(), ".dockerconfigjson")
	c := newChecker(t)
	c.credentials = file
	d := h.push(t, "team/tool:1")
	h.classic(t, s, d, d)
	h.instead(func(w http.ResponseWriter, r *http.Request) bool {
		if user, password, _ := r.BasicAuth(); user == "me" && password == "pa55" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	auths := func(text string) { must(t, os.WriteFile(file, []byte(text), 0o600)) }
	p := compile(t, h.settings(s))
	want(t, c, p, d.String(), Unreachable, "the registry lets nobody read it") // there is no file
	auths(`{"auths": {"` + h.host + `": {"username": "other", "password": "x"}, "https://` + h.host + `/team/": {"auth": "bWU6cGE1NQ=="}, "elsewhere": {}}}`)
	want(t, c, p, d.String(), Verified)
	auths(`{"auths": {"` + h.host + `": {"auth": "pa55"}}}`)
	d = h.push(t, "team/tool:2")
	f := c.Verify(t.Context(), p, d.String(), Tenant)
	wantOf(t, f, Unreachable, "the Secret with the registries' credentials can't be read")
	if strings.Contains(f.Error(), "pa55") {
		t.Errorf("the error shows what it read: %v", f)
	}
}

func TestWhatHasNoDigestIsNotVerified(t *testing.T) {
	h, s := newHub(t, true), ecdsaSigner(t)
	p, c := compile(t, h.settings(s)), newChecker(t)
	h.push(t, "team/tool:1")
	want(t, c, p, h.host+"/team/tool:1", Unpinned, "no digest")
	want(t, c, p, h.host+"/team/tool@sha512:"+strings.Repeat("a", 128), Malformed)
	want(t, c, p, "A b", Malformed)
	want(t, c, p, strings.Repeat("a", 2000), Malformed)
	want(t, c, p, "registry.example/tool@sha256:"+strings.Repeat("a", 64), Unlisted, "registry.example")
	_, f := c.Resolve(t.Context(), p, h.host+"/team/tool:none", Tenant)
	wantOf(t, f, Missing)
	if n := h.asked.Load(); n > 2 {
		t.Errorf("%d requests for what can't be", n)
	}
	// Some registries don't answer HEAD as they should.
	h.instead(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return true
		}
		return false
	})
	image, err := random.Image(64, 1)
	must(t, err)
	must(t, remote.Write(h.tag(t, "team/tool:3"), image, h.option()))
	digest, err := image.Digest()
	must(t, err)
	pinned, f := c.Resolve(t.Context(), p, h.host+"/team/tool:3", Tenant)
	if f != nil || !strings.HasSuffix(pinned, "@"+digest.String()) {
		t.Errorf("got %s, %v", pinned, f)
	}
}
