package serve

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/status"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// Chromium shows the page as people see it. With SCREENSHOTS=DIR the pages are
// kept there for people to look at.

// newBrowser starts Chromium for the test, and ends it with the test.
func newBrowser(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Chromium")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium: install Debian's package chromium")
	}
	dir := profile(t)
	opts := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.Env("TMPDIR=" + dir), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.WSURLReadTimeout(time.Minute),
		chromedp.ModifyCmdFunc(func(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }),
	}
	for _, flag := range []string{"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage", "hide-scrollbars"} {
		opts = append(opts, chromedp.Flag(flag, true))
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancel)
	browser, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Do(browser); err != nil {
		t.Fatalf("starting chromium: %v", err)
	}
	return browser
}

// profile is a directory for all of Chromium's files. It goes with the test; some
// of its processes write for a moment after the first one has ended, which a
// directory of the test's own would take for a failure.
func profile(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "debugsidecar-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for end := time.Now().Add(30 * time.Second); os.RemoveAll(dir) != nil && time.Now().Before(end); {
			time.Sleep(20 * time.Millisecond)
		}
	})
	return dir
}

// tab opens a tab of that size, and fails the test for what the page complains of.
func tab(t *testing.T, browser context.Context, width, height int64, dark bool) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 10*time.Minute)
	t.Cleanup(cancel)
	complaints, stop := context.WithCancel(ctx)
	messages := chromedp.Console(complaints) // also what the Content-Security-Policy refused
	var all sync.WaitGroup
	all.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if strings.Contains(m.Text, "willReadFrequently") {
				continue // it is the test that reads the canvas
			}
			if m.IsException() || m.Type == "error" || m.Type == "warning" {
				t.Errorf("the page complains: %s %s", m, m.URL)
			}
		}
	})
	t.Cleanup(func() { stop(); all.Wait() })
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	_, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 500,
	})
	if err == nil {
		_, err = chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// open shows the page.
func open(t *testing.T, ctx context.Context, url string) {
	t.Helper()
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
}

// eval returns what a JavaScript expression gives in the page.
func eval[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits for an expression to be true.
func until(t *testing.T, ctx context.Context, expression string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !eval[bool](t, ctx, expression); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			screenshot(t, ctx, "failed")
			t.Fatalf("never true: %s\n%s", expression, eval[string](t, ctx, "document.body.innerText"))
		}
	}
}

// film is pictures that count up: a moving bar.
type film struct {
	mu     sync.Mutex
	number uint64
	wanted atomic.Bool
}

func (f *film) WantPictures(want bool) { f.wanted.Store(want) }

func (f *film) Picture(after uint64) ([]byte, uint64, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.number = after + 1
	return picture(f.number), f.number, true
}

func picture(number uint64) []byte {
	img := image.NewRGBA(image.Rect(0, 0, 640, 360))
	for y := range 360 {
		for x := range 640 {
			img.Set(x, y, color.RGBA{uint8(x / 4), uint8(90 + y/6), 120, 255})
		}
	}
	for y := range 360 {
		for x := range 40 {
			img.Set((int(number)*8+x)%640, y, color.RGBA{230, 230, 230, 255})
		}
	}
	var b bytes.Buffer
	_ = jpeg.Encode(&b, img, nil) // a buffer takes all
	return b.Bytes()
}

// running serves a pod with n cameras until the test ends.
func running(t *testing.T, n int, pictures Pictures) *Server {
	t.Helper()
	s := serving(t, Options{Pictures: pictures})
	play(s, time.Now(), n)
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				st := scripted(time.Now(), n, 1.33, .05)
				if pictures != nil {
					st.Capture = &status.Capture{Source: "rtsp://viewer:***@10.31.0.10/main", Mode: "always", State: "playing", Width: 1280, Height: 720, FPS: 30}
				}
				s.Publish(st)
			}
		}
	})
	t.Cleanup(func() { close(stop); all.Wait() })
	return s
}

// serving runs a server on free ports until the test ends.
func serving(t *testing.T, opts Options) *Server {
	t.Helper()
	opts.Addr, opts.LocalAddr, opts.Token = "127.0.0.1:0", "127.0.0.1:0", token
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); all.Wait() })
	return s
}

var widths = []struct {
	name          string
	width, height int64
	dark          bool
}{{"phone", 390, 844, false}, {"desktop", 1280, 900, false}, {"phone-dark", 390, 844, true}, {"desktop-dark", 1280, 900, true}}

func TestThePageShowsHealthAtAGlance(t *testing.T) {
	browser := newBrowser(t)
	for _, w := range widths {
		t.Run(w.name, func(t *testing.T) {
			f, began := &film{}, time.Now()
			s := running(t, 12, f)
			ctx := tab(t, browser, w.width, w.height, w.dark)
			open(t, ctx, s.Link())
			until(t, ctx, `document.getElementById("word").textContent === "poor"`)
			until(t, ctx, `document.getElementById("live").naturalWidth === 640`)
			until(t, ctx, `document.querySelectorAll("#alerts li").length === 7`)
			until(t, ctx, plotHasCurves)
			cause := eval[string](t, ctx, `document.getElementById("cause").textContent`)
			note := eval[string](t, ctx, `document.getElementById("cause-note").textContent`)
			if cause != "Cause: this node" || !strings.Contains(note, "10.20.0.7:5004 is the worst of 12") {
				t.Errorf("the cause is %q, %q", cause, note)
			}
			if address := eval[string](t, ctx, `location.href`); strings.Contains(address, "token") {
				t.Errorf("the token stays in the address: %s", address)
			}
			if eval[bool](t, ctx, `document.documentElement.scrollWidth > document.documentElement.clientWidth`) {
				t.Error("the page scrolls sideways")
			}
			if faint := eval[string](t, ctx, tooFaint); faint != "" {
				t.Errorf("too little contrast (WCAG 2.2, 1.4.3): %s", faint)
			}
			if !f.wanted.Load() {
				t.Error("somebody looks, and the capture was not told")
			}
			// A warning that stands is one, with its newest figure; other buffers' are not
			// here. It is told again in time, however long the browser took.
			s.Alert(scriptedAlert(began, warn.StallPredicted, 2*time.Second, sample.Of(1.2)))
			s.Alert(scriptedAlert(began, warn.StallPredicted, 4*time.Second, sample.Of(3.2)))
			until(t, ctx, `document.querySelector("#alerts li").textContent.includes("The buffer runs out in 1.2 s")`)
			if n := eval[int](t, ctx, `document.querySelectorAll("#alerts li").length`); n != 7 {
				t.Errorf("%d alerts are listed, 7 were told", n)
			}
			screenshot(t, ctx, w.name)
		})
	}
}

// plotHasCurves is true once the plot has pixels of the curve's and of the loss's
// colour.
const plotHasCurves = `(() => {
	const canvas = document.getElementById("plot"), style = getComputedStyle(document.documentElement);
	const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
	return ["--left", "--loss"].every((name) => {
		const want = style.getPropertyValue(name).trim().match(/[0-9a-f]{2}/g).map((h) => parseInt(h, 16));
		let n = 0;
		for (let i = 0; i < pixels.length; i += 4)
			if (want.every((v, k) => Math.abs(v - pixels[i + k]) < 24) && pixels[i + 3] > 200) n++;
		return n > 50;
	});
})()`

// tooFaint names the texts whose contrast is below that of WCAG 2.2, AA.
const tooFaint = `(() => {
	const rgb = (c) => { const [r, g, b, a = 1] = c.match(/[\d.]+/g).map(Number); return { r, g, b, a }; };
	const light = ({ r, g, b }) => { const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
	const behind = (node) => { for (; node; node = node.parentElement) { const c = rgb(getComputedStyle(node).backgroundColor); if (c.a === 1) return c; } };
	const faint = new Set();
	for (const node of document.querySelectorAll("body *")) {
		const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
		if (!own || !node.checkVisibility() || node.closest("script, style, noscript, .skip")) continue;
		const style = getComputedStyle(node), size = parseFloat(style.fontSize);
		const [a, b] = [light(rgb(style.color)), light(behind(node))].sort((x, y) => y - x);
		const needed = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
		if ((a + 0.05) / (b + 0.05) < needed) faint.add(node.tagName + "." + node.className + "#" + node.id + " " + ((a + 0.05) / (b + 0.05)).toFixed(2));
	}
	return [...faint].join(", ");
})()`

func screenshot(t *testing.T, ctx context.Context, name string) {
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Error(err)
		return
	}
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s.png", name)), png, 0o600); err != nil {
		t.Error(err)
	}
}
