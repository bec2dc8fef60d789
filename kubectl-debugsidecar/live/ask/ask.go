// Package ask reads probes' metrics through the API server's proxy to pods: it
// takes get on pods/proxy and nothing else. What answers may be hostile: so
// answers are bounded, and no redirect is followed, for the user's credentials
// would go with it.
package ask

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/probes"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/reading"
	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// Timeout is how long a probe may take.
const Timeout = 3 * time.Second

// mostRefusal is how much of an answer that is no 200 is read.
const mostRefusal = 4 << 10

// Client asks probes.
type Client struct {
	http *http.Client
	core corev1.CoreV1Interface // makes the URLs
}

// New returns a client with a user's rights.
func New(config *rest.Config) (*Client, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the API server: %w", err)
	}
	plain := *client
	plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	core, err := corev1.NewForConfigAndClient(config, &plain)
	if err != nil {
		return nil, fmt.Errorf("connecting to the API server: %w", err)
	}
	return &Client{&plain, core}, nil
}

// Answer is what a probe said.
type Answer struct {
	*reading.Reading
	// Received is when the answer came, Stale how old it was then. The latter is
	// by the pod's clock alone, whole seconds.
	Received time.Time
	Stale    time.Duration
}

// Metrics opens a pod's metrics. The caller reads them with bounds, and closes.
func (c *Client) Metrics(ctx context.Context, namespace, pod string, port int32) (io.ReadCloser, http.Header, error) {
	url := c.core.RESTClient().Get().Namespace(namespace).Resource("pods").Name(pod + ":" + strconv.Itoa(int(port))).
		SubResource("proxy").Suffix("metrics").URL()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url.String(), nil)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Accept", "text/plain;version=0.0.4")
	response, err := c.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, errors.New("no answer in time")
		}
		return nil, nil, errors.New(session.Text(err.Error()))
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		return nil, nil, refusal(response)
	}
	return response.Body, response.Header, nil
}

// Ask asks a probe.
func (c *Client) Ask(ctx context.Context, p *probes.Probe) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	body, header, err := c.Metrics(ctx, p.Namespace, p.Pod, p.Port)
	if err != nil {
		return Answer{}, err
	}
	defer body.Close()
	r, err := reading.Read(body)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("its answer took longer than %s", Timeout)
		}
		return Answer{}, err
	}
	a := Answer{Reading: r, Received: time.Now()}
	if date, err := http.ParseTime(header.Get("Date")); err == nil && !r.At.IsZero() {
		a.Stale = min(max(date.Sub(r.At), 0), 24*time.Hour).Truncate(time.Second)
	}
	return a, nil
}

// ErrForbidden is of a user without get on pods/proxy.
var ErrForbidden = errors.New("you may not get pods/proxy there")

// refusal says why there is no answer. The API server says so with a Status, and
// so might the pod.
func refusal(response *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(response.Body, mostRefusal))
	var status metav1.Status
	if json.Unmarshal(text, &status) == nil && status.Kind == "Status" {
		if apierrors.IsForbidden(&apierrors.StatusError{ErrStatus: status}) {
			return ErrForbidden
		}
		text = []byte(status.Message)
	}
	said := strings.TrimSpace(session.Text(strings.TrimSpace(string(text))))
	switch {
	case response.StatusCode >= 300 && response.StatusCode < 400:
		return errors.New("it answers with a redirect, which is not followed")
	case said == "":
		return errors.New("it answers " + session.Text(response.Status))
	}
	return errors.New(strings.TrimPrefix(said, "error trying to reach service: "))
}
