package replay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// source reads packets of a capture file.
type source struct {
	zeroCopy interface {
		ZeroCopyReadPacketData() ([]byte, gopacket.CaptureInfo, error)
	}
	classic layers.LinkType
	ng      *pcapgo.NgReader
}

const sectionHeader = 0x0a0d0d0a // pcapng's first block, in either byte order

var errTruncated = errors.New("the file ends within a packet; all before it was used")

// open reads a file's header: classic pcap or pcapng, in either byte order.
func open(r io.Reader) (*source, error) {
	buffered := bufio.NewReaderSize(r, 1<<20)
	magic, err := buffered.Peek(4)
	if err != nil {
		return nil, errors.New("the file is empty, or shorter than a header: a capture in pcap or pcapng is wanted")
	}
	if binary.BigEndian.Uint32(magic) == sectionHeader {
		ng, err := pcapgo.NewNgReader(buffered, pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
		if err != nil {
			return nil, fmt.Errorf("no capture in pcapng: %w", err)
		}
		return &source{zeroCopy: ng, ng: ng}, nil
	}
	classic, err := pcapgo.NewReader(buffered)
	if err != nil {
		return nil, fmt.Errorf("no capture in pcap or pcapng: %w", err)
	}
	if err := known(classic.LinkType()); err != nil {
		return nil, err
	}
	return &source{zeroCopy: classic, classic: classic.LinkType()}, nil
}

func known(link layers.LinkType) error {
	switch link {
	case layers.LinkTypeEthernet, layers.LinkTypeLinuxSLL, layers.LinkTypeLinuxSLL2, layers.LinkTypeNull, layers.LinkTypeLoop,
		layers.LinkTypeRaw, layers.LinkTypeIPv4, layers.LinkTypeIPv6, rawBSD, rawOpenBSD:
		return nil
	}
	return fmt.Errorf("link type %d (%v): Ethernet, Linux SLL and SLL2, raw IP and loopback can be read", int(link), link)
}

// next returns a packet, which is valid until the next one. At the end the error
// is io.EOF, or errTruncated.
func (s *source) next() (data []byte, info gopacket.CaptureInfo, link layers.LinkType, err error) {
	data, info, err = s.zeroCopy.ZeroCopyReadPacketData()
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) && info.CaptureLength > 0 {
			err = errTruncated
		}
		return nil, info, 0, err
	}
	link = s.classic
	if s.ng != nil {
		device, err := s.ng.Interface(info.InterfaceIndex)
		if err != nil {
			return nil, info, 0, err
		}
		link = device.LinkType
	}
	return data, info, link, nil
}
