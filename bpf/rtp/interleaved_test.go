package rtp_test

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf/internal/nettest"
	"github.com/debugsidecar/debugsidecar/bpf/rtp"
)

// connect joins a camera, which listens as RTSP does, with its viewer.
func connect(t *testing.T, at, from *nettest.Namespace) (camera, viewer *net.TCPConn) {
	t.Helper()
	var listener net.Listener
	at.Do(func() (err error) {
		listener, err = net.Listen("tcp", "10.9.0.1:8554")
		return err
	})
	defer listener.Close()
	from.Do(func() error {
		conn, err := net.Dial("tcp", "10.9.0.1:8554")
		if err != nil {
			return err
		}
		viewer = conn.(*net.TCPConn)
		return nil
	})
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	camera = conn.(*net.TCPConn)
	t.Cleanup(func() { camera.Close(); viewer.Close() })
	return camera, viewer
}

// frames are n RTP packets as RTSP interleaves them.
func frames(n int) (all []byte) {
	for seq := range n {
		p := packet(7, uint16(seq), uint32(seq)*3000)
		head := []byte{'$', 0, 0, 0}
		binary.BigEndian.PutUint16(head[2:], uint16(len(p)))
		all = append(append(all, head...), p...)
	}
	return all
}

func control(t *testing.T, conn *net.TCPConn, fn func(fd int) error) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err == nil {
		err = errors.Join(raw.Control(func(fd uintptr) { err = fn(int(fd)) }), err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func only(t *testing.T, tap *rtp.Tap) rtp.Interleaved {
	t.Helper()
	found, err := tap.Interleaved()
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 {
		t.Fatalf("%d connections: %+v", len(found), found)
	}
	return found[0]
}

func TestInterleavedConnectionHasWhatTCPSent(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			at, from := pair(t)
			atCamera := open(t, rtp.Options{Netns: at.Path(), Mode: mode})
			atViewer := open(t, rtp.Options{Netns: from.Path(), Mode: mode})
			camera, viewer := connect(t, at, from)
			media := frames(1)
			total := 0
			for _, message := range append([][]byte{[]byte("RTSP/1.0 200 OK\r\nCSeq: 4\r\n\r\n")}, media, frames(40), media, media) {
				if _, err := camera.Write(message); err != nil {
					t.Fatal(err)
				}
				total += len(message)
			}
			if _, err := io.ReadFull(viewer, make([]byte, total)); err != nil {
				t.Fatal(err)
			}
			var info *unix.TCPInfo
			control(t, camera, func(fd int) (err error) {
				info, err = unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
				return err
			})
			for name, tap := range map[string]*rtp.Tap{"camera": atCamera, "viewer": atViewer} {
				i := only(t, tap)
				if i.Bytes != info.Bytes_sent || i.Retransmits != uint64(info.Total_retrans) || i.Frames < 1 || i.ZeroWindows != 0 {
					t.Errorf("%s: %+v, TCP sent %d bytes and retransmitted %d segments", name, i, info.Bytes_sent, info.Total_retrans)
				}
				if i.Src.String() != camera.LocalAddr().String() || i.Dst.String() != viewer.LocalAddr().String() {
					t.Errorf("%s: from %v to %v", name, i.Src, i.Dst)
				}
				if flows, err := tap.Flows(); err != nil || len(flows) > 0 {
					t.Errorf("%s: %v, %v: no RTP went over UDP", name, flows, err)
				}
			}
			if i := only(t, atViewer); i.ReceiveQueue == nil || *i.ReceiveQueue != 0 {
				t.Errorf("%+v: the viewer has read all", i)
			}
			if i := only(t, atCamera); i.ReceiveQueue != nil {
				t.Errorf("%+v: the viewer's socket is elsewhere", i)
			}
		})
	}
}

func TestReaderThatStopsIsSeen(t *testing.T) {
	at, from := pair(t)
	atCamera := open(t, rtp.Options{Netns: at.Path()})
	atViewer := open(t, rtp.Options{Netns: from.Path()})
	camera, viewer := connect(t, at, from)
	media := frames(400)
	if _, err := camera.Write([]byte("RTSP/1.0 200 OK\r\nCSeq: 4\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	// The viewer reads nothing, until the camera can't write any more: also a busy
	// machine may keep it from that for a while.
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		_ = camera.SetWriteDeadline(time.Now().Add(time.Second))
		_, err := camera.Write(media)
		if errors.Is(err, os.ErrDeadlineExceeded) && only(t, atCamera).ZeroWindows > 0 {
			break
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
	var waiting int
	control(t, viewer, func(fd int) (err error) {
		waiting, err = unix.IoctlGetInt(fd, unix.TIOCINQ)
		return err
	})
	for name, tap := range map[string]*rtp.Tap{"camera": atCamera, "viewer": atViewer} {
		if i := only(t, tap); i.ZeroWindows == 0 {
			t.Errorf("%s: %+v: the viewer's window is closed", name, i)
		}
	}
	if i := only(t, atViewer); i.ReceiveQueue == nil || *i.ReceiveQueue != uint64(waiting) || waiting == 0 {
		t.Errorf("%+v: %d bytes wait in the viewer's socket", i, waiting)
	}
}

// What is encrypted looks like anything now and then.
func TestOtherConnectionsAreNotInterleaved(t *testing.T) {
	at, from := pair(t)
	tap := open(t, rtp.Options{Netns: from.Path()})
	camera, viewer := connect(t, at, from)
	const size = 16 << 20
	go func() {
		random := rand.NewChaCha8([32]byte{1})
		_, _ = io.CopyN(camera, random, size)
	}()
	if _, err := io.CopyN(io.Discard, viewer, size); err != nil {
		t.Fatal(err)
	}
	if found, err := tap.Interleaved(); err != nil || len(found) > 0 {
		t.Errorf("%+v, %v: nothing but random bytes was sent", found, err)
	}
}

func TestSilentConnectionEnds(t *testing.T) {
	at, from := pair(t)
	tap := open(t, rtp.Options{Netns: from.Path(), IdleTimeout: time.Millisecond})
	camera, viewer := connect(t, at, from)
	media := append([]byte("RTSP/1.0 200 OK\r\n\r\n"), frames(3)...)
	for _, part := range [][]byte{media[:19], media[19:]} {
		if _, err := camera.Write(part); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(viewer, make([]byte, len(part))); err != nil {
			t.Fatal(err)
		}
	}
	// An acknowledgement comes up to 200 ms later (TCP_DELACK_MAX), or when the
	// machine gets round to it.
	var i rtp.Interleaved
	for end := time.Now().Add(30 * time.Second); !i.Ended && time.Now().Before(end); {
		time.Sleep(300 * time.Millisecond)
		i = only(t, tap)
	}
	if !i.Ended || i.Bytes != uint64(len(media)) {
		t.Errorf("%+v: %d bytes were sent, and nothing since", i, len(media))
	}
	if found, err := tap.Interleaved(); err != nil || len(found) > 0 {
		t.Errorf("%+v, %v: it had ended", found, err)
	}
}
