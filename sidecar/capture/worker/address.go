//go:build cgo && customenv

package main

import (
	"context"
	"errors"
	"net"
	"net/url"
	"syscall"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/source"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
)

// pin returns the URL with its host replaced by an address that answers, so
// that what was looked at is what is connected to. It connects once, and so
// also knows why a host can't be reached, of which OpenCV says nothing.
func pin(u *url.URL, timeout time.Duration) (*url.URL, *wire.Report) {
	port := u.Port()
	if port == "" {
		port = "554"
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	dialer := net.Dialer{Control: func(_, address string, _ syscall.RawConn) error { return source.Control(address) }}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		r := &wire.Report{State: wire.Failed, Cause: wire.Network, Why: err.Error()}
		switch {
		case errors.Is(err, source.ErrAddress):
			r.Cause = wire.Refused
		case errors.Is(err, syscall.ECONNREFUSED):
			r.Cause = wire.Camera // its host answers, but nothing listens there
		}
		return nil, r
	}
	address := conn.RemoteAddr().String()
	if err := conn.Close(); err != nil {
		return nil, &wire.Report{State: wire.Failed, Cause: wire.Network, Why: err.Error()}
	}
	pinned := *u
	pinned.Host = address
	return &pinned, nil
}
