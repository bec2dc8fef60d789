package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/diagnose"
	"github.com/debugsidecar/debugsidecar/sidecar/diagnose/inroot"
)

// errNoToken is what is said where the probe can't be asked.
var errNoToken = errors.New("no video probe's token can be read from here: it takes its user, or CAP_SYS_PTRACE, and the pod's processes shared")

// access is how a probe is asked.
type access struct{ token, address string }

// findProbe finds the token and the address that a probe wrote: in our own
// container, or in another one of this pod whose processes we see. Both come from
// the same directory, so that no container gets another one's token.
func (l *look) findProbe() (access, error) {
	if token, err := os.ReadFile(filepath.Join(l.o.runDir, "token")); err == nil {
		address, _ := os.ReadFile(filepath.Join(l.o.runDir, "inside"))
		return newAccess(string(token), string(address))
	}
	for _, p := range l.processes {
		if p.Name != "sidecar" || p.Dead() || p.PID == os.Getpid() {
			continue
		}
		report, err := diagnose.CheckRoot(strconv.Itoa(p.PID))
		if err != nil || !report.ContainerRoot {
			continue
		}
		root, err := unix.Open(filepath.Join(l.o.proc, strconv.Itoa(p.PID), "root"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		token, _, err := inroot.Read(root, "run/debugsidecar/token", 1024, 0)
		address, _, _ := inroot.Read(root, "run/debugsidecar/inside", 256, 0)
		_ = unix.Close(root)
		if err == nil {
			return newAccess(string(token), string(address))
		}
	}
	return access{}, errNoToken
}

func newAccess(token, address string) (access, error) {
	a := access{strings.TrimSpace(token), strings.TrimSpace(address)}
	if a.address == "" {
		a.address = "127.0.0.1:9401"
	}
	at, err := netip.ParseAddrPort(a.address)
	if err != nil || !at.Addr().IsLoopback() {
		return a, fmt.Errorf("the probe's address is not one on loopback: %.100q", a.address)
	}
	if strings.ContainsAny(a.token, "\r\n") || len(a.token) < 16 {
		return a, errors.New("the probe's token is none")
	}
	return a, nil
}

// probe asks the probe for a part of what it knows.
func (l *look) probe(name string) gather {
	return func(ctx context.Context) ([]byte, bool, error) {
		a, err := l.findProbe()
		if err != nil {
			return nil, false, err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.address+"/api/v1/"+name+"?limit=200", nil)
		if err != nil {
			return nil, false, err
		}
		request.Header.Set("Authorization", "Bearer "+a.token)
		client := &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{}).DialContext}, // no proxy
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		answer, err := client.Do(request)
		if err != nil {
			return nil, false, err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(io.LimitReader(answer.Body, mostPart))
		if err != nil {
			return nil, false, err
		}
		if answer.StatusCode != http.StatusOK {
			return nil, false, fmt.Errorf("the probe answered %d: %.200s", answer.StatusCode, text)
		}
		// What answers there may be anybody: its own token comes back masked.
		text = []byte(strings.ReplaceAll(string(text), a.token, masked))
		return recent(text, time.Now().Add(-l.o.since)), false, nil
	}
}
