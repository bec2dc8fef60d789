package serve

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Those who connect and say nothing never keep the kubelet out.
func TestSilentConnectionsGiveWay(t *testing.T) {
	s := serving(t, Options{})
	s.Publish(scripted(time.Now(), 1, .02, 0))
	addr, _ := s.Addrs()
	for range 3 * maxConns {
		conn, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET /healthz HTT")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	answer, err := client.Get("http://" + addr.String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Error(answer.Status)
	}
}

// Whatever connections do, no more than the limit are open, the newest is never
// the one to go, and nothing is remembered of those that are closed.
func TestConnectionsAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := &connLimit{max: rapid.IntRange(1, 4).Draw(t, "max")}
		open, closing := map[net.Conn]bool{}, map[net.Conn]bool{}
		pick := func() net.Conn {
			var all []net.Conn
			for conn := range open {
				all = append(all, conn)
			}
			for conn := range closing {
				all = append(all, conn)
			}
			if len(all) == 0 {
				t.Skip()
			}
			slices.SortFunc(all, func(a, b net.Conn) int { return a.(numbered).n - b.(numbered).n })
			return rapid.SampledFrom(all).Draw(t, "conn")
		}
		n := 0
		t.Repeat(map[string]func(*rapid.T){
			"new": func(t *rapid.T) {
				n++
				conn := numbered{n: n}
				open[conn] = true
				if victim := limit.update(conn, http.StateNew); victim != nil {
					if !open[victim] || victim == net.Conn(conn) {
						t.Fatalf("%v has to go for %v", victim, conn)
					}
					delete(open, victim)
					closing[victim] = true
				}
			},
			"active": func(*rapid.T) { limit.update(pick(), http.StateActive) },
			"idle":   func(*rapid.T) { limit.update(pick(), http.StateIdle) },
			"closed": func(*rapid.T) {
				conn := pick()
				limit.update(conn, http.StateClosed)
				delete(open, conn)
				delete(closing, conn)
			},
			"": func(t *rapid.T) {
				if len(open) > limit.max || limit.silent.Len()+limit.active.Len() != len(open) || len(limit.conns) != len(open)+len(closing) {
					t.Fatalf("%d open of %d, %d known", len(open), limit.max, len(limit.conns))
				}
			},
		})
	})
}

// numbered is a connection by its number alone.
type numbered struct {
	net.Conn
	n int
}

func TestSlowHeadersEndTheConnection(t *testing.T) {
	t.Parallel() // it waits
	s := serving(t, Options{})
	_, addr := s.Addrs()
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n")
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	if b, err := io.ReadAll(conn); err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

func TestOversizedHeadersAreRefused(t *testing.T) {
	s := serving(t, Options{})
	if got := dial(t, s, "/api/v1/marks", "X", strings.Repeat("x", 2*maxHeaderBytes)); got.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Error(got.Status)
	}
}

func TestTheNextFreePortIsTaken(t *testing.T) {
	first := serving(t, Options{})
	pod, local := first.Addrs()
	second, err := New(Options{Token: token, Addr: pod.String(), LocalAddr: local.String()})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	pod2, local2 := second.Addrs()
	if pod2.String() == pod.String() || local2.String() == local.String() || !strings.Contains(second.Link(), local2.String()) {
		t.Errorf("%v %v", pod2, local2)
	}
	if third, err := New(Options{Token: token, Addr: pod.String(), Fixed: true, LocalAddr: "127.0.0.1:0"}); err == nil {
		third.Close()
		t.Error("a fixed port that is taken will do")
	}
}
