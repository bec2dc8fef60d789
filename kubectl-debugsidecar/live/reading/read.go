package reading

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// Read reads a probe's metrics in Prometheus' text format.
func Read(r io.Reader) (*Reading, error) {
	p := &parser{in: bufio.NewReaderSize(io.LimitReader(r, most+1), mostLine), reading: &Reading{}, index: map[ID]int{}}
	if err := p.read(); err != nil {
		return nil, errors.New(session.Text(err.Error()))
	}
	if !p.probe {
		return nil, errors.New("what answers there is no probe: it has no debugsidecar_tier_info")
	}
	p.reading.worst(p.streams)
	return p.reading, nil
}

// parser takes one metric after the other: in the text format, a metric's lines
// stand together.
type parser struct {
	in     *bufio.Reader
	total  int
	family string
	lines  bytes.Buffer

	reading *Reading
	probe   bool
	streams []Stream
	index   map[ID]int
}

func (p *parser) read() error {
	for {
		line, err := p.in.ReadSlice('\n')
		p.total += len(line)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("the metrics have a line of more than %d bytes", mostLine)
		case err != nil && !errors.Is(err, io.EOF):
			return fmt.Errorf("reading the metrics: %w", err)
		case p.total > most:
			return fmt.Errorf("the metrics have more than %d bytes", most)
		}
		if failed := p.add(line); failed != nil {
			return failed
		}
		if err != nil {
			return p.take()
		}
	}
}

// add keeps a line if it is one of a metric that is read here. When another
// metric begins, what came before is taken.
func (p *parser) add(line []byte) error {
	name := line
	if end := bytes.IndexAny(line, "{ \t\r\n"); end >= 0 {
		name = line[:end]
	}
	if _, ours := metrics[string(name)]; !ours {
		return nil
	}
	if string(name) != p.family {
		if err := p.take(); err != nil {
			return err
		}
		p.family = string(name)
	}
	if p.lines.Len()+len(line) > mostFamily {
		return fmt.Errorf("the metric %s has more than %d bytes", p.family, mostFamily)
	}
	p.lines.Write(line)
	if !bytes.HasSuffix(line, []byte("\n")) {
		p.lines.WriteByte('\n')
	}
	return nil
}

// take parses the lines of a metric. No comment is among them, so that each value
// is untyped.
func (p *parser) take() error {
	if p.lines.Len() == 0 {
		return nil
	}
	text := expfmt.NewTextParser(model.UTF8Validation)
	families, err := text.TextToMetricFamilies(bytes.NewReader(p.lines.Bytes()))
	if err != nil {
		return fmt.Errorf("the metrics can't be read: %w", err)
	}
	p.lines.Reset()
	for name, family := range families {
		for _, m := range family.Metric {
			if v := m.GetUntyped().GetValue(); !math.IsNaN(v) && !math.IsInf(v, 0) {
				if take, ours := metrics[name]; ours {
					take(p, labels(m), v)
				}
			}
		}
	}
	return nil
}

type labelled map[string]string

func labels(m *dto.Metric) labelled {
	out := make(labelled, len(m.Label))
	for _, l := range m.Label {
		out[l.GetName()] = l.GetValue()
	}
	return out
}

// word is a label's value if it is one of those that there are.
func word(value string, all []string) string {
	if slices.Contains(all, value) {
		return value
	}
	return ""
}

func health(l labelled) (string, string) {
	h := word(l["health"], healths)
	if h == "" {
		h = "unknown"
	}
	return h, word(l["cause"], causes)
}

// stream finds or makes the stream that a series belongs to; nil if there are too
// many.
func (p *parser) stream(l labelled) *Stream {
	id := ID{session.Text(l["stream"]), session.Text(l["src"]), session.Text(l["ssrc"])}
	i, known := p.index[id]
	if !known {
		if len(p.streams) == seen {
			return nil
		}
		i = len(p.streams)
		p.index[id] = i
		p.streams = append(p.streams, Stream{ID: id, Health: "unknown"})
	}
	return &p.streams[i]
}

// metrics are those that are read, and how.
var metrics = map[string]func(*parser, labelled, float64){
	"debugsidecar_build_info": func(p *parser, l labelled, _ float64) { p.reading.Version = session.Text(l["version"]) },
	"debugsidecar_tier_info": func(p *parser, l labelled, _ float64) {
		p.reading.Tier, p.probe = word(l["tier"], []string{"user", "kernel"}), true
	},
	"debugsidecar_state": func(p *parser, l labelled, v float64) {
		if v == 1 {
			p.reading.State = session.Text(l["state"])
		}
	},
	"debugsidecar_health": func(p *parser, l labelled, v float64) {
		if v == 1 {
			p.reading.Health, p.reading.Cause = health(l)
		}
	},
	"debugsidecar_status_timestamp_seconds": func(p *parser, _ labelled, v float64) {
		if v > 0 && v < 1<<40 {
			p.reading.At = time.UnixMilli(int64(v * 1000))
		}
	},
	"debugsidecar_streams": func(p *parser, _ labelled, v float64) {
		if v >= 0 && v < 1e6 {
			p.reading.Total = int(v)
		}
	},
	"debugsidecar_drops_total": func(p *parser, l labelled, v float64) {
		reason, loss := session.Text(l["reason"]), l["class"] == "loss"
		for i := range p.reading.Drops {
			if d := &p.reading.Drops[i]; d.Reason == reason && d.Loss == loss {
				d.Count += v
				return
			}
		}
		if len(p.reading.Drops) < mostWords {
			p.reading.Drops = append(p.reading.Drops, Drops{reason, loss, v})
		}
	},
	"debugsidecar_not_available": func(p *parser, l labelled, _ float64) {
		if len(p.reading.Lacks) < mostWords {
			p.reading.Lacks = append(p.reading.Lacks, Lack{session.Text(l["figure"]), session.Text(l["needs"])})
		}
	},
	"debugsidecar_stream_health": func(p *parser, l labelled, v float64) {
		if s := p.stream(l); s != nil && v == 1 {
			s.Health, s.Cause = health(l)
		}
	},
	"debugsidecar_stream_seconds_to_stall":      forecast(func(f *Forecast) *Figure { return &f.StallSeconds }),
	"debugsidecar_stream_buffer_left_seconds":   forecast(func(f *Forecast) *Figure { return &f.LeftSeconds }),
	"debugsidecar_stream_packets_total":         figure(func(s *Stream) *Figure { return &s.Packets }),
	"debugsidecar_stream_bytes_total":           figure(func(s *Stream) *Figure { return &s.Bytes }),
	"debugsidecar_stream_frames_total":          figure(func(s *Stream) *Figure { return &s.Frames }),
	"debugsidecar_stream_lost_packets_total":    figure(func(s *Stream) *Figure { return &s.Lost }),
	"debugsidecar_stream_kernel_drops_total":    figure(func(s *Stream) *Figure { return &s.KernelDrops }),
	"debugsidecar_stream_stalls_total":          figure(func(s *Stream) *Figure { return &s.Stalls }),
	"debugsidecar_stream_loss_ratio":            figure(func(s *Stream) *Figure { return &s.LossRatio }),
	"debugsidecar_stream_jitter_seconds":        figure(func(s *Stream) *Figure { return &s.JitterSeconds }),
	"debugsidecar_stream_lag_seconds":           figure(func(s *Stream) *Figure { return &s.LagSeconds }),
	"debugsidecar_stream_frozen_seconds":        figure(func(s *Stream) *Figure { return &s.FrozenSeconds }),
	"debugsidecar_stream_key_frame_gap_seconds": figure(func(s *Stream) *Figure { return &s.KeyFrameGapSeconds }),
	"debugsidecar_stream_socket_queue_bytes":    figure(func(s *Stream) *Figure { return &s.SocketQueueBytes }),
}

func figure(of func(*Stream) *Figure) func(*parser, labelled, float64) {
	return func(p *parser, l labelled, v float64) {
		if s := p.stream(l); s != nil {
			*of(s) = &v
		}
	}
}

// mostForecasts is more than a probe has depths.
const mostForecasts = 16

func forecast(of func(*Forecast) *Figure) func(*parser, labelled, float64) {
	return func(p *parser, l labelled, v float64) {
		s := p.stream(l)
		buffer, err := strconv.ParseFloat(strings.TrimSpace(l["buffer_s"]), 64)
		if s == nil || err != nil || math.IsNaN(buffer) || buffer <= 0 || buffer > 3600 {
			return
		}
		i := slices.IndexFunc(s.Forecasts, func(f Forecast) bool { return f.BufferSeconds == buffer })
		if i < 0 {
			if len(s.Forecasts) == mostForecasts {
				return
			}
			i = len(s.Forecasts)
			s.Forecasts = append(s.Forecasts, Forecast{BufferSeconds: buffer})
		}
		*of(&s.Forecasts[i]) = &v
	}
}
