package procnet

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
)

// Socket is one line of udp, udp6, tcp or tcp6.
type Socket struct {
	// LocalPort and RemotePort are its ports, 0 for none.
	LocalPort, RemotePort uint16
	// State is its state in TCP's numbers (include/net/tcp_states.h).
	State uint8
	// ReceiveQueue is, of TCP, the bytes that wait to be read; of UDP the
	// memory that they take.
	ReceiveQueue uint64
	// Inode is the socket's number, as in /proc/PID/fd.
	Inode uint64
	// Drops are the datagrams that the socket dropped; UDP's alone.
	Drops uint64
}

// Sockets reads a table of sockets for both families. It is not safe for
// concurrent use.
type Sockets struct {
	files []*file
	udp   bool
}

// OpenUDP opens the table of UDP sockets in a directory, as /proc/self/net.
func OpenUDP(dir string) (*Sockets, error) { return openSockets(dir, true, "udp", "udp6") }

// OpenTCP opens the table of TCP sockets.
func OpenTCP(dir string) (*Sockets, error) { return openSockets(dir, false, "tcp", "tcp6") }

func openSockets(dir string, udp bool, v4, v6 string) (*Sockets, error) {
	first, err := open(dir, v4)
	if err != nil {
		return nil, err
	}
	s := &Sockets{files: []*file{first}, udp: udp}
	second, err := open(dir, v6)
	switch {
	case err == nil:
		s.files = append(s.files, second)
	case !errors.Is(err, fs.ErrNotExist): // IPv6 is off
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Each calls fn for every socket.
func (s *Sockets) Each(fn func(Socket)) error {
	for _, f := range s.files {
		text, err := f.read()
		if err != nil {
			return err
		}
		if err := parseSockets(text, s.udp, fn); err != nil {
			return fmt.Errorf("%s: %w", f.f.Name(), err)
		}
	}
	return nil
}

// Close closes the files.
func (s *Sockets) Close() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.close())
	}
	return errors.Join(errs...)
}

// Columns of a line (net/ipv4/udp.c, udp4_format_sock; tcp_ipv4.c, get_tcp4_sock).
const (
	columnLocal  = 1
	columnRemote = 2
	columnState  = 3
	columnQueues = 4
	columnInode  = 9
	columnDrops  = 12
)

func parseSockets(text []byte, udp bool, fn func(Socket)) error {
	first := true
	for line := range bytes.Lines(text) {
		if first { // the names of the columns
			first = false
			continue
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		s, err := parseSocket(line, udp)
		if err != nil {
			return fmt.Errorf("%q: %w", bytes.TrimSpace(line), err)
		}
		fn(s)
	}
	return nil
}

func parseSocket(line []byte, udp bool) (s Socket, err error) {
	last := columnInode
	if udp {
		last = columnDrops
	}
	var column []byte
	for i := 0; i <= last; i++ {
		if column, line = word(line); column == nil {
			return s, fmt.Errorf("%d columns, %d are needed", i, last+1)
		}
		var n uint64
		switch i {
		case columnLocal, columnRemote:
			if n, err = after(column, 16); n > 0xffff {
				err = errors.New("no port")
			}
			if i == columnLocal {
				s.LocalPort = uint16(n)
			} else {
				s.RemotePort = uint16(n)
			}
		case columnState:
			if n, err = number(column, 16); n > 0xff {
				err = errors.New("no state")
			}
			s.State = uint8(n)
		case columnQueues:
			s.ReceiveQueue, err = after(column, 16)
		case columnInode:
			s.Inode, err = number(column, 10)
		case columnDrops:
			s.Drops, err = number(column, 10)
		}
		if err != nil {
			return s, fmt.Errorf("column %d: %w", i, err)
		}
	}
	return s, nil
}

// after reads the number behind the colon.
func after(column []byte, base int) (uint64, error) {
	_, b, ok := bytes.Cut(column, []byte(":"))
	if !ok {
		return 0, errors.New("no colon")
	}
	return number(b, base)
}
