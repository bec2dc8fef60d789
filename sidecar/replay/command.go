// Package replay runs the detectors over a capture file, in virtual time: what
// the probe would have said had it been there.
package replay

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	tap "github.com/debugsidecar/debugsidecar/bpf/rtp"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// Command returns "replay FILE".
func Command() *cobra.Command {
	var (
		asJSON  bool
		kernel  string
		buffers string
		sure    float64
	)
	c := &cobra.Command{
		Use:   "replay FILE",
		Short: "Run the detectors over a capture file (pcap or pcapng; - is standard input)",
		Long: `Run the detectors over a capture file, in the capture's own time: what the probe
would have said, and when. RTP is recognised without SDP.

With --kernel it also reads what the receivers' sockets said, one JSON line a
reading, sorted by ts:

  {"ts":1767225600.1,"stream":"10.0.0.7:5004","rx_queue":4096,"drops":0}

ts is in unix seconds, rx_queue in bytes, drops the total so far. No line means
that the queue is empty and drops are unchanged.

The exit status is 0 if the whole file was read, 1 otherwise; alerts up to there
are printed in any case.`,
		Args:         cobra.ExactArgs(1),
		SilenceUsage: true,
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print each alert as a JSON line, and nothing else")
	c.Flags().StringVar(&kernel, "kernel", "", "file with what the receivers' sockets said, as JSON lines")
	c.Flags().StringVar(&buffers, "buffer", "", "depths of viewers' buffers in seconds, separated by commas (default 0.2,0.5,1,2,4)")
	c.Flags().Float64Var(&sure, "confidence", warn.DefaultConfidence, "how likely a stall has to be for it to be predicted, 0.3 to 0.99")
	c.RunE = func(c *cobra.Command, args []string) error {
		depths, err := parseBuffers(buffers)
		if err != nil {
			return err
		}
		if !(sure >= warn.LeastConfidence && sure <= warn.MostConfidence) {
			return fmt.Errorf("--confidence %v: it is %v to %v", sure, warn.LeastConfidence, warn.MostConfidence)
		}
		file, err := input(args[0], c.InOrStdin())
		if err != nil {
			return err
		}
		defer file.Close()
		o := Options{Buffers: depths, Confidence: sure}
		if kernel != "" {
			readings, err := os.Open(kernel)
			if err != nil {
				return err
			}
			defer readings.Close()
			o.Kernel = readings
		}
		out := bufio.NewWriter(c.OutOrStdout())
		o.Alert = printer(out, asJSON)
		summary, err := Run(file, o)
		if err == nil && !asJSON {
			err = summary.print(out)
		} else if !asJSON {
			err = errors.Join(err, summary.print(out))
		}
		return errors.Join(err, out.Flush())
	}
	return c
}

func input(name string, stdin io.Reader) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(stdin), nil
	}
	return os.Open(name)
}

const maxBuffer = 60 // seconds

func parseBuffers(list string) ([]time.Duration, error) {
	if list == "" {
		return nil, nil
	}
	var depths []time.Duration
	for text := range strings.SplitSeq(list, ",") {
		seconds, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || !(seconds > 0 && seconds <= maxBuffer) {
			return nil, fmt.Errorf("--buffer: %q is no depth; seconds above 0 and up to %d, as 0.2,0.5,1", text, maxBuffer)
		}
		depths = append(depths, time.Duration(seconds*float64(time.Second)))
	}
	return depths, nil
}

// printer returns what prints an alert. A line of JSON is there at once, for who
// reads along.
func printer(out *bufio.Writer, asJSON bool) func(warn.Alert) error {
	if asJSON {
		lines := json.NewEncoder(out)
		lines.SetEscapeHTML(false)
		return func(a warn.Alert) error { return lines.Encode(a) }
	}
	return func(a warn.Alert) error {
		_, err := fmt.Fprintf(out, "%s  %s\n", a.At.UTC().Format("15:04:05.0"), a)
		return err
	}
}

// print writes what was in the file, a stream a line.
func (s *Summary) print(to io.Writer) error {
	fmt.Fprintf(to, "\n%d packets in %v", s.Packets, s.Last.Sub(s.First).Round(time.Second))
	for _, n := range []struct {
		count uint64
		what  string
	}{{s.Fragments, "later fragments"}, {s.Cut, "cut too short"}, {s.Backward, "earlier than one before"}} {
		if n.count > 0 {
			fmt.Fprintf(to, ", %d %s", n.count, n.what)
		}
	}
	fmt.Fprintln(to)
	if len(s.Streams) == 0 {
		_, err := fmt.Fprintln(to, "no RTP: five packets of UDP have to agree in addresses, SSRC and payload type, ports from 1024 on")
		return err
	}
	table := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "\nSTREAM\tSOURCE\tSSRC\tTYPE\tPACKETS\tFRAMES\tKEYS\tLOST\tDEGRADED\tPREDICTED\tSTALLS")
	for _, t := range s.Streams {
		kind := strconv.Itoa(int(t.PayloadType))
		if t.Audio {
			kind += " audio"
		}
		keys := "-" // not available
		if t.Keys.Codec >= tap.H264 && !t.Audio {
			kind, keys = kind+" "+t.Keys.Codec.String(), strconv.FormatUint(t.Keys.Count, 10)
		}
		fmt.Fprintf(table, "%s\t%s\t%08x\t%s\t%d\t%d\t%s\t%d\t%d\t%d\t%d\n", t, t.Src, t.SSRC, kind, t.Packets, t.Frames, keys, t.Lost,
			t.Alerts[warn.Degraded], t.Alerts[warn.StallPredicted], t.Alerts[warn.Stalled])
	}
	return table.Flush()
}
