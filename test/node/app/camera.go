package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"
)

// camera is a stream of H.264 as RTP (RFC 6184): frames of one size, but for the
// key frames.
type camera struct {
	to                string
	framesPerSecond   int
	packets, keyFrame int // packets of a frame, and of a key frame
	keyFrameEvery     int // frames
	payload           int // bytes
}

const clockRate = 90000

func cameraCommand() *cobra.Command {
	var cam camera
	c := &cobra.Command{
		Use: "camera", Short: "send a video stream as RTP", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return cam.run(c.Context()) },
	}
	f := c.Flags()
	f.StringVar(&cam.to, "to", "127.0.0.1:5002", "address that gets the stream")
	f.IntVar(&cam.framesPerSecond, "fps", 25, "frames a second")
	f.IntVar(&cam.packets, "packets", 8, "packets of a frame")
	f.IntVar(&cam.keyFrame, "key-packets", 20, "packets of a key frame")
	f.IntVar(&cam.keyFrameEvery, "key-every", 50, "frames from one key frame to the next")
	f.IntVar(&cam.payload, "payload", 1100, "bytes of a packet's payload")
	return c
}

func (cam *camera) run(ctx context.Context) error {
	conn, err := net.Dial("udp", cam.to)
	if err != nil {
		return err
	}
	defer conn.Close()
	packet := make([]byte, 12+cam.payload)
	packet[0] = 0x80
	binary.BigEndian.PutUint32(packet[8:], 0xcafe)
	interval := time.Second / time.Duration(cam.framesPerSecond)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var seq uint16
	for frame := 0; ; frame++ {
		packets, nal := cam.packets, byte(1)
		if frame%cam.keyFrameEvery == 0 {
			packets, nal = cam.keyFrame, 5
		}
		binary.BigEndian.PutUint32(packet[4:], uint32(frame*clockRate/cam.framesPerSecond))
		for i := range packets {
			packet[1] = 96
			binary.BigEndian.PutUint16(packet[2:], seq)
			seq++
			packet[12], packet[13] = 0x7c, nal // FU-A
			switch i {
			case 0:
				packet[13] |= 0x80
			case packets - 1:
				packet[13] |= 0x40
				packet[1] |= 0x80
			}
			// The receiver may not be there yet.
			_, _ = conn.Write(packet)
			if i%4 == 3 {
				time.Sleep(interval / time.Duration(packets)) // as senders pace
			}
		}
		select {
		case <-ctx.Done():
			fmt.Println("sent", frame, "frames")
			return nil
		case <-tick.C:
		}
	}
}
