package sample

import (
	"encoding/json"
	"math"
	"net/netip"
	"testing"
)

func TestStreamsHaveKeysOfTheirOwn(t *testing.T) {
	src, dst := netip.MustParseAddrPort("10.0.0.9:40022"), netip.MustParseAddrPort("10.0.0.7:5004")
	keys := map[string]Stream{}
	for _, s := range []Stream{
		{Src: src, Dst: dst, SSRC: 1}, {Src: src, Dst: dst, SSRC: 2}, {Src: dst, Dst: src, SSRC: 1},
		{Source: "rtsp://camera/1"}, {Source: "/dev/video0", SSRC: 1}, {Source: "/dev/video0", SSRC: 2},
	} {
		if other, taken := keys[s.Key()]; taken {
			t.Errorf("%+v and %+v are both %s", s, other, s.Key())
		}
		keys[s.Key()] = s
	}
	if got := (Stream{Src: src, Dst: dst}).String(); got != "10.0.0.7:5004" {
		t.Errorf("got %s", got)
	}
}

func TestAFigureThatIsNotAvailableIsNullAndNotZero(t *testing.T) {
	b, err := json.Marshal([]Figure{Of(0), Unavailable("needs CAP_BPF"), {}, Of(math.NaN()), Of(math.Inf(1))})
	if err != nil || string(b) != "[0,null,null,null,null]" {
		t.Errorf("got %s, %v", b, err)
	}
	var back []Figure
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if v, known := back[0].Get(); !known || v != 0 {
		t.Error("0 is a number")
	}
	if _, known := back[1].Get(); known {
		t.Error("null is none")
	}
	if Unavailable("x").Or(7) != 7 || Of(3).Or(7) != 3 {
		t.Error("Or is for where there is none")
	}
}
