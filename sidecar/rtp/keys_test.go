package rtp

import (
	"math/rand/v2"
	"testing"
	"time"

	tap "github.com/debugsidecar/debugsidecar/bpf/rtp"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// carried is each kind of packet of RFC 6184 and RFC 7798.
var carried = []struct {
	name  string
	media []byte
	likely,
	codec tap.Codec
	slice, key, first bool
}{
	{"H.264 slice", []byte{0x41, 0x9a, 1}, 0, tap.H264, true, false, true},
	{"H.264 IDR", []byte{0x65, 0x88, 1}, 0, tap.H264, true, true, true},
	{"H.264 slice, not the first", []byte{0x41, 0x1a, 1}, 0, tap.H264, true, false, false},
	{"H.264 FU-A of an IDR that begins the picture", []byte{0x7c, 0x85, 0x88}, 0, tap.H264, true, true, true},
	{"H.264 FU-A of an IDR, not its first fragment", []byte{0x7c, 0x05, 0x88}, 0, tap.H264, true, true, false},
	{"H.265 slice, not the first", []byte{0x02, 1, 0x50}, 0, tap.H265, true, false, false},
	{"H.265 FU of a CRA that begins the picture", []byte{0x62, 1, 0x95, 0xaf}, 0, tap.H265, true, true, true},
	{"H.264 SPS", []byte{0x67, 0x42, 0}, 0, tap.H264, false, true, true},
	{"H.264 PPS", []byte{0x68, 0xce, 0}, 0, tap.H264, false, false, true},
	{"H.264 SEI that H.265 could be", []byte{0x06, 1, 4}, tap.H264, tap.H264, false, false, true},
	{"H.264 STAP-A of SPS and PPS", []byte{0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 1}, 0, tap.H264, false, true, true},
	{"H.264 STAP-A of AUD and slice", []byte{0x78, 0, 2, 0x09, 0xf0, 0, 2, 0x41, 1}, 0, tap.H264, true, false, true},
	{"H.264 STAP-A whose sizes are wrong", []byte{0x78, 0, 9, 0x67, 1}, 0, 0, false, false, false},
	{"H.264 STAP-A with a unit of one byte", []byte{0x78, 0, 1, 0x09, 0, 2, 0x41, 1}, 0, 0, false, false, false},
	{"H.264 FU-A of an IDR, first", []byte{0x7c, 0x85, 1}, 0, tap.H264, true, true, false},
	{"H.264 FU-A of a slice, last", []byte{0x5c, 0x41, 1}, 0, tap.H264, true, false, false},
	{"H.264 FU-A with both ends", []byte{0x7c, 0xc5, 1}, 0, 0, false, false, false},
	{"H.264 forbidden bit", []byte{0xe5, 0x88, 1}, 0, 0, false, false, false},
	{"H.265 slice", []byte{0x02, 1, 0xd0}, 0, tap.H265, true, false, true},
	{"H.265 IDR_W_RADL", []byte{0x26, 1, 0xaf}, 0, tap.H265, true, true, true},
	{"H.265 CRA", []byte{0x2a, 1, 0xaf}, 0, tap.H265, true, true, true},
	{"H.265 reserved IRAP", []byte{0x2c, 1, 0xaf}, 0, 0, false, false, false},
	{"H.265 VPS", []byte{0x40, 1, 0x0c}, 0, tap.H265, false, false, true},
	{"H.265 AP of VPS and IDR", []byte{0x60, 1, 0, 3, 0x40, 1, 9, 0, 3, 0x28, 1, 9}, 0, tap.H265, true, true, true},
	{"H.265 FU of a CRA, first", []byte{0x62, 1, 0x95}, 0, tap.H265, true, true, false},
	{"H.265 FU of a slice, last", []byte{0x62, 1, 0x41}, 0, tap.H265, true, false, false},
	{"H.265 FU with both ends", []byte{0x62, 1, 0xd5}, 0, 0, false, false, false},
	{"MPEG-TS, like an SPS", []byte{0x47, 0x40, 0}, 0, tap.H264, false, true, true},
	{"VP8", []byte{0x10, 0x50, 1}, 0, 0, false, false, false},
}

func TestEachKindOfPacketIsRecognised(t *testing.T) {
	for _, c := range carried {
		got := payload{c.media, len(c.media)}.recognise(c.likely)
		if want := (unit{c.codec, c.slice, c.key, c.first}); got != want {
			t.Errorf("%s: %+v, want %+v", c.name, got, want)
		}
	}
}

// film plays 25 pictures a second, of which one in ten is a key frame, and
// returns the flow and the sum of its samples.
func film(pictures int, media func(picture int) [][]byte) (f tap.Flow, keys sample.Keys) {
	table, meter, s := NewTable(), Meter{}, &source{ssrc: 1, payloadType: 96}
	total := uint64(0)
	for i := range pictures {
		at := time.Duration(i) * 40 * time.Millisecond
		s.timestamp = uint32(i * 3600)
		parts := media(i)
		for j, part := range parts {
			table.Add(packet(at, append(s.next(j == len(parts)-1)[:headerSize], part...)))
		}
		for _, flow := range table.Flows(nil, packet(at, nil).At) {
			f = flow
			next := meter.Next(&f).Keys
			total += next.Count
			if next.GOP == 0 {
				next.GOP, next.GOPFrames = keys.GOP, keys.GOPFrames
			}
			keys = next
		}
	}
	keys.Count = total
	return f, keys
}

func TestGOPIsTheDistanceOfKeyFrames(t *testing.T) {
	for codec, packets := range map[tap.Codec][2][][]byte{
		tap.H264: {{{0x67, 1, 1}, {0x68, 1, 1}, {0x7c, 0x85, 1}, {0x7c, 0x45, 1}}, {{0x06, 1, 1}, {0x41, 1, 1}}},
		tap.H265: {{{0x40, 1, 1}, {0x42, 1, 1}, {0x62, 1, 0x93}, {0x62, 1, 0x53}}, {{0x02, 1, 1}}},
	} {
		f, keys := film(100, func(i int) [][]byte {
			if i%10 == 0 {
				return packets[0]
			}
			return packets[1]
		})
		if f.Keys.Codec != codec || f.Keys.Count != 10 || keys.Count != 10 {
			t.Errorf("%v: %+v, %d in samples", codec, f.Keys, keys.Count)
		}
		if keys.GOPFrames != 10 || keys.GOP != 400*time.Millisecond || keys.At != packet(3600*time.Millisecond, nil).At {
			t.Errorf("%v: %+v", codec, keys)
		}
	}
}

func TestEncryptedPayloadHasNoKeyFrames(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	for range 50 {
		f, keys := film(1000, func(int) [][]byte {
			b := make([]byte, 40)
			for i := range b {
				b[i] = byte(random.Uint32())
			}
			return [][]byte{b}
		})
		if f.Keys != (tap.Keys{Codec: tap.Unrecognised}) || keys.Known || keys.Why != unrecognised {
			t.Fatalf("%+v, %+v", f.Keys, keys)
		}
	}
}

func TestPayloadThatOnlyBeginsAlikeIsNotRecognised(t *testing.T) {
	f, _ := film(200, func(int) [][]byte { return [][]byte{{0x47, 0x40, 0, 0x10}} }) // MPEG-TS
	if f.Keys.Codec != tap.Unrecognised {
		t.Errorf("%+v", f.Keys)
	}
}

func TestPayloadThatACaptureCutOffIsUnread(t *testing.T) {
	table, s := NewTable(), &source{ssrc: 1, payloadType: 96}
	for range 100 {
		p := packet(0, s.next(true)[:headerSize])
		p.Size += 1000
		table.Add(p)
	}
	if f := table.Flows(nil, packet(0, nil).At)[0]; f.Keys.Codec != tap.Unread {
		t.Errorf("%+v", f.Keys)
	}
}

func TestMediaIsWhatFollowsSourcesAndExtension(t *testing.T) {
	b := make([]byte, headerSize+4+8)
	b[0] = 2<<6 | 0x20 | 0x10 | 1 // padded, extended, one contributing source
	b[headerSize+4+3] = 1         // a word
	b = append(b, 0x65, 1, 2, 0, 0, 3)
	if got := packet(0, b).media(); got.size != 3 || got.bytes[0] != 0x65 || len(got.bytes) != 3 {
		t.Errorf("%+v", got)
	}
}
