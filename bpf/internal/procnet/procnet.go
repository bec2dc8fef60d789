// Package procnet reads what /proc/PID/net has of UDP and TCP: the counters of
// snmp and snmp6, and the tables of sockets. It takes no capability.
//
// Such a file belongs to the network namespace that it was opened in, for as
// long as it is open. So a reader is opened once and read often, from any
// thread.
package procnet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// file is one file of /proc/PID/net that stays open.
type file struct {
	f *os.File
	b []byte // what was read last; reused
}

func open(dir, name string) (*file, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	return &file{f: f}, nil
}

// read returns all of the file as it is now, until the next call.
func (f *file) read() ([]byte, error) {
	if cap(f.b) == 0 {
		f.b = make([]byte, 0, 4096)
	}
	f.b = f.b[:0]
	for {
		if len(f.b) == cap(f.b) {
			f.b = append(f.b, 0)[:len(f.b)]
		}
		n, err := f.f.ReadAt(f.b[len(f.b):cap(f.b)], int64(len(f.b)))
		f.b = f.b[:len(f.b)+n]
		if errors.Is(err, io.EOF) {
			return f.b, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (f *file) close() error {
	if f == nil {
		return nil
	}
	return f.f.Close()
}

// UDP are the counters of UDP over one family since the namespace was made.
type UDP struct {
	// NoPorts came for a port that nobody listens on.
	NoPorts uint64
	// InErrors is the sum of all that was dropped on receipt, but NoPorts.
	InErrors uint64
	// RcvbufErrors found a full receive buffer, MemErrors no memory for UDP at
	// all, InCsumErrors had a wrong checksum.
	RcvbufErrors, MemErrors, InCsumErrors uint64
}

func (u *UDP) field(name []byte) *uint64 {
	switch string(name) { // does not allocate
	case "NoPorts":
		return &u.NoPorts
	case "InErrors":
		return &u.InErrors
	case "RcvbufErrors":
		return &u.RcvbufErrors
	case "MemErrors":
		return &u.MemErrors
	case "InCsumErrors":
		return &u.InCsumErrors
	}
	return nil
}

// Counters reads snmp and snmp6 of one network namespace. It is not safe for
// concurrent use.
type Counters struct{ snmp, snmp6 *file }

// OpenCounters opens the counters in a directory, as /proc/self/net. Where IPv6
// is off there is no snmp6.
func OpenCounters(dir string) (*Counters, error) {
	snmp, err := open(dir, "snmp")
	if err != nil {
		return nil, err
	}
	snmp6, err := open(dir, "snmp6")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, snmp.close())
	}
	return &Counters{snmp, snmp6}, nil
}

// UDP returns the counters of both families; has6 is false where IPv6 is off.
func (c *Counters) UDP() (v4, v6 UDP, has6 bool, err error) {
	text, err := c.snmp.read()
	if err != nil {
		return v4, v6, false, err
	}
	if v4, err = parseSNMP(text); err != nil {
		return v4, v6, false, fmt.Errorf("%s: %w", c.snmp.f.Name(), err)
	}
	if c.snmp6 == nil {
		return v4, v6, false, nil
	}
	if text, err = c.snmp6.read(); err != nil {
		return v4, v6, false, err
	}
	if v6, err = parseSNMP6(text); err != nil {
		return v4, v6, false, fmt.Errorf("%s: %w", c.snmp6.f.Name(), err)
	}
	return v4, v6, true, nil
}

// Close closes the files.
func (c *Counters) Close() error { return errors.Join(c.snmp.close(), c.snmp6.close()) }

var errNoUDP = errors.New("no counters of UDP")

// parseSNMP reads the two lines that begin with "Udp:": names, then values.
// Columns that are not known here are skipped.
func parseSNMP(text []byte) (u UDP, err error) {
	var names []byte
	for line := range bytes.Lines(text) {
		rest, ok := bytes.CutPrefix(line, []byte("Udp:"))
		if !ok {
			continue
		}
		if names == nil {
			names = rest
			continue
		}
		var name, value []byte
		for {
			name, names = word(names)
			value, rest = word(rest)
			if name == nil && value == nil {
				return u, nil
			}
			if name == nil || value == nil {
				return u, errors.New("names and values of UDP differ in number")
			}
			if field := u.field(name); field != nil {
				if *field, err = number(value, 10); err != nil {
					return u, fmt.Errorf("%s: %w", name, err)
				}
			}
		}
	}
	return u, errNoUDP
}

// parseSNMP6 reads lines of a name and a value.
func parseSNMP6(text []byte) (u UDP, err error) {
	found := false
	for line := range bytes.Lines(text) {
		name, rest := word(line)
		name, ok := bytes.CutPrefix(name, []byte("Udp6"))
		if !ok {
			continue
		}
		found = true
		if field := u.field(name); field != nil {
			value, _ := word(rest)
			if *field, err = number(value, 10); err != nil {
				return u, fmt.Errorf("Udp6%s: %w", name, err)
			}
		}
	}
	if !found {
		return u, errNoUDP
	}
	return u, nil
}

// word splits off what stands before the next space; nil at the end.
func word(line []byte) (first, rest []byte) {
	line = bytes.TrimLeft(line, " \t\n")
	if len(line) == 0 {
		return nil, nil
	}
	if i := bytes.IndexAny(line, " \t\n"); i >= 0 {
		return line[:i], line[i:]
	}
	return line, nil
}

func number(b []byte, base int) (uint64, error) {
	return strconv.ParseUint(string(b), base, 64)
}
