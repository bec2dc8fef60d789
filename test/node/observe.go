package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
)

// Report is what the receiver of test/node/app knows.
type Report struct {
	Packets, Dropped, Missing uint64
	Stalls                    []struct{ From, To time.Time }
}

// Alert is one that was pushed to the receiver of manifests/alerts.yaml, and when
// it came.
type Alert struct {
	At    time.Time
	Alert struct {
		TS      time.Time
		Stream  string
		Kind    string
		Cause   string
		BufferS float64 `json:"buffer_s"`
		EtaS    float64 `json:"eta_s"`
	}
}

// Alerts returns all that were pushed.
func (n *Node) Alerts(ctx context.Context) ([]Alert, error) {
	var all []Alert
	err := n.GetJSON(ctx, "http://alerts.alerts.svc:8092/", &all)
	return all, err
}

// Report asks a receiver.
func (n *Node) Report(ctx context.Context, ip string) (Report, error) {
	var r Report
	err := n.GetJSON(ctx, "http://"+ip+":8090/report", &r)
	return r, err
}

// Metric returns the sum of a probe's series with these labels, as in "reason",
// "SOCKET_RCVBUFF".
func (n *Node) Metric(ctx context.Context, ip, name string, labels ...string) (float64, error) {
	text, err := n.Get(ctx, "http://"+ip+":9400/metrics")
	if err != nil {
		return 0, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return 0, err
	}
	family, ok := families[name]
	if !ok {
		return 0, errors.New("there is no " + name)
	}
	sum := 0.0
series:
	for _, m := range family.Metric {
		has := map[string]string{}
		for _, pair := range m.Label {
			has[pair.GetName()] = pair.GetValue()
		}
		for i := 0; i < len(labels); i += 2 {
			if has[labels[i]] != labels[i+1] {
				continue series
			}
		}
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return sum, nil
}

// Pod returns the one pod with a label.
func (n *Node) Pod(ctx context.Context, namespace, selector string) (corev1.Pod, error) {
	out, _, err := n.Kubectl(ctx, "", "--namespace", namespace, "get", "pods", "-l", selector, "-o", "json")
	if err != nil {
		return corev1.Pod{}, err
	}
	var list corev1.PodList
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return corev1.Pod{}, fmt.Errorf("reading pods: %w", err)
	}
	if len(list.Items) != 1 {
		return corev1.Pod{}, fmt.Errorf("%d pods have %s in %s", len(list.Items), selector, namespace)
	}
	return list.Items[0], nil
}
