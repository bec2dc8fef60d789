// Package source says which sources may be played and which addresses may be
// reached for that. The probe asks before it starts a child, so that a person
// reads why; the child asks again for each connection, where it can't be
// circumvented: after names were resolved and redirects followed.
package source

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// Kind is how a source is played.
type Kind int

const (
	RTSP Kind = iota + 1
	// HTTP is any container format over HTTP, FLV most of all.
	HTTP
	File
	// Device is a camera of this machine, by V4L2.
	Device
)

// Source is what may be played.
type Source struct {
	Kind Kind
	// URL is set for RTSP and HTTP; it has the password in it.
	URL *url.URL
	// Path is set for File and Device.
	Path string
}

// Parse says what a source is. Local allows files and devices. An error never
// has the source's text in it, which may have a password.
func Parse(text string, local bool) (Source, error) {
	if path, isDevice := device(text); isDevice {
		if !local {
			return Source{}, errors.New("a camera device has one owner, so it is opened only by a probe that runs alone (by hand: --local)")
		}
		return Source{Kind: Device, Path: path}, nil
	}
	scheme, _, hasScheme := strings.Cut(text, "://")
	if !hasScheme || strings.ContainsAny(scheme, "/\\") {
		return file(text, local)
	}
	u, err := url.Parse(text)
	if err != nil {
		return Source{}, errors.New("the source is no URL: a reserved character in user or password must be percent-encoded")
	}
	s := Source{URL: u}
	switch u.Scheme {
	case "rtsp", "rtsps":
		s.Kind = RTSP
	case "http", "https":
		s.Kind = HTTP
	case "file":
		return file(u.Path, local)
	default:
		return Source{}, fmt.Errorf("sources of scheme %q are not played; there are rtsp, rtsps, http and https", safeScheme(u.Scheme))
	}
	if u.Hostname() == "" {
		return Source{}, errors.New("the source's URL names no host")
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := Reachable(addr); err != nil {
			return Source{}, err
		}
	}
	return s, nil
}

func file(path string, local bool) (Source, error) {
	if !local {
		return Source{}, errors.New("files are not played in a pod; there are rtsp, rtsps, http and https")
	}
	// A path like concat:a|b would be a protocol to ffmpeg; the child gives it an
	// absolute path, which can't be.
	if path == "" || strings.ContainsRune(path, 0) {
		return Source{}, errors.New("the source is empty")
	}
	return Source{Kind: File, Path: path}, nil
}

func device(text string) (string, bool) {
	number, ok := strings.CutPrefix(text, "/dev/video")
	if !ok || number == "" || len(number) > 3 || strings.Trim(number, "0123456789") != "" {
		return "", false
	}
	return text, true
}

// safeScheme keeps a password out of an error when the scheme is really
// something else.
func safeScheme(s string) string {
	if len(s) > 12 {
		return s[:12] + "..."
	}
	return s
}

// ErrAddress is why an address must not be reached.
var ErrAddress = errors.New("the address is link-local or a cloud's metadata service, which no camera has")

// metadata are services outside of link-local addresses that tell secrets of
// the machine to whoever asks: those of AWS and Google by IPv6, Alibaba's.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),
	netip.MustParseAddr("fd20:ce::254"),
	netip.MustParseAddr("100.100.100.200"),
}

// nat64 and sixToFour carry an IPv4 address (RFC 6052, RFC 3056).
var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
)

// Reachable returns ErrAddress for an address that must not be reached.
// Loopback and private addresses are fine: the application that serves the
// stream may be in the same pod.
func Reachable(a netip.Addr) error {
	a = a.Unmap().WithZone("")
	switch b := a.As16(); {
	case nat64.Contains(a):
		a = netip.AddrFrom4([4]byte(b[12:16]))
	case sixToFour.Contains(a):
		a = netip.AddrFrom4([4]byte(b[2:6]))
	}
	if a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() || a.IsInterfaceLocalMulticast() {
		return fmt.Errorf("%v: %w", a, ErrAddress)
	}
	for _, m := range metadata {
		if a == m {
			return fmt.Errorf("%v: %w", a, ErrAddress)
		}
	}
	return nil
}

// Control is for net.Dialer: it looks at each address right before it is
// connected to.
func Control(address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("an address that is none: %w", err)
	}
	return Reachable(ap.Addr())
}
