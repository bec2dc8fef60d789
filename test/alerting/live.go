package alerting

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/debugsidecar/debugsidecar/test/debian"
)

// Live is the sidecar itself, with real RTP to a real socket that drops it.
type Live struct {
	Prometheus, Alertmanager, Sidecar *Service

	hooks *hooks
	flow  *flow
	stop  func()
}

// NewLive builds the sidecar and starts all of it, with files in dir. It takes
// root: without the tap, the sidecar does not tell whose packets were dropped.
func NewLive(ctx context.Context, p Programs, dir string, interval time.Duration) (*Live, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: the kernel tier takes root", debian.ErrUnavailable)
	}
	ctx, cancel := context.WithCancel(ctx)
	l := &Live{hooks: newHooks()}
	var all sync.WaitGroup
	l.stop = func() {
		cancel()
		all.Wait()
		for _, s := range []*Service{l.Prometheus, l.Sidecar, l.Alertmanager} {
			if s != nil {
				s.Stop()
			}
		}
	}
	err := func() error {
		hook, err := l.hooks.serve(ctx, &all)
		if err != nil {
			return err
		}
		if l.Alertmanager, err = p.Alertmanager(ctx, dir, hook+"/alertmanager"); err != nil {
			return err
		}
		if l.flow, err = newFlow(); err != nil {
			return err
		}
		all.Go(func() { l.flow.run(ctx) })
		if l.Sidecar, err = l.sidecar(ctx, dir, hook); err != nil {
			return err
		}
		if err := l.kernelTier(ctx); err != nil {
			return err
		}
		rule := Rule{badRule.Alert, fmt.Sprintf(`increase(debugsidecar_stream_kernel_drops_total{stream="127.0.0.1:%d"}[%s]) > 0`, l.flow.port, 4*interval)}
		l.Prometheus, err = p.Prometheus(ctx, dir, strings.TrimPrefix(l.Sidecar.URL, "http://"), l.Alertmanager, interval, rule)
		return err
	}()
	if err != nil {
		l.stop()
		return nil, err
	}
	return l, nil
}

// Stop ends all of it.
func (l *Live) Stop() { l.stop() }

func (l *Live) sidecar(ctx context.Context, dir, hook string) (*Service, error) {
	binary := filepath.Join(dir, "sidecar")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/debugsidecar/debugsidecar/sidecar")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the sidecar: %w: %s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	return start(ctx, binary, address, "/readyz", filepath.Join(dir, "sidecar.log"), "video-probe",
		"--rtp-ports", strconv.Itoa(l.flow.port), "--listen", address, "--inside", "127.0.0.1:0", "--run-dir", dir,
		"--alertmanager", l.Alertmanager.URL, "--alert-webhook", hook+"/direct")
}

// kernelTier checks that the sidecar has the tier that tells whose packets were
// dropped: root alone may not do in a container.
func (l *Live) kernelTier(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.Sidecar.URL+"/metrics", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && !bytes.Contains(text, []byte(`debugsidecar_tier_info{tier="kernel"} 1`)) {
		err = fmt.Errorf("%w: the sidecar has no kernel tier here", debian.ErrUnavailable)
	}
	return err
}

const (
	// settled is how long a new source runs before its packets are dropped.
	settled = 5 * time.Second
	// deafAfter is how long the receiver reads nothing once its socket drops.
	deafAfter = 200 * time.Millisecond
)

// Round lets the receiver's socket drop packets of a new source, and returns how
// long after the first one each way brought an alert.
func (l *Live) Round(ctx context.Context) (map[Way]time.Duration, error) {
	source := l.flow.source.Add(1)
	time.Sleep(settled)
	// An increase takes a first value: a scrape that comes after the drop sees none.
	if err := l.Prometheus.until(ctx, fmt.Sprintf(`debugsidecar_stream_kernel_drops_total{ssrc="%d"}`, source)); err != nil {
		return nil, err
	}
	l.flow.firstDrop.Store(0)
	l.flow.deaf.Store(true)
	defer l.flow.deaf.Store(false)
	for l.flow.firstDrop.Load() == 0 {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("the socket drops nothing: %w", ctx.Err())
		}
	}
	began := time.Unix(0, l.flow.firstDrop.Load())
	time.Sleep(deafAfter)
	l.flow.deaf.Store(false)
	return l.hooks.round(ctx, began, func() {})
}

// flow sends 30 frames a second to a socket of its own.
type flow struct {
	port      int
	in        *net.UDPConn
	out       net.Conn
	source    atomic.Uint32 // the SSRC
	deaf      atomic.Bool   // nobody reads
	firstDrop atomic.Int64  // since deaf, in Unix nanoseconds
}

func newFlow() (*flow, error) {
	in, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	if err := in.SetReadBuffer(20_000); err != nil {
		return nil, err
	}
	f := &flow{port: in.LocalAddr().(*net.UDPAddr).Port, in: in}
	f.source.Store(1000)
	f.out, err = net.Dial("udp4", in.LocalAddr().String())
	return f, err
}

// run sends and reads by turns, so that what is dropped is known at once.
func (f *flow) run(ctx context.Context) {
	defer f.in.Close()
	defer f.out.Close()
	tick := time.NewTicker(time.Second / 30)
	defer tick.Stop()
	packet, read := make([]byte, 1112), make([]byte, 2000)
	packet[0] = 0x80
	var sequence uint16
	var timestamp uint32
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		timestamp += 3000
		deaf := f.deaf.Load()
		before := f.drops(deaf)
		for i := range 8 {
			packet[1] = 96
			if i == 7 {
				packet[1] |= 0x80
			}
			sequence++
			binary.BigEndian.PutUint16(packet[2:], sequence)
			binary.BigEndian.PutUint32(packet[4:], timestamp)
			binary.BigEndian.PutUint32(packet[8:], f.source.Load())
			_, _ = f.out.Write(packet)
			if f.drops(deaf) > before {
				f.firstDrop.CompareAndSwap(0, time.Now().UnixNano())
			}
		}
		for !deaf {
			_ = f.in.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := f.in.Read(read); err != nil {
				break
			}
		}
	}
}

// drops are the socket's so far, as /proc/net/udp has them; 0 if nobody asks.
func (f *flow) drops(ask bool) (n uint64) {
	if !ask {
		return 0
	}
	table, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		return 0
	}
	local := fmt.Sprintf(":%04X", f.port)
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) == 13 && strings.HasSuffix(fields[1], local) {
			n, _ = strconv.ParseUint(fields[12], 10, 64)
		}
	}
	return n
}
