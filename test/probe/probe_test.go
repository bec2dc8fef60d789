package probe_test

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/drop"
)

const wide = 64 << 20 // a receive buffer that does not overflow

func TestAnEvenStreamIsHealthyAndRaisesNothing(t *testing.T) {
	needsNamespace(t)
	r := listen(t, wide)
	c := &camera{ssrc: 1}
	c.start(t, r.addr())
	p := start(t)
	p.stream(1)
	time.Sleep(2 * time.Second)
	sent, began := c.packets(), time.Now()
	time.Sleep(10 * time.Second)
	s := p.stream(1)
	rate := float64(c.packets()-sent) / packetsPerFrame / time.Since(began).Seconds() // 30, unless the machine is busy
	if s.Name != r.addr().String() || s.Transport != "udp" || s.Totals.Lost != 0 {
		t.Errorf("got %+v", s)
	}
	if fps := s.Window["framesPerSecond"]; fps == nil {
		t.Error("frames a second are not known")
	} else if *fps < rate-5 || *fps > rate+5 {
		t.Errorf("%.1f frames a second, %.1f were sent", *fps, rate)
	}
	if pli := s.Window["pliPerSecond"]; pli != nil {
		t.Errorf("PLI is %v without RTCP", *pli)
	}
	if got := p.received.of("degraded", time.Time{}); len(got) != 0 {
		t.Errorf("raised: %+v", got)
	}
	// A late wake-up of the sender on a busy machine is a gap for a viewer, too.
	for _, a := range p.received.of("stall-predicted", time.Time{}) {
		if c.late(a.TS) {
			t.Logf("not even, as the sender had to wait: %+v", a)
		} else {
			t.Errorf("raised: %+v", a)
		}
	}
}

// foretold waits for a stall of viewers with a buffer, and for its prediction.
func (p *process) foretold(depth float64, began time.Time) (predicted, stalled alert) {
	p.eventually("a stall is predicted and comes", func() bool {
		for _, a := range p.received.of("stall-predicted", began) {
			if a.Buffer == depth && predicted.TS.IsZero() {
				predicted = a
			}
		}
		for _, a := range p.received.of("stall", began) {
			if a.Buffer == depth && stalled.TS.IsZero() {
				stalled = a
			}
		}
		return !predicted.TS.IsZero() && !stalled.TS.IsZero()
	})
	return predicted, stalled
}

func TestAnOutageIsPredictedBeforeTheViewersStall(t *testing.T) {
	needsNamespace(t)
	r := listen(t, wide)
	c := &camera{ssrc: 2}
	c.start(t, r.addr())
	p := start(t)
	p.stream(2)
	c.evenFor(t, 5*time.Second) // nothing stalls already
	began := time.Now()
	c.silent.Store(true)
	for _, depth := range []float64{2, 4} {
		predicted, stalled := p.foretold(depth, began)
		t.Logf("buffer %v s: predicted after %v (in %.1f s), stalled after %v; received %v after it was raised", depth,
			predicted.TS.Sub(began).Round(time.Millisecond), predicted.ETA, stalled.TS.Sub(began).Round(time.Millisecond),
			predicted.Received.Sub(predicted.TS).Round(time.Millisecond))
		if !predicted.Received.Before(stalled.TS) {
			t.Errorf("the prediction for %v s came after the stall", depth)
		}
	}
	c.silent.Store(false)
	p.eventually("it is cleared", func() bool {
		return slices.ContainsFunc(p.received.of("clear", began), func(a alert) bool { return a.Buffer == 4 })
	})
}

func TestASocketThatOverflowsIsTheNodesFaultAndCountedExactly(t *testing.T) {
	needsNamespace(t)
	r := listen(t, wide)
	c := &camera{ssrc: 3}
	c.start(t, r.addr())
	p := start(t)
	p.stream(3)
	time.Sleep(2 * time.Second)
	// A frame or two, from now on: what is dropped before the probe looks is the
	// socket's alone, and a warning that is on already is not told again.
	began := time.Now()
	r.paused.Store(true)
	r.buffer(t, 8<<10)
	time.Sleep(3 * time.Second)
	r.paused.Store(false)
	p.eventually("degraded by the node", func() bool {
		return slices.ContainsFunc(p.received.of("degraded", began), func(a alert) bool { return a.Cause == "node" && a.SSRC == 3 })
	})
	c.silent.Store(true)
	p.eventually("the counts are the socket's own", func() bool {
		own, err := drop.SocketDrops(r.conn)
		if err != nil {
			t.Fatal(err)
		}
		s := p.status()
		var byReason uint64
		for _, d := range s.Drops {
			if d.Reason == "SOCKET_RCVBUFF" {
				byReason += d.Count
			}
		}
		for _, one := range s.Streams {
			if one.SSRC == 3 {
				return own > 0 && one.Totals.KernelDrops == uint64(own) && byReason == uint64(own)
			}
		}
		return false
	})
	p.eventually("the advice names the socket", func() bool {
		return slices.ContainsFunc(p.status().Advice, func(a string) bool { return strings.Contains(a, "SO_RCVBUF") })
	})
}

// What the kernel dropped at the socket never comes: viewers with a deep buffer
// meet it later, and that is known at once.
func TestPicturesThatTheKernelDroppedAreForetold(t *testing.T) {
	needsNamespace(t)
	r := listen(t, wide)
	c := &camera{ssrc: 8}
	c.start(t, r.addr())
	p := start(t)
	p.stream(8)
	c.evenFor(t, 5*time.Second)
	r.buffer(t, 8<<10)
	time.Sleep(500 * time.Millisecond)
	began := time.Now()
	r.paused.Store(true)
	time.Sleep(700 * time.Millisecond)
	r.paused.Store(false)
	r.buffer(t, wide)
	const depth = 4
	predicted, stalled := p.foretold(depth, began)
	lead := stalled.TS.Sub(predicted.TS)
	t.Logf("predicted %v after the reader stopped (%s, in %.1f s), %v before the stall", predicted.TS.Sub(began).Round(time.Millisecond), predicted.Cause, predicted.ETA, lead)
	if lead < 2500*time.Millisecond && !c.late(began) {
		t.Errorf("with %d s of buffer it was known %v before", depth, lead)
	}
	if predicted.Cause != "node" {
		t.Errorf("the cause is %q", predicted.Cause)
	}
}

func TestWithoutPrivilegeItSaysWhatItCantKnow(t *testing.T) {
	needsNamespace(t)
	r := listen(t, 1)
	c := &camera{ssrc: 4}
	c.start(t, r.addr())
	p := startAs(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}})
	s := p.status()
	if s.Tier != "user" {
		t.Errorf("tier %s", s.Tier)
	}
	for figure, capability := range map[string]string{"drops by reason": "CAP_BPF", "packet loss, jitter and frames": "CAP_NET_RAW"} {
		if !strings.Contains(s.NotAvailable[figure], capability) {
			t.Errorf("%s: %q does not name %s", figure, s.NotAvailable[figure], capability)
		}
	}
	began := time.Now()
	r.paused.Store(true)
	p.eventually("what the socket drops is seen", func() bool {
		return slices.ContainsFunc(p.received.of("degraded", began), func(a alert) bool { return a.Cause == "node" })
	})
	// A receiver may hear of it before the status tells.
	p.eventually("the status tells of the socket", func() bool {
		for _, s := range p.status().Streams {
			if s.Name != "0.0.0.0:"+portOf(r) {
				continue
			}
			if s.Window["packetLoss"] != nil || len(s.Verdict.Blind) == 0 {
				t.Errorf("it must say what it can't know: %+v", s)
			}
			return true
		}
		return false
	})
}

func portOf(r *reader) string {
	_, port, _ := strings.Cut(r.addr().String(), ":")
	return port
}

func TestItStaysReadyWithoutTheCaptureProgram(t *testing.T) {
	needsNamespace(t)
	p := start(t, "--source", "rtsp://user:secret@127.0.0.1:1/x", "--open", "always", "--worker", "/nowhere/debugsidecar-capture")
	p.eventually("the picture is absent, with its reason", func() bool {
		c := p.status().Capture
		return c != nil && c.State == "absent" && c.Why != ""
	})
	if code, body := p.get(p.pod, "/readyz"); code != http.StatusOK {
		t.Errorf("not ready: %s", body)
	}
	_, status := p.get(p.inside, "/api/v1/status")
	_, metrics := p.get(p.pod, "/metrics")
	for what, text := range map[string]string{"status": status, "metrics": metrics, "log": p.output.String()} {
		if strings.Contains(text, "secret") {
			t.Errorf("the password is in the %s", what)
		}
	}
}

func TestSecondSignalEndsItAtOnce(t *testing.T) {
	needsNamespace(t)
	p := start(t)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	p.eventually("it ended", func() bool {
		select {
		case <-p.exited:
			return true
		default:
			return false
		}
	})
}

// While the kernel still verifies programs, which takes long on a busy machine,
// nobody has to wait for that.
func TestItEndsWhileItStarts(t *testing.T) {
	needsNamespace(t)
	for range 40 {
		busy := exec.Command("sh", "-c", "while :; do :; done")
		busy.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := busy.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = busy.Process.Kill()
			_ = busy.Wait() // it was killed
		}()
	}
	cmd := exec.Command(program, "video-probe", "--listen", "127.0.0.1:0", "--inside", "127.0.0.1:0", "--run-dir", t.TempDir())
	out := &lines{}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	time.Sleep(3 * time.Second)
	if strings.Contains(out.String(), "watching") {
		t.Log("this machine is too fast: it had started")
	}
	began := time.Now()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		t.Logf("it ended after %v: %v", time.Since(began).Round(10*time.Millisecond), err)
		if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() >= 0) {
			t.Errorf("it ended with %v:\n%s", err, out)
		}
	case <-time.After(endsWithin / 2):
		_ = cmd.Process.Kill()
		t.Errorf("it did not end within %v:\n%s", endsWithin/2, out)
		<-ended
	}
}

// What the administrator set wrongly, or a volume that is missing, costs what
// depends on it and no more: a sidecar that ends may keep its pod from starting.
func TestItGoesOnWithoutAPlaceForItsTokenAndWithWrongReceivers(t *testing.T) {
	needsNamespace(t)
	cmd := exec.Command(program, "video-probe", "--listen", "127.0.0.1:0", "--inside", "127.0.0.1:0",
		"--run-dir", "/proc/nowhere", "--alertmanager", "ftp://alertmanager")
	cmd.Env = append(os.Environ(), "DEBUGSIDECAR_POD=ingest", "DEBUGSIDECAR_NAMESPACE=video")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out := &lines{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); !strings.Contains(out.String(), `"is":"Ready"`); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			_ = cmd.Process.Kill()
			t.Fatalf("it is not ready:\n%s", out)
		}
	}
	for _, what := range []string{"the page and the API", "alerts pushed"} {
		if !strings.Contains(out.String(), what) {
			t.Errorf("it does not say that there is no %s:\n%s", what, out)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}
