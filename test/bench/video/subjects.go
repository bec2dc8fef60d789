package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/capture"
	"github.com/debugsidecar/debugsidecar/sidecar/serve"
)

// cost is processor time, of how many pictures.
type cost struct {
	cpu      time.Duration
	pictures int
}

func (c cost) perFrame() time.Duration {
	return c.cpu / time.Duration(max(1, c.pictures))
}

func processors() int { return runtime.NumCPU() }

// probe plays the stream as the sidecar does, and looks at its page's live
// picture.
func probe(worker string) func(context.Context, string, func([]byte)) (cost, error) {
	return func(ctx context.Context, url string, got func([]byte)) (cost, error) {
		c, err := capture.New(capture.Options{
			Source: url, Worker: worker, PictureEvery: time.Nanosecond, // each frame
			Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		})
		if err != nil {
			return cost{}, err
		}
		token := serve.NewToken()
		server, err := serve.New(serve.Options{Addr: "127.0.0.1:0", LocalAddr: "127.0.0.1:0", Token: token, Pictures: c})
		if err != nil {
			return cost{}, err
		}
		running, stop := context.WithCancel(context.Background())
		ended := make(chan error, 2)
		go func() { ended <- c.Run(running) }()
		go func() { ended <- server.Run(running) }()
		_, address := server.Addrs()
		pictures, err := look(ctx, "http://"+address.String()+"/live.mjpg", token, got)
		played := c.Snapshot()
		stop()
		err = errors.Join(err, <-ended, <-ended)
		if played.Restarts > 0 {
			err = errors.Join(err, fmt.Errorf("the capture failed: %s", played.Why))
		}
		return cost{pictures: pictures}, err // run knows the worker's processor time
	}
}

func look(ctx context.Context, url, token string, got func([]byte)) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, parameters, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil || response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the page answers %s: %w", response.Status, err)
	}
	parts := multipart.NewReader(response.Body, parameters["boundary"])
	for n := 0; ; n++ {
		part, err := parts.NextRawPart()
		if err == nil {
			var picture []byte
			if picture, err = io.ReadAll(part); err == nil {
				got(picture)
				continue
			}
		}
		if ctx.Err() != nil {
			return n, nil
		}
		return n, err
	}
}

// ffmpeg plays the stream with the least delay that it knows.
func ffmpeg(ctx context.Context, url string, got func([]byte)) (cost, error) {
	cmd := exec.Command("ffmpeg", "-nostdin", "-loglevel", "error", "-rtsp_transport", "tcp",
		"-fflags", "nobuffer", "-flags", "low_delay", "-analyzeduration", "500000", "-threads", "1", "-i", url,
		"-an", "-fps_mode", "passthrough", "-enc_time_base", "-1", "-c:v", "mjpeg", "-threads", "1", "-q:v", "4", "-flush_packets", "1", "-f", "image2pipe", "pipe:1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	runtime.LockOSThread() // Pdeathsig is about threads
	defer runtime.UnlockOSThread()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return cost{}, err
	}
	if err := cmd.Start(); err != nil {
		return cost{}, err
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })()
	pictures := 0
	jpegs := bufio.NewScanner(out)
	jpegs.Buffer(make([]byte, 1<<20), 8<<20)
	jpegs.Split(splitJPEG)
	for jpegs.Scan() {
		pictures++
		got(jpegs.Bytes())
	}
	_ = cmd.Wait() // it was killed
	if ctx.Err() == nil {
		return cost{}, errors.New("ffmpeg ended early")
	}
	return cost{cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), pictures: pictures}, nil
}

// splitJPEG cuts at the marker of the end, which nothing else in a JPEG looks
// like.
func splitJPEG(data []byte, _ bool) (advance int, token []byte, err error) {
	if i := bytes.Index(data, []byte{0xff, 0xd9}); i >= 0 {
		return i + 2, data[:i+2], nil
	}
	return 0, nil, nil
}
