package main

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// known has Services by name, and one that can't be looked up.
type known map[string]netip.Addr

func (k known) addresses(_ context.Context, namespace, service, host string) ([]netip.Addr, bool, error) {
	if service == "broken" {
		return nil, false, errors.New("no answer")
	}
	a, ok := k[host+"/"+service+"/"+namespace]
	return []netip.Addr{a}, ok, nil
}

func TestAnswersOfDNS(t *testing.T) {
	r := resolver{known{
		"/web/shop":      netip.MustParseAddr("10.96.1.2"),
		"web-0/web/shop": netip.MustParseAddr("10.244.0.7"),
	}}
	for _, test := range []struct {
		name, want string
		kind       dnsmessage.Type
		code       dnsmessage.RCode
	}{
		{"web.shop.svc.cluster.local.", "10.96.1.2", dnsmessage.TypeA, dnsmessage.RCodeSuccess},
		{"Web.Shop.SVC.cluster.local.", "10.96.1.2", dnsmessage.TypeA, dnsmessage.RCodeSuccess},
		{"web-0.web.shop.svc.cluster.local.", "10.244.0.7", dnsmessage.TypeA, dnsmessage.RCodeSuccess},
		{"web.shop.svc.cluster.local.", "", dnsmessage.TypeAAAA, dnsmessage.RCodeSuccess},
		{"web.other.svc.cluster.local.", "", dnsmessage.TypeA, dnsmessage.RCodeNameError},
		{"svc.cluster.local.", "", dnsmessage.TypeA, dnsmessage.RCodeNameError},
		{"registry.example.", "", dnsmessage.TypeA, dnsmessage.RCodeNameError},
		{"broken.shop.svc.cluster.local.", "", dnsmessage.TypeA, dnsmessage.RCodeServerFailure},
	} {
		query := dnsmessage.Message{
			Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
			Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(test.name), Type: test.kind, Class: dnsmessage.ClassINET}},
		}
		packet, err := query.Pack()
		if err != nil {
			t.Fatal(err)
		}
		packet, err = r.answer(t.Context(), packet)
		if err != nil {
			t.Fatal(err)
		}
		var m dnsmessage.Message
		if err := m.Unpack(packet); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, a := range m.Answers {
			got = netip.AddrFrom4(a.Body.(*dnsmessage.AResource).A).String()
		}
		if got != test.want || m.RCode != test.code || m.ID != 7 || !m.Response {
			t.Errorf("%s %s: %q and %s, want %q and %s", test.kind, test.name, got, m.RCode, test.want, test.code)
		}
	}
}

func TestWhatIsNoQueryGetsNoAnswer(t *testing.T) {
	for _, packet := range []string{"", "short", "\x00\x07\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"} {
		if answer, err := (resolver{known{}}).answer(t.Context(), []byte(packet)); err == nil {
			t.Errorf("%q was answered with %q", packet, answer)
		}
	}
}
