package main

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
)

// relay is the network behind a camera: a queue before a link, whose rate can be
// set while it runs.
type relay struct {
	listen, to, control string
	queue               int          // packets
	rate                atomic.Int64 // bit/s; 0 is without limit
}

func relayCommand() *cobra.Command {
	var r relay
	c := &cobra.Command{
		Use: "relay", Short: "forward packets over a link; POST /rate?bits=N sets its rate", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return r.run(c.Context()) },
	}
	f := c.Flags()
	f.StringVar(&r.listen, "listen", ":5002", "address of UDP that gets the packets")
	f.StringVar(&r.to, "to", "", "address they are forwarded to")
	f.StringVar(&r.control, "control", ":8090", "address of HTTP")
	f.IntVar(&r.queue, "queue", 4000, "packets that wait at most")
	return c
}

func (r *relay) run(ctx context.Context) error {
	in, err := net.ListenPacket("udp", r.listen)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = in.Close() })()
	out, err := net.Dial("udp", r.to)
	if err != nil {
		return err
	}
	defer out.Close()
	queue := make(chan []byte, r.queue)
	go r.forward(ctx, queue, out)
	go func() {
		buffer := make([]byte, 2048)
		for {
			n, _, err := in.ReadFrom(buffer)
			if err != nil {
				return
			}
			select {
			case queue <- append([]byte(nil), buffer[:n]...):
			default: // the queue is full, as a router's
			}
		}
	}()
	h := http.NewServeMux()
	h.HandleFunc("POST /rate", func(w http.ResponseWriter, q *http.Request) {
		bits, err := strconv.ParseInt(q.FormValue("bits"), 10, 64)
		if err != nil || bits < 0 {
			http.Error(w, "bits: a number of bits a second, 0 for no limit", http.StatusBadRequest)
			return
		}
		r.rate.Store(bits)
		answer(w, map[string]any{"ts": time.Now(), "bits": bits})
	})
	return serveHTTP(ctx, r.control, h)
}

func (r *relay) forward(ctx context.Context, queue <-chan []byte, out net.Conn) {
	var free time.Time // when the link can take the next packet
	for {
		select {
		case <-ctx.Done():
			return
		case packet := <-queue:
			if bits := r.rate.Load(); bits > 0 {
				free = later(free, time.Now()).Add(time.Duration(float64(len(packet)*8) / float64(bits) * float64(time.Second)))
				time.Sleep(time.Until(free))
			}
			// The receiver may be gone; that is its affair.
			_, _ = out.Write(packet)
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
