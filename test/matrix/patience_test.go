package matrix

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"time"

	"k8s.io/client-go/rest"
)

// patient has requests sent again that a webhook did not answer in the 2 s that
// it has: on a busy machine that says nothing about what it would have said. An
// entry whose failurePolicy is Fail refuses the request then.
func patient(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return again{next} })
	return config
}

type again struct{ next http.RoundTripper }

func (a again) RoundTrip(req *http.Request) (*http.Response, error) {
	for end := time.Now().Add(time.Minute); ; {
		resp, err := a.next.RoundTrip(req)
		if err != nil || resp.StatusCode != http.StatusInternalServerError {
			return resp, err
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return nil, err
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
		late := strings.Contains(string(body), "failed calling webhook") &&
			(strings.Contains(string(body), "deadline exceeded") || strings.Contains(string(body), "Timeout exceeded") || strings.Contains(string(body), "reading pod"))
		if !late || time.Now().After(end) || req.Body != nil && req.GetBody == nil {
			return resp, nil
		}
		if req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}
