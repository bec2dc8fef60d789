package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// receiver reads a stream and plays it. What its socket dropped the kernel tells
// it with each packet (SO_RXQ_OVFL).
type receiver struct {
	listen, control string
	buffer          int
	depth           time.Duration

	mu     sync.Mutex
	paused time.Time // until then, nothing is read
	report report
	player player
}

// report is what the receiver knows.
type report struct {
	Started  time.Time `json:"started"`
	Packets  uint64    `json:"packets"`
	Dropped  uint64    `json:"dropped"` // by its own socket
	Missing  uint64    `json:"missing"` // sequence numbers, for whatever reason
	Stalls   []stall   `json:"stalls"`  // that a viewer saw
	BufferOf float64   `json:"bufferSeconds"`
}

func receiveCommand() *cobra.Command {
	var r receiver
	c := &cobra.Command{
		Use: "receive", Short: "receive a stream and play it; GET /report, POST /pause?for=2s", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return r.run(c.Context()) },
	}
	f := c.Flags()
	f.StringVar(&r.listen, "listen", ":5004", "address of UDP that gets the stream")
	f.StringVar(&r.control, "control", ":8090", "address of HTTP")
	f.IntVar(&r.buffer, "receive-buffer", 200<<10, "bytes of the socket's buffer")
	f.DurationVar(&r.depth, "playout", 2*time.Second, "how far playout is behind the stream")
	return c
}

func (r *receiver) run(ctx context.Context) error {
	listened, err := net.ListenPacket("udp4", r.listen)
	if err != nil {
		return err
	}
	conn, ok := listened.(*net.UDPConn)
	if !ok {
		return errors.New("the socket is not one of UDP")
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := conn.SetReadBuffer(r.buffer); err != nil {
		return err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
	}); errors.Join(err, failed) != nil {
		return errors.Join(err, failed)
	}
	r.report.Started, r.report.BufferOf = time.Now(), r.depth.Seconds()
	r.player.depth = r.depth
	fmt.Println("receiving since", r.report.Started.UTC().Format(time.RFC3339Nano))
	go r.read(conn)
	h := http.NewServeMux()
	h.HandleFunc("GET /report", func(w http.ResponseWriter, _ *http.Request) {
		r.mu.Lock()
		out := r.report
		out.Stalls = append([]stall{}, r.player.stalls...)
		r.mu.Unlock()
		answer(w, out)
	})
	h.HandleFunc("POST /pause", func(w http.ResponseWriter, q *http.Request) {
		d, err := time.ParseDuration(q.FormValue("for"))
		if err != nil {
			http.Error(w, "for: "+err.Error(), http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		r.paused = time.Now().Add(d)
		r.mu.Unlock()
		answer(w, map[string]any{"ts": time.Now(), "for": d.String()})
	})
	return serveHTTP(ctx, r.control, h)
}

func (r *receiver) read(conn *net.UDPConn) {
	var last uint16
	buffer, control := make([]byte, 2048), make([]byte, 128)
	for {
		r.mu.Lock()
		pause := time.Until(r.paused)
		r.mu.Unlock()
		if pause > 0 {
			time.Sleep(pause)
		}
		n, oob, _, _, err := conn.ReadMsgUDPAddrPort(buffer, control)
		now := time.Now()
		if err != nil {
			return
		}
		if n < 12 || buffer[0]>>6 != 2 {
			continue
		}
		seq := binary.BigEndian.Uint16(buffer[2:])
		r.mu.Lock()
		if r.report.Packets > 0 {
			if ahead := seq - last; ahead < 1<<15 {
				r.report.Missing += uint64(ahead) - 1
			}
		}
		last = seq
		r.report.Packets++
		if dropped, ok := overflow(control[:oob]); ok {
			r.report.Dropped = uint64(dropped)
		}
		r.player.packet(binary.BigEndian.Uint32(buffer[4:]), buffer[1]&0x80 != 0, now)
		r.mu.Unlock()
	}
}

// overflow returns what the socket dropped since it was opened.
func overflow(control []byte) (uint32, bool) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0, false
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_RXQ_OVFL && len(m.Data) >= 4 {
			return binary.NativeEndian.Uint32(m.Data), true
		}
	}
	return 0, false
}
