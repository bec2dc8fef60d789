package cert

import (
	"context"
	"log/slog"
	"time"

	servertls "github.com/cert-manager/cert-manager/pkg/server/tls"
	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// Options of a self-managed certificate. Durations of 0 get the defaults.
type Options struct {
	Namespace string   // where the CA's Secret is
	Secret    string   // its name
	DNSNames  []string // what the certificate is for
	// Configuration is the name of the Mutating- and of the
	// ValidatingWebhookConfiguration that are to trust the CA.
	Configuration string
	// CALifetime (default 365 days) and LeafLifetime (7 days): both are replaced
	// when two thirds are over.
	CALifetime, LeafLifetime time.Duration
	// Propagation (default 5 s) is how long API servers may take to see a
	// changed configuration. A new CA signs only after it.
	Propagation time.Duration
}

func (o *Options) setDefaults() {
	if o.CALifetime == 0 {
		o.CALifetime = 365 * 24 * time.Hour
	}
	if o.LeafLifetime == 0 {
		o.LeafLifetime = 7 * 24 * time.Hour
	}
	if o.Propagation == 0 {
		o.Propagation = 5 * time.Second
	}
}

// NewSelfManaged returns a source with a CA in a Secret that all replicas share,
// and registers with the manager what makes the webhook configurations trust it.
// A CA is replaced without a failed request: first API servers are told to trust
// the old and the new one, then certificates of the new one are served.
//
// The manager's cache has to be limited to the Secret and the configurations,
// by their names.
func NewSelfManaged(mgr manager.Manager, o Options) (Source, error) {
	o.setDefaults()
	s := &signer{now: time.Now, lifetime: o.LeafLifetime, propagation: o.Propagation}
	k := &keeper{client: mgr.GetClient(), options: o, signer: s, now: time.Now}
	if err := k.register(mgr); err != nil {
		return nil, err
	}
	return selfManaged{&servertls.DynamicSource{DNSNames: o.DNSNames, Authority: s, RetryInterval: 100 * time.Millisecond}}, nil
}

type selfManaged struct{ *servertls.DynamicSource }

// Start silences the source, but for errors: while a new CA waits to be trusted
// it says so ten times a second.
func (s selfManaged) Start(ctx context.Context) error {
	handler := logr.ToSlogHandler(log.FromContext(ctx))
	return s.DynamicSource.Start(logr.NewContext(ctx, logr.FromSlogHandler(errorsOnly{handler})))
}

type errorsOnly struct{ slog.Handler }

func (errorsOnly) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

func (h errorsOnly) WithAttrs(attrs []slog.Attr) slog.Handler {
	return errorsOnly{h.Handler.WithAttrs(attrs)}
}

func (h errorsOnly) WithGroup(name string) slog.Handler { return errorsOnly{h.Handler.WithGroup(name)} }
