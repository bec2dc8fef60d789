package cluster

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/reach"
)

// examine runs all checks. It is a pure function.
func examine(f *facts) []finding {
	if errors.Is(f.mutatingErr, errNotInstalled) {
		return []finding{{"installed", fail, f.mutatingErr.Error(), "install the chart: docs/install.md"}}
	}
	if f.where.name == "" || f.where.namespace == "" {
		return []finding{{"installed", unknown, notKnown("list", "mutatingwebhookconfigurations", orNotThere(f.mutatingErr)), "give --webhook-namespace and --webhook-name"}}
	}
	var out []finding
	for _, check := range []func(*facts) []finding{
		checkDeployment, checkConfigurations, checkCertificate, checkReach, checkVersion,
		checkSettings, checkProfiles, checkGrants, checkEnforced,
	} {
		out = append(out, check(f)...)
	}
	return out
}

func orNotThere(err error) error {
	if err == nil {
		return errors.New("the configuration names no namespace")
	}
	return err
}

func one(check, result, detail, fix string) []finding { return []finding{{check, result, detail, fix}} }

func checkDeployment(f *facts) []finding {
	const name = "deployment"
	switch {
	case f.outside():
		return one(name, ok, "the webhook runs outside the cluster and is called by a URL", "")
	case f.deploymentErr != nil:
		return missing(name, "get", "Deployment "+f.where.namespace+"/"+f.where.name, f.deploymentErr)
	}
	d := f.deployment
	wanted := int32(1)
	if d.Spec.Replicas != nil {
		wanted = *d.Spec.Replicas
	}
	text := fmt.Sprintf("Deployment %s/%s: %d of %d replicas are available", d.Namespace, d.Name, d.Status.AvailableReplicas, wanted)
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentAvailable && c.Status == corev1.ConditionTrue {
			if d.Status.AvailableReplicas < wanted {
				return one(name, warn, text, "look at its pods: kubectl get pods -n "+d.Namespace)
			}
			return one(name, ok, text, "")
		}
	}
	return one(name, fail, text, "look at its pods and their events: kubectl describe pods -n "+d.Namespace)
}

// missing is a finding about an object: failed if it is not there, unknown if
// it can't be read.
func missing(check, verb, what string, err error) []finding {
	if isNotFound(err) {
		return one(check, fail, "there is no "+what, "run helm upgrade: the chart makes it")
	}
	return one(check, unknown, notKnown(verb, what, err), "")
}

func checkConfigurations(f *facts) []finding {
	const name = "configurations"
	var out []finding
	if f.mutatingErr != nil {
		out = append(out, missing(name, "get", "MutatingWebhookConfiguration "+f.where.name, f.mutatingErr)...)
	}
	if f.validatingErr != nil {
		out = append(out, missing(name, "get", "ValidatingWebhookConfiguration "+f.where.name, f.validatingErr)...)
	}
	if len(out) > 0 {
		return out
	}
	var without []string
	for entry, bundle := range f.bundles() {
		if len(bundle) == 0 {
			without = append(without, entry)
		}
	}
	if len(without) > 0 {
		slices.Sort(without)
		return one(name, fail, "entries without a caBundle, so that no API server trusts the webhook: "+strings.Join(without, ", "),
			"see the log of the webhook, or of cert-manager's CA injector")
	}
	return one(name, ok, fmt.Sprintf("both webhook configurations are there; each of the %d entries has a caBundle", len(f.bundles())), "")
}

// bundles are the caBundles of all entries.
func (f *facts) bundles() map[string][]byte {
	out := map[string][]byte{}
	if f.mutating != nil {
		for _, w := range f.mutating.Webhooks {
			out[w.Name] = w.ClientConfig.CABundle
		}
	}
	if f.validatingErr == nil && f.validating != nil {
		for _, w := range f.validating.Webhooks {
			out[w.Name] = w.ClientConfig.CABundle
		}
	}
	return out
}

// soon is when an end is near: what renews itself is renewed long before.
const soon = 7 * 24 * time.Hour

// checkCertificate looks at what can be seen: the CAs, and cert-manager's
// certificate. The one that the webhook makes for itself is in its memory only;
// the self-probe shows whether it is accepted.
func checkCertificate(f *facts) []finding {
	const name = "certificate"
	var out []finding
	if f.certManager() {
		switch end := lastEnd(f.tls); {
		case f.tlsErr != nil:
			out = append(out, missing(name, "get", "Secret "+f.where.namespace+"/"+f.where.name+"-tls", f.tlsErr)...)
		case end.IsZero():
			out = append(out, finding{name, fail, "Secret " + f.where.name + "-tls holds no certificate", "see the Certificate's conditions: kubectl describe certificate -n " + f.where.namespace})
		default:
			out = append(out, ends(name, "the serving certificate", end, f.now, "see the Certificate's conditions: kubectl describe certificate -n "+f.where.namespace))
		}
	}
	var end time.Time
	for _, bundle := range f.bundles() {
		// Each of a bundle's CAs is trusted; the last one's end counts.
		if e := lastEnd(bundle); !e.IsZero() && (end.IsZero() || e.Before(end)) {
			end = e
		}
	}
	if end.IsZero() {
		return append(out, finding{name, unknown, "no CA certificate is in the webhook configurations that can be read", ""})
	}
	return append(out, ends(name, "the CA", end, f.now, "see the webhook's log for why it was not replaced"))
}

func ends(check, what string, end, now time.Time, fix string) finding {
	text := what + " ends at " + end.UTC().Format(time.RFC3339)
	switch left := end.Sub(now); {
	case left <= 0:
		return finding{check, fail, what + " ended at " + end.UTC().Format(time.RFC3339), fix}
	case left < soon:
		return finding{check, warn, text + ", in " + left.Round(time.Minute).String(), fix}
	}
	return finding{check, ok, text, ""}
}

// lastEnd is the latest end of PEM certificates; zero if there are none.
func lastEnd(data []byte) (end time.Time) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && c.NotAfter.After(end) {
			end = c.NotAfter
		}
	}
	return end
}

func checkReach(f *facts) []finding {
	result := map[reach.Outcome]string{reach.Reached: ok, reach.Unreachable: fail, reach.NotAsked: warn}[f.probe.Outcome]
	if result == "" {
		result = unknown
	}
	return one("self-probe", result, f.probe.Reason, f.probe.Fix)
}

// version is the plugin's: that of the image that it would inject.
var version = config.DefaultImage[strings.LastIndex(config.DefaultImage, ":")+1:]

func checkVersion(f *facts) []finding {
	const name, label = "version", "app.kubernetes.io/version"
	if f.mutating == nil || f.mutating.Labels[label] == "" {
		return one(name, unknown, "not known: the webhook configuration has no label "+label, "")
	}
	if theirs := f.mutating.Labels[label]; theirs != version {
		return one(name, warn, "the plugin is of version "+version+", the installation of "+theirs,
			"take the plugin of the installation's version: profiles and rules may differ")
	}
	return one(name, ok, "plugin and installation are of version "+version, "")
}

func checkSettings(f *facts) []finding {
	const name = "configuration"
	if f.settingsErr == nil {
		return one(name, ok, fmt.Sprintf("config.yaml, the policy's parameters and %d profiles load without an error", len(f.settings.Profiles.Names())), "")
	}
	if isStatus(f.settingsErr) {
		return missing(name, "get", "the ConfigMaps "+f.where.namespace+"/"+f.where.name+"-config and -profiles", f.settingsErr)
	}
	return one(name, fail, f.settingsErr.Error(), "the webhook goes on with the last good one; correct the values and run helm upgrade")
}

// checkProfiles finds namespaces whose label names a profile that there is not.
func checkProfiles(f *facts) []finding {
	const name = "labels"
	switch {
	case f.namespacesErr != nil:
		return one(name, unknown, notKnown("list", "namespaces", f.namespacesErr), "")
	case f.settingsErr != nil:
		return one(name, unknown, "not known: there are no profiles to compare the namespaces' labels with", "")
	}
	var out []finding
	labelled := 0
	for i := range f.namespaces {
		ns := &f.namespaces[i]
		profile := ns.Labels[injectLabel]
		if profile == "" || profile == disabled {
			continue
		}
		labelled++
		if _, known := f.settings.Profiles.Get(profile); !known {
			out = append(out, finding{name, fail, fmt.Sprintf("namespace %s asks for profile %q, which there is not: its pods go without a sidecar", ns.Name, profile),
				"there are " + strings.Join(f.settings.Profiles.Names(), ", ")})
		}
	}
	if len(out) == 0 {
		return one(name, ok, fmt.Sprintf("%d namespaces ask for a profile, and each profile is there", labelled), "")
	}
	return out
}

// sorted returns the keys of a set.
func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
