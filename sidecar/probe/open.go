package probe

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/capture"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/source"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/serve"
)

// workerName is the capture program's.
const workerName = "debugsidecar-capture"

// FindWorker returns where the capture program is: beside this program, or in
// PATH. A path that leads nowhere is the capture's to explain.
func FindWorker(configured string) string {
	if configured != "" {
		return configured
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), workerName)
		if _, err := os.Stat(beside); err == nil {
			return beside
		}
	}
	if path, err := exec.LookPath(workerName); err == nil {
		return path
	}
	return workerName
}

// open makes what talks to the world outside.
func (p *Probe) open(out io.Writer) error {
	o := p.options
	options := serve.Options{Addr: o.Listen, LocalAddr: o.Inside, Log: p.log}
	if o.Source != "" {
		if _, err := source.Parse(o.LowerSource, o.Local); o.LowerSource != "" && err != nil {
			if o.Local {
				return fmt.Errorf("--lower-source: %w", err)
			}
			p.lack("the source of lower resolution", err)
			o.LowerSource = ""
		}
		player, err := newPlayer(capture.Options{
			Source: o.Source, Local: o.Local, CA: o.SourceCA, Insecure: o.SourceInsecure, Worker: FindWorker(o.Worker), Mode: capture.Mode(o.Open), Log: p.log,
			Hide: slices.DeleteFunc([]string{o.RunDir, o.TokenFile}, func(path string) bool { return path == "" }),
		})
		if err != nil {
			return err
		}
		p.own = &ownSession{player: player, source: o.Source, id: sample.Stream{Source: capture.Mask(o.Source)}, mode: o.Open}
		if o.Pictures {
			options.Pictures = player
		}
	}
	options.Token = serve.NewToken()
	// In a pod it is where the command line fetches it. Without it there is no page;
	// that must not be what keeps a pod from working.
	if err := serve.WriteToken(filepath.Join(o.RunDir, "token"), options.Token); err != nil && !o.Local {
		p.lack("the page and the API", err)
	}
	err := p.openPush()
	switch {
	case err != nil && o.Local:
		return err
	case err != nil:
		p.lack("alerts pushed", err)
	}
	if p.pusher != nil {
		options.Collectors = append(options.Collectors, p.pusher)
	}
	if p.server, err = serve.New(options); err != nil {
		return err
	}
	pod, local := p.server.Addrs()
	// The port may be another than the usual one.
	if err := os.WriteFile(filepath.Join(o.RunDir, "inside"), []byte(local.String()+"\n"), 0o644); err != nil && !o.Local {
		p.lack("the page's address", err)
	}
	tier, why := p.tierWord()
	p.log.Info("watching", "tier", tier, "why", why, "metrics", pod.String(), "inside", local.String(), "source", capture.Mask(o.Source))
	if o.Local {
		fmt.Fprintf(out, "page     %s\nmetrics  http://%s/metrics\n", p.server.Link(), reachable(pod))
	}
	return nil
}

// lack notes what can't be had, and why.
func (p *Probe) lack(what string, err error) {
	p.sources.missing[what] = err.Error()
	p.log.Error("not available", "figure", what, "why", err)
}

// reachable is an address that a browser of this machine understands.
func reachable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil || host != "" && !net.ParseIP(host).IsUnspecified() {
		return a.String()
	}
	return net.JoinHostPort("127.0.0.1", port)
}

func (p *Probe) sampleOwn(now clock.Ktime) *sessionSample {
	if p.own == nil {
		return nil
	}
	return p.own.sample(now)
}
