package reach

import (
	"context"
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// failing is how an API server begins when a webhook with failurePolicy Fail
// could not be called (k8s.io/apiserver/pkg/admission/plugin/webhook/errors).
const failing = "failed calling webhook "

// causes are the words of an API server's HTTP client, the more telling first,
// and what they mean for the way to a webhook.
var causes = []struct{ words, why, fix string }{
	{"certificate signed by unknown authority", "the API server does not trust the webhook's certificate",
		"the caBundle of the webhook configurations is not that of its CA: see the webhook's log, or cert-manager's CA injector"},
	{"certificate has expired", "the webhook's certificate has expired",
		"see the webhook's log for why it was not renewed, and the clocks of the nodes"},
	{"certificate is not valid for", "the webhook's certificate is for another name",
		"give the name by which the API server calls it with --dns-names"},
	{"certificate is valid for", "the webhook's certificate is for another name",
		"give the name by which the API server calls it with --dns-names"},
	{"x509:", "the API server does not accept the webhook's certificate",
		"compare the caBundle of the webhook configurations with the webhook's certificate"},
	{"no endpoints available for service", "no pod of the webhook is ready",
		"look at the pods of the webhook's Deployment, and at their events"},
	{"service \"", "the webhook's Service is not there",
		"run helm upgrade: the chart makes it"},
	{"connection refused", "nothing listens where the API server looks for the webhook",
		"look at the webhook's pods and at the Service's targetPort"},
	{"no route to host", "the API server has no route to the webhook",
		"let the control plane reach the nodes or the pod network at TCP port 9443 (firewall rule, security group, NetworkPolicy)"},
	{"network is unreachable", "the API server has no route to the webhook",
		"let the control plane reach the nodes or the pod network at TCP port 9443 (firewall rule, security group, NetworkPolicy)"},
	{"no such host", "the API server can't look the webhook's name up",
		"check external.url, and the name servers of the control plane"},
	{"context deadline exceeded", "the webhook did not answer the API server in time: most often a firewall drops its packets",
		"let the control plane reach the nodes or the pod network at TCP port 9443 (firewall rule, security group, NetworkPolicy)"},
	{"i/o timeout", "the webhook did not answer the API server in time: most often a firewall drops its packets",
		"let the control plane reach the nodes or the pod network at TCP port 9443 (firewall rule, security group, NetworkPolicy)"},
	{"Client.Timeout exceeded", "the webhook did not answer the API server in time: most often a firewall drops its packets",
		"let the control plane reach the nodes or the pod network at TCP port 9443 (firewall rule, security group, NetworkPolicy)"},
	{"could not find the requested resource", "what the API server reaches is another server, or an older webhook",
		"check that webhook and chart have the same version"},
	{"EOF", "the connection to the webhook ended without an answer",
		"look at the webhook's log; what stands between (a proxy, a load balancer) may have ended it"},
	{"connection reset", "the connection to the webhook ended without an answer",
		"look at the webhook's log; what stands between (a proxy, a load balancer) may have ended it"},
}

// explain puts an error of the dry run into a result.
func explain(err error, namespace string) Result {
	text := err.Error()
	if i := strings.Index(text, failing); i >= 0 && strings.Contains(text, Entry) {
		said := text[i:]
		for _, c := range causes {
			if strings.Contains(said, c.words) {
				return Result{Outcome: Unreachable, Reason: c.why + " (it says: " + said + ")", Fix: c.fix}
			}
		}
		return Result{Outcome: Unreachable, Reason: "the API server can't call the webhook: " + said,
			Fix: "look at the webhook's log, and at what is between the control plane and the nodes"}
	}
	r := Result{Outcome: Unknown, Reason: "it is not known whether the API server reaches the webhook: " + text}
	switch {
	case apierrors.IsForbidden(err):
		r.Fix = "the probe needs the right to create ConfigMaps in namespace " + namespace + " (it only makes dry runs)"
	case apierrors.IsNotFound(err):
		r.Fix = "name the namespace in which the webhook is installed with --namespace"
	case errors.Is(err, context.DeadlineExceeded):
		r.Fix = "the API server itself did not answer in time"
	default:
		r.Fix = "see whether the API server answers at all"
	}
	return r
}

func notAsked(namespace string) Result {
	return Result{
		Outcome: NotAsked,
		Reason:  "the API server does not send the self-probe to the webhook: no entry " + Entry + " selects namespace " + namespace,
		Fix:     "run helm upgrade: the chart has it; if it is new, ask again in a second",
	}
}
