package probe_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"
)

// The figures below depend on the machine: they are logged, and asserted only
// where a factor of several lies between.

// A burst is three packets or more that are lost within 100 ms. The receiver
// hears of it: measured from when the first one would have been sent.
func TestDegradedReachesItsReceiverSoon(t *testing.T) {
	needsNamespace(t)
	const bursts, patient = 40, 3 * time.Second
	r := listen(t, wide)
	cameras := make([]*camera, bursts)
	for i := range cameras {
		cameras[i] = &camera{ssrc: uint32(100 + i)}
		cameras[i].start(t, r.addr())
	}
	p := start(t)
	for i := range cameras {
		p.stream(cameras[i].ssrc)
	}
	time.Sleep(2 * time.Second)
	random := rand.New(rand.NewPCG(1, 2))
	var took []time.Duration
	for _, c := range cameras { // one burst a stream: repeats are held back
		time.Sleep(time.Duration(random.IntN(150)) * time.Millisecond)
		lost := c.lose(3 + random.IntN(6))
		p.eventually("the receiver hears of it", func() bool {
			for _, a := range p.received.of("degraded", lost) {
				if a.SSRC == c.ssrc {
					took = append(took, a.Received.Sub(lost))
					return true
				}
			}
			return false
		})
	}
	slices.Sort(took)
	t.Logf("from the first lost packet to the receiver, %d bursts: p50 %v, p99 %v, most %v (aim: p99 at most 250 ms)", len(took),
		took[len(took)/2].Round(time.Millisecond), took[len(took)*99/100].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	if took[len(took)/2] > patient {
		t.Errorf("half of them took longer than %v", patient)
	}
}

// What is resident is the kernel's choice, in part: of 40 MB aimed at, the test
// holds half as much again.
func TestMemoryStaysSmall(t *testing.T) {
	needsNamespace(t)
	p := start(t)
	r := listen(t, wide)
	c := &camera{ssrc: 5}
	c.start(t, r.addr())
	p.stream(5)
	time.Sleep(5 * time.Second)
	one := p.residentBytes()
	t.Logf("resident with one stream: %.1f MB (aim: under 40)", float64(one)/1e6)
	if one > 60e6 {
		t.Errorf("%d bytes are resident", one)
	}

	const flows = 1200
	stop := sendMany(t, r, flows)
	defer stop()
	p.eventually("1200 flows are known", func() bool { return len(p.status().Streams) >= flows+1 })
	before, began := p.processorTime(), time.Now()
	time.Sleep(15 * time.Second)
	t.Logf("it takes %.1f %% of a core for them, without the kernel's part", 100*(p.processorTime()-before).Seconds()/time.Since(began).Seconds())
	for range 5 {
		p.get(p.pod, "/metrics")
	}
	many := p.residentBytes()
	t.Logf("resident with %d flows, scraped: %.1f MB (aim: under 150)", flows, float64(many)/1e6)
	if many > 225e6 {
		t.Errorf("%d bytes are resident", many)
	}
}

// sendMany sends flows of five frames a second until stop is called: memory does
// not depend on how many packets come.
func sendMany(t *testing.T, to *reader, flows int) (stop func()) {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to.addr()))
	if err != nil {
		t.Fatal(err)
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(200 * time.Millisecond)
		defer ticker.Stop()
		packet := make([]byte, 200)
		packet[0], packet[1] = 0x80, 96
		began := time.Now()
		for seq := uint16(0); ; seq++ {
			select {
			case <-quit:
				return
			case <-ticker.C:
			}
			binary.BigEndian.PutUint16(packet[2:], seq)
			binary.BigEndian.PutUint32(packet[4:], uint32(time.Since(began).Seconds()*90000))
			for i := range flows {
				binary.BigEndian.PutUint32(packet[8:], uint32(10_000+i))
				_, _ = conn.Write(packet)
			}
		}
	}()
	return func() {
		close(quit)
		<-done
		conn.Close()
	}
}
