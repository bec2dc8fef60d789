package probe

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func options(t *testing.T, args ...string) (Options, error) {
	t.Helper()
	var o Options
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.BindFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	err := o.Complete()
	return o, err
}

func TestTheProfilesVariablesAreUnderstood(t *testing.T) {
	for name, value := range map[string]string{
		"TIER": "user", "PORT": "9405", "SOURCE": "rtsp://camera/1", "OPEN": "sampled", "RTP_PORTS": "5004,5006",
		"BUFFER_SECONDS": "3", "CONFIDENCE": "0.97", "LOG_LEVEL": "warn", "POD": "ingest", "NAMESPACE": "video",
	} {
		t.Setenv("DEBUGSIDECAR_"+name, value)
	}
	o, err := options(t)
	if err != nil {
		t.Fatal(err)
	}
	if o.Tier != "user" || o.Listen != ":9405" || o.Source != "rtsp://camera/1" || o.Open != "sampled" || o.Log != "warn" || o.Confidence != .97 ||
		o.Pod != "ingest" || o.Namespace != "video" || !slices.Equal(o.Ports, []uint16{5004, 5006}) {
		t.Errorf("got %+v", o)
	}
	if !slices.Contains(o.Buffers, 3*time.Second) || !slices.IsSorted(o.Buffers) || len(o.Buffers) != 6 {
		t.Errorf("depths %v", o.Buffers)
	}
	if o.Local {
		t.Error("in a pod, files and cameras are not opened")
	}
}

func TestASecretsSourceWins(t *testing.T) {
	t.Setenv("DEBUGSIDECAR_SOURCE", "rtsp://camera/1")
	t.Setenv("DEBUGSIDECAR_SOURCE_SECRET", "rtsp://u:p@camera/1")
	if o, err := options(t); err != nil || o.Source != "rtsp://u:p@camera/1" {
		t.Errorf("got %q, %v", o.Source, err)
	}
	if o, err := options(t, "--source", "rtsp://other"); err != nil || o.Source != "rtsp://other" {
		t.Errorf("a flag wins over both: got %q, %v", o.Source, err)
	}
}

func TestBadOptionsAreExplained(t *testing.T) {
	for _, c := range []struct{ flag, value, want string }{
		{"--open", "often", "onAlert, sampled or always"},
		{"--confidence", "1", "it is 0.3 to 0.99"},
		{"--confidence", "NaN", "it is 0.3 to 0.99"},
		{"--tier", "root", "kernel or user"},
		{"--log-level", "loud", "debug, info"},
		{"--rtp-ports", "5004,0", `"0" is no port`},
		{"--rtp-ports", "70000", "no port"},
		{"--buffer", "0.01", "0.05 to 60"},
		{"--buffer", "NaN", "no depth"},
		{"--buffer", "Inf", "no depth"},
		{"--buffer", "1e300", "no depth"},
		{"--buffer", "1.1,1.2,1.3,1.4,1.5,1.6,1.7,1.8,1.9,2.1,2.2,2.3", "16 depths"},
	} {
		if _, err := options(t, c.flag, c.value); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v", c.flag, c.value, err)
		}
	}
}

func TestListsMayBeInBrackets(t *testing.T) {
	ports, err := parsePorts("[5006, 5004,5006]")
	if err != nil || !slices.Equal(ports, []uint16{5004, 5006}) {
		t.Errorf("got %v, %v", ports, err)
	}
	if ports, err := parsePorts("[]"); err != nil || len(ports) != 0 {
		t.Errorf("got %v, %v", ports, err)
	}
}
