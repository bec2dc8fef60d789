package monitoring

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func selects(t *testing.T, s metav1.LabelSelector, of map[string]string) bool {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(&s)
	if err != nil {
		t.Fatal(err)
	}
	return selector.Matches(labels.Set(of))
}

func TestNothingForMonitoringIsThereUnlessAskedFor(t *testing.T) {
	for _, o := range render(t, "{}") {
		switch o := o.(type) {
		case *monitoringv1.ServiceMonitor, *monitoringv1.PodMonitor, *monitoringv1.PrometheusRule, *networkingv1.NetworkPolicy:
			t.Errorf("%T %s", o, o.GetName())
		case *corev1.Service:
			if o.Name != "debugsidecar" {
				t.Errorf("a Service %s", o.Name)
			}
		case *corev1.ConfigMap:
			if strings.Contains(o.Name, "dashboard") {
				t.Errorf("a ConfigMap %s", o.Name)
			}
		}
	}
}

func TestServiceMonitorLeadsToTheWebhooksMetrics(t *testing.T) {
	objects := render(t, everything)
	m := only[*monitoringv1.ServiceMonitor](t, objects)
	pod := only[*appsv1.Deployment](t, objects).Spec.Template
	if m.Labels["release"] != "prometheus" || m.Namespace != "video-tools" || len(m.Spec.Endpoints) != 1 || m.Spec.Endpoints[0].Interval != "15s" {
		t.Errorf("%+v", m)
	}
	var found *corev1.Service
	for _, s := range all[*corev1.Service](objects) {
		if selects(t, m.Spec.Selector, s.Labels) {
			if found != nil {
				t.Fatalf("it selects %s and %s, so each pod would be scraped twice", found.Name, s.Name)
			}
			found = s
		}
	}
	if found == nil {
		t.Fatal("it selects no Service")
	}
	port := found.Spec.Ports[0]
	if port.Name != m.Spec.Endpoints[0].Port || !labels.SelectorFromSet(found.Spec.Selector).Matches(labels.Set(pod.Labels)) || !found.Spec.PublishNotReadyAddresses {
		t.Errorf("the Service is %+v", found.Spec)
	}
	if !slices.ContainsFunc(pod.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool { return p.Name == port.TargetPort.StrVal }) {
		t.Errorf("no container has the port %s", port.TargetPort.StrVal)
	}
}

func TestPodMonitorNamesThePortOfEachProbe(t *testing.T) {
	m := only[*monitoringv1.PodMonitor](t, render(t, everything))
	if !m.Spec.NamespaceSelector.Any || !selects(t, m.Spec.Selector, nil) || m.Labels["release"] != "prometheus" || m.Spec.PodMetricsEndpoints[0].Interval != "5s" {
		t.Errorf("%+v", m)
	}
	port := "name: " + *m.Spec.PodMetricsEndpoints[0].Port + "\n"
	for _, profile := range []string{"video-probe", "full"} {
		text, err := os.ReadFile(filepath.Join("../../webhook/inject/profile/embedded", profile+".yaml"))
		if err != nil || !strings.Contains(string(text), port) {
			t.Errorf("profile %s has no port with %s (%v)", profile, port, err)
		}
	}
}

func TestNetworkPolicyOpensWhatTheWebhookNeedsAndNoMore(t *testing.T) {
	values := `networkPolicy: {enabled: true, apiServerCIDRs: [10.0.0.0/24, 10.96.0.1/32], apiServerPorts: [443], metricsFrom: [{namespaceSelector: {matchLabels: {a: b}}}]}`
	for name, v := range map[string]string{"open": everything, "narrow": values} {
		objects := render(t, v)
		p := only[*networkingv1.NetworkPolicy](t, objects)
		pod := only[*appsv1.Deployment](t, objects).Spec.Template
		if !selects(t, p.Spec.PodSelector, pod.Labels) || len(p.Spec.PolicyTypes) != 2 {
			t.Errorf("%s: %+v", name, p.Spec)
		}
		from := map[string]int{}
		for _, rule := range p.Spec.Ingress {
			for _, port := range rule.Ports {
				from[port.Port.StrVal] = len(rule.From)
			}
		}
		want := map[string]int{"https": 0, "health": 0, "metrics": 0}
		if name == "narrow" {
			want = map[string]int{"https": 2, "health": 0, "metrics": 1}
			if e := p.Spec.Egress[0]; len(e.Ports) != 1 || e.Ports[0].Port.IntValue() != 443 || len(e.To) != 2 {
				t.Errorf("it may ask %+v", e)
			}
		}
		for _, port := range pod.Spec.Containers[0].Ports {
			n, open := from[port.Name]
			if !open || n != want[port.Name] {
				t.Errorf("%s: port %s is open to %d peers (%v), want %d", name, port.Name, n, open, want[port.Name])
			}
		}
		if len(from) != 3 || len(p.Spec.Egress) != 1 {
			t.Errorf("%s: %+v", name, p.Spec)
		}
	}
}

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	const external = `external: {url: "https://localhost:9443"}` + "\n"
	for values, want := range map[string]string{
		external + `monitoring: {serviceMonitor: {enabled: true}}`: "monitoring.serviceMonitor: the webhook runs outside the cluster",
		external + `networkPolicy: {enabled: true}`:                "networkPolicy: the webhook runs outside the cluster",
		`monitoring: {podMonitor: {interval: fast}}`:               "at '/monitoring/podMonitor/interval'",
		`monitoring: {serviceMonitor: {labels: {a: 1}}}`:           "at '/monitoring/serviceMonitor/labels/a': got number, want string",
		`monitoring: {probes: {}}`:                                 "at '/monitoring': additional properties 'probes' not allowed",
		`monitoring: {rules: {runbookURL: "https://a/b#c"}}`:       "at '/monitoring/rules/runbookURL'",
		`monitoring: {rules: null}`:                                "at '/monitoring': missing property 'rules'",
		`monitoring: {dashboards: {enabled: "yes"}}`:               "at '/monitoring/dashboards/enabled'",
		`networkPolicy: {apiServerCIDRs: [10.0.0.1]}`:              "at '/networkPolicy/apiServerCIDRs/0'",
		`networkPolicy: {apiServerPorts: []}`:                      "at '/networkPolicy/apiServerPorts': minItems",
		`networkPolicy: {metricsFrom: [{}]}`:                       "at '/networkPolicy/metricsFrom/0'",
		`networkPolicy: {metricsFrom: [{namespaceSelectr: {}}]}`:   "at '/networkPolicy/metricsFrom/0'",
	} {
		if out, err := template(t, values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s\n%s", values, err, want, out)
		}
	}
}
