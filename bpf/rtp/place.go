package rtp

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf/netns"
)

// packetPlace is an AF_PACKET socket whose filter sees all packets and keeps
// none.
type packetPlace struct {
	socket  int
	program *ebpf.Program
}

func openPacket(program *ebpf.Program) (place, error) {
	if program == nil {
		return nil, errors.New("no program for a packet socket")
	}
	// Of type SOCK_DGRAM, a packet begins with its network header. With
	// protocol 0 the socket sees nothing until it has its filter and is bound.
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("a packet socket: %w", err), program.Close())
	}
	p := &packetPlace{socket, program}
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, program.FD()); err != nil {
		return nil, errors.Join(fmt.Errorf("a packet socket's filter: %w", err), p.close())
	}
	const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // network byte order
	if err := unix.Bind(socket, &unix.SockaddrLinklayer{Protocol: all}); err != nil {
		return nil, errors.Join(fmt.Errorf("binding a packet socket: %w", err), p.close())
	}
	return p, nil
}

func (*packetPlace) cover() []error { return nil }

func (p *packetPlace) close() error { return errors.Join(unix.Close(p.socket), p.program.Close()) }

// tcxPlace is two programs at each interface.
type tcxPlace struct {
	netns           string
	ingress, egress *ebpf.Program
	links           map[int][]link.Link // by the interface's index
}

// loopback is the index of lo in every network namespace.
const loopback = 1

func openTCX(path string, ingress, egress *ebpf.Program) (place, error) {
	p := &tcxPlace{path, ingress, egress, map[int][]link.Link{}}
	if ingress == nil || egress == nil {
		return nil, errors.Join(errors.New("no programs for TCX"), p.close())
	}
	if err := errors.Join(p.attachAll()...); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *tcxPlace) cover() (errs []error) {
	err := netns.Do(p.netns, func() error {
		errs = p.attachAll()
		return nil
	})
	if err != nil {
		errs = append(errs, err)
	}
	return errs
}

// attachAll attaches to interfaces that are new and lets go of those that are
// gone. It runs in the namespace.
func (p *tcxPlace) attachAll() (errs []error) {
	devices, err := netlink.LinkList()
	if err != nil {
		return []error{fmt.Errorf("listing interfaces: %w", err)}
	}
	there := map[int]bool{}
	for _, d := range devices {
		index := d.Attrs().Index
		there[index] = true
		if p.links[index] != nil {
			continue
		}
		if err := p.attach(index); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("interface %s: %w", d.Attrs().Name, err))
		}
	}
	for index, links := range p.links {
		if !there[index] {
			closeLinks(links)
			delete(p.links, index)
		}
	}
	return errs
}

func (p *tcxPlace) attach(index int) error {
	in, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: p.ingress, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		return fmt.Errorf("attaching at ingress: %w", err)
	}
	links := []link.Link{in}
	if index != loopback { // there a packet counts when it arrives
		out, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: p.egress, Attach: ebpf.AttachTCXEgress})
		if err != nil {
			closeLinks(links)
			return fmt.Errorf("attaching at egress: %w", err)
		}
		links = append(links, out)
	}
	p.links[index] = links
	return nil
}

func closeLinks(links []link.Link) {
	for _, l := range links {
		l.Close()
	}
}

func (p *tcxPlace) close() error {
	for _, links := range p.links {
		closeLinks(links)
	}
	p.links = nil
	var errs []error
	for _, program := range []*ebpf.Program{p.ingress, p.egress} {
		if program != nil {
			errs = append(errs, program.Close())
		}
	}
	return errors.Join(errs...)
}
