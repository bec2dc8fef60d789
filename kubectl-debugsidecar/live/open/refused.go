package open

import (
	"errors"
	"net/http"
	"strings"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/streaming/pkg/httpstream"
)

// fallback remembers why WebSocket was refused, and says whether SPDY is worth a
// try: for API servers before 1.31, for proxies that know no WebSocket, and for
// users who may create, but not get, as older API servers ask for.
type fallback struct{ first error }

func (f *fallback) wanted(err error) bool {
	f.first = err
	return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
}

// refused is what an API server says to a user who may not.
type refused struct{ message string }

func (r refused) Error() string { return r.message }

// why turns the error of both tries into a refusal, if it is one. SPDY's error has
// its text alone, WebSocket's has its code, too.
func (f *fallback) why(err error) error {
	const prefix = "unable to upgrade connection: "
	var status apierrors.APIStatus
	if err == nil || !errors.As(f.cause(), &status) || !strings.Contains(err.Error(), prefix) {
		return err
	}
	switch code := int(status.Status().Code); code {
	case http.StatusNotFound, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return err
	default:
		if code < 400 || code > 499 {
			return err
		}
	}
	_, message, _ := strings.Cut(err.Error(), prefix)
	return refused{line(message)}
}

func (f *fallback) cause() error {
	if failed, ok := errors.AsType[*httpstream.UpgradeFailureError](f.first); ok {
		return failed.Cause
	}
	return f.first
}

// mostLine is how long a message of others may be; a refusal says what to do at
// its end.
const mostLine = 1000

// line makes what others wrote fit for a terminal.
func line(text string) string {
	var b strings.Builder
	for _, r := range strings.TrimSpace(text) {
		if !unicode.IsPrint(r) {
			r = ' '
		}
		if b.Len() > mostLine {
			return b.String() + "…"
		}
		b.WriteRune(r)
	}
	return b.String()
}
