package replay_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/debugsidecar/debugsidecar/sidecar/replay"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// again writes a capture anew: each packet is given to write.
func again(t *testing.T, file []byte, write func(gopacket.CaptureInfo, []byte) error) {
	t.Helper()
	r, err := pcapgo.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := write(info, data); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFormatsAndByteOrdersGiveTheSameAlerts(t *testing.T) {
	original := capture(t, newFilm(0, 40*time.Second, 30).hold(20*time.Second, 3*time.Second))
	want, _ := run(t, original, replay.Options{})
	if len(want) == 0 {
		t.Fatal("nothing is raised")
	}
	var ng, micro, big bytes.Buffer
	w, err := pcapgo.NewNgWriter(&ng, layers.LinkTypeEthernet)
	if err != nil {
		t.Fatal(err)
	}
	again(t, original, func(info gopacket.CaptureInfo, data []byte) error { return w.WritePacket(info, data) })
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	m := pcapgo.NewWriter(&micro)
	if err := m.WriteFileHeader(64, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	again(t, original, m.WritePacket)
	for _, field := range []uint32{0xa1b23c4d, 2<<16 | 4, 0, 0, 64, 1} {
		big.Write(binary.BigEndian.AppendUint32(nil, field))
	}
	again(t, original, func(info gopacket.CaptureInfo, data []byte) error {
		for _, field := range []int{int(info.Timestamp.Unix()), info.Timestamp.Nanosecond(), len(data), info.Length} {
			big.Write(binary.BigEndian.AppendUint32(nil, uint32(field)))
		}
		_, err := big.Write(data)
		return err
	})
	for name, file := range map[string][]byte{"pcapng": ng.Bytes(), "microseconds": micro.Bytes(), "big-endian": big.Bytes()} {
		got, _ := run(t, file, replay.Options{})
		if len(got) != len(want) {
			t.Errorf("%s: %d alerts, not %d", name, len(got), len(want))
			continue
		}
		for i := range got {
			if got[i].Kind != want[i].Kind || got[i].Buffer != want[i].Buffer || got[i].At.Sub(want[i].At).Abs() > time.Microsecond {
				t.Errorf("%s: %v instead of %v", name, got[i], want[i])
			}
		}
	}
}

// An alert rests on what came before it alone: a file that ends earlier gives
// the same alerts up to its end.
func TestShorterFileGivesTheFirstOfTheAlerts(t *testing.T) {
	f := newFilm(0, time.Minute, 30).hold(20*time.Second, 4*time.Second).lose(40*time.Second, time.Second)
	all, _ := run(t, capture(t, f), replay.Options{})
	for _, length := range []time.Duration{21 * time.Second, 23 * time.Second, 25 * time.Second, 41 * time.Second, 50 * time.Second} {
		shorter := *f
		shorter.shots = nil
		for _, s := range f.shots {
			if s.sent < length {
				shorter.shots = append(shorter.shots, s)
			}
		}
		some, summary := run(t, capture(t, &shorter), replay.Options{})
		for i, a := range some {
			if fmt.Sprint(a.At, a) != fmt.Sprint(all[i].At, all[i]) {
				t.Errorf("%v: %v instead of %v", length, a, all[i])
			}
			if a.At.After(summary.Last) {
				t.Errorf("%v: %v comes after the last packet", length, a)
			}
		}
	}
}

func TestFileThatEndsWithinAPacketKeepsWhatWasFound(t *testing.T) {
	file := capture(t, newFilm(0, 40*time.Second, 30).hold(10*time.Second, 3*time.Second))
	for _, cut := range []int{1, 20, 66} {
		alerts := 0
		summary, err := replay.Run(bytes.NewReader(file[:len(file)-cut]), replay.Options{Alert: func(warn.Alert) error { alerts++; return nil }})
		if err == nil || !strings.Contains(err.Error(), "ends within a packet") || alerts == 0 || len(summary.Streams) != 1 {
			t.Errorf("%d bytes less: %v, %d alerts, %d streams", cut, err, alerts, len(summary.Streams))
		}
	}
}

func TestWhatIsNoCaptureIsRefused(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", "empty"},
		{"text", "this is no capture, whatever its name", "no capture"},
		{"another link type", string(binary.LittleEndian.AppendUint32(append([]byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0}, make([]byte, 12)...), 105)), "link type 105"},
	} {
		_, err := replay.Run(strings.NewReader(c.file), replay.Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestPacketsOutOfOrderAndFarAwayAreTaken(t *testing.T) {
	f := newFilm(0, 20*time.Second, 30)
	var file bytes.Buffer
	w := pcapgo.NewWriterNanos(&file)
	if err := w.WriteFileHeader(64, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	n := 0
	again(t, capture(t, f), func(info gopacket.CaptureInfo, data []byte) error {
		if n++; n%50 == 0 {
			info.Timestamp = info.Timestamp.Add(-3 * time.Second)
		}
		return w.WritePacket(info, data)
	})
	// A clock that was set, forty years ahead.
	again(t, capture(t, newFilm(1, time.Second, 30)), func(info gopacket.CaptureInfo, data []byte) error {
		info.Timestamp = info.Timestamp.AddDate(40, 0, 0)
		return w.WritePacket(info, data)
	})
	done := make(chan replay.Summary)
	go func() {
		summary, err := replay.Run(&file, replay.Options{})
		if err != nil {
			t.Error(err)
		}
		done <- summary
	}()
	select {
	case summary := <-done:
		if summary.Backward == 0 || len(summary.Streams) != 2 {
			t.Errorf("%+v", summary)
		}
	case <-time.After(time.Minute):
		t.Fatal("it waits for every tenth of a second of forty years")
	}
}

func TestSocketsReadingsAreTaken(t *testing.T) {
	const at = 20
	file := capture(t, newFilm(0, 40*time.Second, 30))
	var kernel strings.Builder
	queue := 0
	for i := range 50 { // for five seconds nothing is read
		queue += 22_000
		fmt.Fprintf(&kernel, `{"ts":%d.%d,"stream":"10.0.0.2:5004","rx_queue":%d,"drops":0}`+"\n\n", start.Unix()+at+int64(i/10), i%10, queue)
	}
	alerts, _ := run(t, file, replay.Options{Kernel: strings.NewReader(kernel.String())})
	stalls := of(alerts, warn.Stalled, time.Second)
	if len(stalls) == 0 || stalls[0].Cause != warn.Node || stalls[0].At.Before(start.Add(at*time.Second)) {
		t.Errorf("%v", alerts)
	}
	if alone, _ := run(t, file, replay.Options{}); len(alone) > 0 {
		t.Errorf("packets alone show a slow reader: %v", alone)
	}
}

func TestBadReadingsNameTheirLine(t *testing.T) {
	file := capture(t, newFilm(0, 5*time.Second, 30))
	good := fmt.Sprintf(`{"ts":%d,"stream":"10.0.0.2:5004","rx_queue":1,"drops":0}`, start.Unix())
	for _, c := range []struct{ lines, want string }{
		{good + "\n{", "line 2"},
		{good + "\n" + `{"stream":"10.0.0.2:5004"}`, "line 2: ts"},
		{`{"ts":1,"stream":"nobody"}`, "line 1: stream"},
		{`{"ts":1,"stream":"10.0.0.2:5004","rx_queue":-1}`, "line 1"},
		{good + "\n\n" + `{"ts":5,"stream":"10.0.0.2:5004"}`, "line 3: earlier"},
		{strings.Repeat("x", 1<<17), "line 1"},
	} {
		_, err := replay.Run(bytes.NewReader(file), replay.Options{Kernel: strings.NewReader(c.lines)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60q: %v, want %q", c.lines, err, c.want)
		}
	}
}

func command(t *testing.T, stdin io.Reader, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := replay.Command()
	c.SetArgs(args)
	c.SetIn(stdin)
	c.SetOut(&out)
	c.SetErr(io.Discard)
	err := c.Execute()
	return out.String(), err
}

func TestCommandPrintsLinesOfJSONAndNothingElse(t *testing.T) {
	file := capture(t, newFilm(0, 40*time.Second, 30).hold(20*time.Second, 4*time.Second))
	name := filepath.Join(t.TempDir(), "a.pcap")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	fromFile, err := command(t, nil, name, "--json", "--buffer", "1, 0.5")
	if err != nil {
		t.Fatal(err)
	}
	fromStdin, err := command(t, bytes.NewReader(file), "-", "--json", "--buffer", "0.5,1")
	if err != nil || fromStdin != fromFile {
		t.Errorf("%v\n%s\n%s", err, fromStdin, fromFile)
	}
	lines := strings.Split(strings.TrimSpace(fromFile), "\n")
	for _, text := range lines {
		var line struct {
			TS       time.Time
			Stream   string
			Src      string
			SSRC     float64
			Kind     string
			Buffer   float64        `json:"buffer_s"`
			Evidence map[string]any `json:"evidence"`
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if line.TS.Before(start.Add(20*time.Second)) || line.Stream != "10.0.0.2:5004" || line.Src != "10.0.0.1:30000" || line.SSRC != 0x1000 || line.Evidence == nil {
			t.Errorf("%s", text)
		}
		if line.Kind != "degraded" && line.Buffer != 0.5 && line.Buffer != 1 && math.Abs(line.Buffer) > 0 {
			t.Errorf("%s: no depth that was asked for", text)
		}
	}
	readable, err := command(t, nil, name)
	if err != nil || !strings.Contains(readable, "STREAM") || !strings.Contains(readable, "stall-predicted 10.0.0.2:5004 buffer 1s") {
		t.Errorf("%v\n%s", err, readable)
	}
}

func TestCommandRefusesWhatItCannotUse(t *testing.T) {
	for _, args := range [][]string{{}, {"/nonexistent"}, {"-", "--buffer", "1,x"}, {"-", "--buffer", "0"}, {"-", "--kernel", "/nonexistent"}} {
		if _, err := command(t, strings.NewReader(""), args...); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
}

func FuzzAnyFileEnds(f *testing.F) {
	file := capture(f, newFilm(0, time.Second, 30))
	f.Add(file[:2000])
	f.Add([]byte{0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, file []byte) {
		_, _ = replay.Run(bytes.NewReader(file), replay.Options{})
	})
}

func BenchmarkReplay(b *testing.B) {
	var films []*film
	for i := range 20 {
		films = append(films, newFilm(i, 30*time.Second, 30))
	}
	file := capture(b, films...)
	packets := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		summary, err := replay.Run(bytes.NewReader(file), replay.Options{})
		if err != nil {
			b.Fatal(err)
		}
		packets += summary.Packets
	}
	b.ReportMetric(float64(packets)/b.Elapsed().Seconds(), "packets/s")
}
