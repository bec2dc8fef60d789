package node

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Get returns what a server in the cluster says, as in http://10.0.0.7:9400/metrics
// or http://NAME.NAMESPACE.svc:PORT/.
func (n *Node) Get(ctx context.Context, url string) (string, error) {
	return n.do(ctx, http.MethodGet, url)
}

// Post tells a server in the cluster something.
func (n *Node) Post(ctx context.Context, url string) error {
	_, err := n.do(ctx, http.MethodPost, url)
	return err
}

// GetJSON reads what a server says into out.
func (n *Node) GetJSON(ctx context.Context, url string, out any) error {
	text, err := n.Get(ctx, url)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), out); err != nil {
		return fmt.Errorf("reading what %s says: %w", url, err)
	}
	return nil
}

func (n *Node) do(ctx context.Context, method, url string) (string, error) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: n.DialContext, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, url, response.Status, text)
	}
	return string(text), err
}
