package probe

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/sidecar/answer"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// Options of Run. Flags name them; in a pod they come from the environment that
// the profile sets.
type Options struct {
	// Tier is the best tier that is tried.
	Tier string
	// Source is the URL of the stream that the probe may open, with its password;
	// empty: only the pod's own traffic is watched.
	Source string
	// SourceCA is a PEM file of who may sign its certificate, SourceInsecure verifies
	// none.
	SourceCA       string
	SourceInsecure bool
	// Open says when: onAlert, sampled or always.
	Open string
	// Worker is the path of the capture program.
	Worker string
	// Local lets the source be a file or a camera of this machine. Never in a pod.
	Local bool
	// Ports are UDP ports that carry RTP; empty: they are recognised.
	Ports []uint16
	// Buffers are the depths of viewers' playout buffers, ascending.
	Buffers []time.Duration
	// Listen is the address of metrics and health, Inside that of the page and
	// the API.
	Listen, Inside string
	// RunDir holds the token for who asks from inside.
	RunDir string
	// Pictures turns them on.
	Pictures bool
	// Alertmanagers and Webhooks are the URLs that alerts are pushed to.
	Alertmanagers, Webhooks []string
	// LowerSource is a source of less resolution, played instead from when the
	// network did not carry Source; empty: never. Reopen and Break allow these answers.
	LowerSource   string
	Reopen, Break bool
	// ReturnAfter is how long there must be no trouble with LowerSource until Source
	// is tried again; 0: never.
	ReturnAfter time.Duration
	// Receivers is a file with more of them, with what they take: tokens,
	// certificates, a proxy.
	Receivers string
	// Confidence is how likely a stall has to be for it to be predicted.
	Confidence float64
	// TokenFile is for Alertmanagers and Webhooks.
	TokenFile string
	// Log is how much is logged: debug, info, warn or error.
	Log string
	// Pod and Namespace name the pod, if it is one.
	Pod, Namespace string
	// WithTools keeps children in the container alive and reaped: the profile
	// full.
	WithTools bool

	buffers string
	ports   string
}

// The variables that a profile sets. Those of the source have the password in
// them, and the child never sees them.
const (
	envPrefix       = "DEBUGSIDECAR_"
	envSource       = envPrefix + "SOURCE"
	envSourceSecret = envPrefix + "SOURCE_SECRET"
	envLowerSource  = envPrefix + "LOWER_SOURCE"
)

// defaultBuffers are the depths of viewers from a control room to a web player.
const defaultBuffers = "0.2,0.5,1,2,4"

// defaultReturn is longer than most congestions, and so short that nobody sits
// before a small picture for no reason.
const defaultReturn = 2 * time.Minute

// BindFlags adds the options to a command's flags, with the environment's values
// as defaults.
func (o *Options) BindFlags(fs *pflag.FlagSet) {
	env := func(name, other string) string {
		if v := os.Getenv(envPrefix + name); v != "" {
			return v
		}
		return other
	}
	fs.StringVar(&o.Source, "source", "", "URL of the stream: rtsp, rtsps, http or https; by hand also a file or /dev/videoN. Without it only traffic is watched. In a pod from "+envSource+"_SECRET or "+envSource)
	fs.StringVar(&o.SourceCA, "source-ca", env("SOURCE_CA", ""), "PEM file with the only authorities that may have signed the source's certificate (rtsps, https; default: the system's)")
	fs.BoolVar(&o.SourceInsecure, "source-insecure", env("SOURCE_INSECURE", "") == "true", "don't verify the source's certificate: whoever is in between can read the password and replace the picture")
	fs.StringVar(&o.Open, "open", env("OPEN", "onAlert"), "when the stream is opened: onAlert, sampled or always")
	fs.StringVar(&o.Worker, "worker", env("WORKER", ""), "the capture program (default: debugsidecar-capture beside this program)")
	fs.StringVar(&o.ports, "rtp-ports", env("RTP_PORTS", ""), "UDP ports that carry RTP, as 5004,5006 (default: recognised)")
	fs.StringVar(&o.buffers, "buffer", env("BUFFER_SECONDS", ""), "depths of the viewers' playout buffers in seconds; they are added to "+defaultBuffers)
	fs.Float64Var(&o.Confidence, "confidence", number(env("CONFIDENCE", ""), warn.DefaultConfidence), "how likely a stall has to be for it to be predicted, 0.3 to 0.99: more is later, and more often right")
	fs.StringVar(&o.Tier, "tier", env("TIER", "kernel"), "the best tier to try: kernel or user")
	fs.StringVar(&o.Listen, "listen", ":"+env("PORT", "9400"), "address of /metrics, /healthz and /readyz")
	fs.StringVar(&o.Inside, "inside", env("INSIDE", "127.0.0.1:9401"), "address of the page and the API; must be on loopback")
	fs.StringVar(&o.RunDir, "run-dir", env("RUN_DIR", "/run/debugsidecar"), "directory for the token of the page and the API")
	fs.BoolVar(&o.Pictures, "pictures", env("PICTURES", "") == "true", "show the live picture, to who has the token")
	fs.StringSliceVar(&o.Alertmanagers, "alertmanager", list(env("ALERTMANAGERS", "")), "URL of an Alertmanager that alerts are pushed to; may be repeated")
	fs.StringSliceVar(&o.Webhooks, "alert-webhook", list(env("ALERT_WEBHOOKS", "")), "URL that alerts are posted to as JSON; may be repeated")
	fs.StringVar(&o.Receivers, "alert-receivers", env("ALERT_RECEIVERS", ""), "YAML file with a list of receivers: url, kind, tokenFile, caFile, certFile, keyFile, proxy")
	fs.StringVar(&o.TokenFile, "alert-token-file", env("ALERT_TOKEN_FILE", ""), "file with the bearer token for these")
	fs.StringVar(&o.LowerSource, "lower-source", "", "URL of the same stream in lower resolution, played instead, from when the network did not carry the source. In a pod from "+envLowerSource)
	fs.DurationVar(&o.ReturnAfter, "return-after", duration(env("RETURN_AFTER", ""), defaultReturn), "how long the lower source must play without trouble until the source is tried again; each try that fails doubles it, up to 15 times as long; 0: never")
	fs.BoolVar(&o.Reopen, "reopen", env("REOPEN", "") == "true", "open the source again when the camera sends nothing")
	fs.BoolVar(&o.Break, "break", env("BREAK", "") == "true", "close the own session for two minutes when the node is short of CPU or memory")
	fs.StringVar(&o.Log, "log-level", env("LOG_LEVEL", "info"), "debug, info, warn or error")
	fs.BoolVar(&o.WithTools, "with-tools", false, "the debugging tools are in this container, too: reap what they leave")
	o.Pod, o.Namespace = env("POD", ""), env("NAMESPACE", "")
}

// duration reads a variable; what is none is the default, as an option of a pod
// that is wrong must not keep it from starting.
func duration(text string, other time.Duration) time.Duration {
	if d, err := time.ParseDuration(text); err == nil {
		return d
	}
	return other
}

// number reads a variable as duration does.
func number(text string, other float64) float64 {
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return n
	}
	return other
}

func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// Complete checks the options and fills in what follows from others.
func (o *Options) Complete() error {
	if o.Source == "" {
		o.Source = os.Getenv(envSourceSecret)
	}
	if o.Source == "" {
		o.Source = os.Getenv(envSource)
	}
	if o.LowerSource == "" {
		o.LowerSource = os.Getenv(envLowerSource)
	}
	// In a pod a file or a camera has an owner already.
	o.Local = o.Pod == "" && o.Namespace == "" && os.Getenv("KUBERNETES_SERVICE_HOST") == ""
	if !slices.Contains([]string{"onAlert", "sampled", "always"}, o.Open) {
		return fmt.Errorf("--open %s: it is onAlert, sampled or always", o.Open)
	}
	if o.Tier != "kernel" && o.Tier != "user" {
		return fmt.Errorf("--tier %s: it is kernel or user", o.Tier)
	}
	if _, err := o.level(); err != nil {
		return fmt.Errorf("--log-level %s: it is debug, info, warn or error", o.Log)
	}
	if o.LowerSource != "" && o.LowerSource == o.Source {
		return errors.New("--lower-source is --source itself: there is nothing to turn to")
	}
	if o.ReturnAfter < 0 {
		return fmt.Errorf("--return-after %v: it is 0 or longer", o.ReturnAfter)
	}
	if o.SourceInsecure && o.SourceCA != "" {
		return errors.New("--source-ca and --source-insecure exclude each other")
	}
	if !(o.Confidence >= warn.LeastConfidence && o.Confidence <= warn.MostConfidence) {
		return fmt.Errorf("--confidence %v: it is %v to %v", o.Confidence, warn.LeastConfidence, warn.MostConfidence)
	}
	var err error
	if o.Ports, err = parsePorts(o.ports); err != nil {
		return fmt.Errorf("--rtp-ports: %w", err)
	}
	if o.Buffers, err = parseBuffers(defaultBuffers + "," + o.buffers); err != nil {
		return fmt.Errorf("--buffer: %w", err)
	}
	return nil
}

func (o *Options) level() (level slog.Level, err error) {
	return level, level.UnmarshalText([]byte(o.Log))
}

func (o *Options) policy() answer.Policy {
	return answer.Policy{LowerSource: o.LowerSource != "", ReturnAfter: o.ReturnAfter, Reopen: o.Reopen, Break: o.Break}
}

func (o *Options) maxTier() bpf.Tier {
	if o.Tier == "user" {
		return bpf.TierUser
	}
	return bpf.TierKernel
}

func parsePorts(text string) (ports []uint16, err error) {
	for _, word := range fields(text) {
		port, err := strconv.ParseUint(word, 10, 16)
		if err != nil || port == 0 {
			return nil, fmt.Errorf("%q is no port: 1 to 65535", word)
		}
		ports = append(ports, uint16(port))
	}
	slices.Sort(ports)
	return slices.Compact(ports), nil
}

// The depths that make sense: less is no buffer, more no live picture.
const (
	shallowest = 50 * time.Millisecond
	deepest    = time.Minute
	mostDepths = 16
)

func parseBuffers(text string) (depths []time.Duration, err error) {
	for _, word := range fields(text) {
		seconds, err := strconv.ParseFloat(word, 64)
		depth := time.Duration(seconds * float64(time.Second))
		if err != nil || !(seconds > 0 && seconds < 1e6) || depth < shallowest || depth > deepest {
			return nil, fmt.Errorf("%q is no depth: %v to %v seconds", word, shallowest.Seconds(), deepest.Seconds())
		}
		depths = append(depths, depth)
	}
	slices.Sort(depths)
	depths = slices.Compact(depths)
	if len(depths) > mostDepths {
		return nil, errors.New("more than 16 depths")
	}
	return depths, nil
}

// fields reads a list with commas, also one in brackets.
func fields(text string) []string {
	return strings.FieldsFunc(strings.Trim(text, "[] "), func(r rune) bool { return r == ',' || r == ' ' })
}
