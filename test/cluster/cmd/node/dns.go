package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// zone is where Services have names. Nothing else has one here: what is outside
// can't be reached.
const zone = ".svc.cluster.local."

// ttl is how long an answer may be kept, as with Kubernetes' own.
const ttl = 5

// resolver is the cluster's DNS, for addresses (A) over UDP
// (https://github.com/kubernetes/dns/blob/master/docs/specification.md).
type resolver struct{ services services }

// services is what is known of Services. A name that nobody has is not an error.
type services interface {
	addresses(ctx context.Context, namespace, service, host string) (_ []netip.Addr, exists bool, _ error)
}

func startDNS(address string, s services) error {
	conn, err := net.ListenPacket("udp4", address)
	if err != nil {
		return fmt.Errorf("serving DNS: %w", err)
	}
	go resolver{s}.serve(conn)
	return nil
}

func (r resolver) serve(conn net.PacketConn) {
	for {
		query := make([]byte, 1232)
		n, from, err := conn.ReadFrom(query)
		if err != nil {
			return
		}
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
			defer cancel()
			if answer, err := r.answer(ctx, query[:n]); err == nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}()
	}
}

func (r resolver) answer(ctx context.Context, query []byte) ([]byte, error) {
	var p dnsmessage.Parser
	asked, err := p.Start(query)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: asked.ID, Response: true, Authoritative: true,
			RecursionDesired: asked.RecursionDesired, RecursionAvailable: true,
		},
		Questions: []dnsmessage.Question{q},
	}
	found, exists, err := r.lookup(ctx, strings.ToLower(q.Name.String()))
	switch {
	case err != nil:
		m.RCode = dnsmessage.RCodeServerFailure
	case !exists:
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		for _, a := range found {
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: ttl},
				Body:   &dnsmessage.AResource{A: a.As4()},
			})
		}
	}
	return m.Pack()
}

// lookup takes NAME.NAMESPACE.svc.cluster.local. and, for pods of a Service
// without an address of its own, HOST.NAME.NAMESPACE.svc.cluster.local.
func (r resolver) lookup(ctx context.Context, name string) ([]netip.Addr, bool, error) {
	inside, ok := strings.CutSuffix(name, zone)
	label := strings.Split(inside, ".")
	switch {
	case ok && len(label) == 2:
		return r.services.addresses(ctx, label[1], label[0], "")
	case ok && len(label) == 3:
		return r.services.addresses(ctx, label[2], label[1], label[0])
	}
	return nil, false, nil
}
