package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/status"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// restartable is a server that a page survives: it can stop, and start anew at
// the same addresses.
type restartable struct {
	*Server
	stop func()
}

func restart(t *testing.T, pod, local, token string) restartable {
	t.Helper()
	var s *Server
	eventually(t, "the ports are free again", func() bool {
		var err error
		if s, err = New(Options{Addr: pod, LocalAddr: local, Token: token}); err != nil {
			t.Fatal(err)
		}
		if _, got := s.Addrs(); strings.HasSuffix(local, ":0") || got.String() == local {
			return true
		}
		_ = s.Close()
		return false
	})
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { _ = s.Run(ctx) })
	stop := func() { cancel(); all.Wait() }
	t.Cleanup(stop)
	return restartable{s, stop}
}

// The page says when what it shows is old, and goes on by itself when the probe
// is back, with the alerts that came meanwhile.
func TestThePageSurvivesARestart(t *testing.T) {
	browser := newBrowser(t)
	// An address of this test alone, for its port to be free again after each stop:
	// programs that connect take any port of 127.0.0.1.
	own := fmt.Sprintf("127.%d.%d.%d:0", 1+os.Getpid()>>16&0x7f, os.Getpid()>>8&0xff, os.Getpid()&0xff)
	first := restart(t, "127.0.0.1:0", own, token)
	calm := calmOne
	first.Publish(calm(time.Now()))
	ctx := quietTab(t, browser, 1280, 900)
	open(t, ctx, first.Link())
	until(t, ctx, `document.getElementById("word").textContent === "excellent"`)
	notice := func(words string) string {
		return fmt.Sprintf(`document.getElementById("notice").checkVisibility() && document.getElementById("notice").textContent.includes(%q)`, words)
	}
	until(t, ctx, notice("has not sampled for")) // the same status again and again
	_, addr := first.Addrs()
	first.stop()
	until(t, ctx, notice("does not answer"))
	screenshot(t, ctx, "scene-stale")
	second := restart(t, "127.0.0.1:0", addr.String(), token)
	published(t, second.Server, func(now time.Time) *status.Status { return scripted(now, 1, 1.4, .1) })
	second.Alert(scriptedAlert(time.Now(), warn.StallPredicted, 2*time.Second, sample.Of(.9)))
	until(t, ctx, `document.getElementById("word").textContent === "poor" && document.getElementById("notice").hidden`)
	until(t, ctx, `document.querySelector("#alerts li")?.textContent.includes("The buffer runs out in 0.90 s") === true`)
	second.stop()
	third := restart(t, "127.0.0.1:0", addr.String(), NewToken())
	third.Publish(calm(time.Now()))
	until(t, ctx, notice("The token is not valid any more"))
}

// quietTab is a tab whose page may complain: of a server that is gone.
func quietTab(t *testing.T, browser context.Context, width, height int64) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 10*time.Minute)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, height)); err != nil {
		t.Fatal(err)
	}
	return ctx
}

func TestThePageWorksByKeyboard(t *testing.T) {
	browser := newBrowser(t)
	s := running(t, 12, nil)
	ctx := tab(t, browser, 1280, 900, false)
	open(t, ctx, s.Link())
	until(t, ctx, plotHasCurves)
	press := func(key string) {
		t.Helper()
		if err := chromedp.Do(ctx, chromedp.KeyEvent(key)); err != nil {
			t.Fatal(err)
		}
	}
	focus := func(selector string) {
		eval[bool](t, ctx, fmt.Sprintf(`(document.querySelector(%q).focus(), true)`, selector))
	}
	focus(`#depths input:checked`)
	press(kb.ArrowRight)
	until(t, ctx, `document.querySelector("#depths input:checked").value === "4" && document.getElementById("eta-note").textContent !== ""`)
	focus("#plot")
	press(kb.ArrowLeft) // from now into the past
	until(t, ctx, `document.getElementById("at-when").textContent !== "now"`)
	focus(`#heads th:nth-child(2) button`)
	press(kb.Enter)
	until(t, ctx, `document.querySelector("#heads th:nth-child(2)").ariaSort === "ascending" && document.activeElement.textContent === "Stream"`)
	focus(`#rows tr:nth-child(3) .pick`)
	press(kb.Enter)
	until(t, ctx, `document.getElementById("scope").textContent === "of 10.20.0.7:5008" && document.getElementById("word").textContent === "excellent"`)
	until(t, ctx, `document.querySelectorAll("tr[aria-selected=true]").length === 1`)
	focus("#all")
	press(kb.Enter)
	until(t, ctx, `document.getElementById("word").textContent === "poor"`)
	eval[bool](t, ctx, `(document.getElementById("filter").value = "5012", document.getElementById("filter").dispatchEvent(new Event("input")))`)
	until(t, ctx, `document.querySelectorAll("#rows tr").length === 1`)
}

// Without the token there is no page, and nothing of the pod in the answer.
func TestWithoutATokenThereIsNoPage(t *testing.T) {
	browser := newBrowser(t)
	s := running(t, 2, nil)
	ctx := quietTab(t, browser, 390, 844)
	_, addr := s.Addrs()
	open(t, ctx, "http://"+addr.String()+"/")
	until(t, ctx, `document.body.innerText.includes("kubectl debugsidecar open POD")`)
	// Another name of loopback is another host to the browser: no cookie there.
	_, port, _ := net.SplitHostPort(addr.String())
	open(t, ctx, s.Link())
	until(t, ctx, `document.getElementById("word")?.textContent === "poor"`)
	open(t, ctx, "http://localhost:"+port+"/")
	until(t, ctx, `document.body.innerText.includes("kubectl debugsidecar open POD")`)
}

func calmOne(now time.Time) *status.Status { return scripted(now, 1, .02, 0) }

// Where looking would open another session of the camera, it takes a click.
func TestLookingTakesAClickWhereItOpensASession(t *testing.T) {
	browser := newBrowser(t)
	f := &film{}
	s := serving(t, Options{Pictures: f})
	published(t, s, func(now time.Time) *status.Status {
		st := calmOne(now)
		st.Capture = &status.Capture{Source: "rtsp://camera/main", Mode: "onAlert", State: "closed"}
		if f.wanted.Load() {
			st.Capture.State, st.Capture.Width, st.Capture.Height, st.Capture.FPS = "playing", 640, 360, 30
		}
		return st
	})
	ctx := tab(t, browser, 390, 844, true)
	open(t, ctx, s.Link())
	until(t, ctx, `document.getElementById("why-no-picture").textContent.includes("session of its own") && document.getElementById("look").checkVisibility()`)
	if f.wanted.Load() {
		t.Error("nobody asked for the picture, and it is wanted")
	}
	eval[bool](t, ctx, `(document.getElementById("look").click(), true)`)
	until(t, ctx, `document.getElementById("live").checkVisibility() && document.getElementById("live").naturalWidth === 640`)
	screenshot(t, ctx, "scene-look")
}

// Who sees a small picture is told why, and until when.
func TestThePageTellsOfTheLowerSource(t *testing.T) {
	browser := newBrowser(t)
	s := serving(t, Options{Pictures: &film{}})
	var until30 atomic.Bool
	published(t, s, func(now time.Time) *status.Status {
		st := calmOne(now)
		lower := &status.Lower{Source: "rtsp://camera/sub", Since: now.Add(-time.Minute)}
		if until30.Load() {
			lower.Until = new(now.Add(30 * time.Second))
		}
		st.Capture = &status.Capture{Source: "rtsp://camera/main", Mode: "always", State: "playing", Width: 640, Height: 360, FPS: 30, Lower: lower}
		return st
	})
	ctx := tab(t, browser, 390, 844, true)
	open(t, ctx, s.Link())
	says := `document.getElementById("lower").checkVisibility() && document.getElementById("lower").textContent.includes(%q)`
	until(t, ctx, fmt.Sprintf(says, "It stays so"))
	until30.Store(true)
	until(t, ctx, fmt.Sprintf(says, "the source is tried again at"))
	screenshot(t, ctx, "scene-lower")
}

// A browser has six connections to a host: pages that nobody sees hold none, and
// miss no alert once they are seen again.
func TestAHiddenPageHoldsNoConnection(t *testing.T) {
	browser := newBrowser(t)
	f := &film{}
	s := running(t, 1, f)
	ctx := tab(t, browser, 1280, 900, false)
	open(t, ctx, s.Link())
	listeners := func() int { n, _ := s.events.counts(); return n }
	eventually(t, "it listens and looks", func() bool { return listeners() == 1 && f.wanted.Load() })
	until(t, ctx, `document.getElementById("live").naturalWidth === 640`)
	hide := func(hidden bool) {
		eval[bool](t, ctx, fmt.Sprintf(`(Object.defineProperty(document, "hidden", {value: %v, configurable: true}), document.dispatchEvent(new Event("visibilitychange")))`, hidden))
	}
	hide(true)
	eventually(t, "it holds nothing", func() bool { viewers, _ := s.live.counts(); return listeners() == 0 && viewers == 0 })
	s.Alert(scriptedAlert(time.Now(), warn.StallPredicted, 2*time.Second, sample.Of(1.3)))
	hide(false)
	until(t, ctx, `document.querySelector("#alerts li").textContent.includes("The buffer runs out in 1.3 s")`)
}

// Who can't see the page hears what each control and picture is.
func TestEachControlHasAName(t *testing.T) {
	browser := newBrowser(t)
	s := running(t, 12, &film{})
	ctx := tab(t, browser, 1280, 900, false)
	open(t, ctx, s.Link())
	until(t, ctx, plotHasCurves)
	tree, err := chromedp.Call(ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		t.Fatal(err)
	}
	roles := map[string]int{}
	for _, node := range tree.Nodes {
		if node.Ignored || node.Role == nil {
			continue
		}
		role, name := unquoted(node.Role.Value), ""
		if node.Name != nil {
			name = unquoted(node.Name.Value)
		}
		switch role {
		case "button", "radio", "searchbox", "textbox", "image", "img", "link", "group", "region", "log", "columnheader":
			roles[role]++
			if name == "" {
				t.Errorf("a %s has no name", role)
			}
		case "heading", "main", "table", "banner", "contentinfo":
			roles[role]++
		}
	}
	for _, role := range []string{"main", "banner", "table", "heading", "log", "radio", "button", "image"} {
		if roles[role] == 0 {
			t.Errorf("there is no %s: %v", role, roles)
		}
	}
}

func unquoted(v []byte) string {
	var s string
	_ = json.Unmarshal(v, &s) // what is no text has no name
	return s
}
