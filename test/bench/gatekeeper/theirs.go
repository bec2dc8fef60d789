package main

import (
	"context"
	"embed"
	"fmt"
	"strings"

	templatesv1 "github.com/open-policy-agent/frameworks/constraint/pkg/apis/templates/v1"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/drivers/rego"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/reviews"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/target"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/util"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

//go:embed templates/*.rego
var templates embed.FS

//go:embed lib.rego
var lib string

// rule is one of our rules as a template: its file has the rule's id.
type rule struct {
	id         string
	parameters map[string]any
}

// rules are all of ours that Pod Security has, with the default parameters of
// the level restricted.
var rules = []rule{
	{"apparmor", nil},
	{"capabilities", map[string]any{"allowed": list("NET_BIND_SERVICE")}},
	{"host-namespaces", nil},
	{"host-ports", map[string]any{"ranges": []any{}}},
	{"host-probes-and-lifecycle", nil},
	{"privilege-escalation", nil},
	{"privileged", nil},
	{"proc-mount", nil},
	{"run-as-non-root", nil},
	{"run-as-user", nil},
	{"seccomp", map[string]any{"allowed": list("RuntimeDefault", "Localhost")}},
	{"selinux", map[string]any{"allowed": list("container_t", "container_init_t", "container_kvm_t", "container_engine_t")}},
	{"sysctls", map[string]any{"allowed": list(
		"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_unprivileged_port_start",
		"net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
		"net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_notsent_lowat", "net.ipv4.tcp_rmem", "net.ipv4.tcp_slow_start_after_idle",
		"net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem")}},
	{"volumes", map[string]any{"allowed": list(
		"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret")}},
	{"windows-host-process", nil},
}

func list(names ...string) []any {
	all := make([]any, len(names))
	for i, name := range names {
		all[i] = name
	}
	return all
}

// kind is the constraint's: HostPorts for host-ports.
func (r rule) kind() string {
	var b strings.Builder
	for part := range strings.SplitSeq(r.id, "-") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

// gatekeeper is Gatekeeper's constraint client with all templates, each with one
// constraint that matches pods, as its webhook has it.
type gatekeeper struct {
	client *client.Client
	ids    map[string]string // of rules, by the constraint's kind
}

func newGatekeeper(ctx context.Context) (*gatekeeper, error) {
	driver, err := rego.New()
	if err != nil {
		return nil, fmt.Errorf("making the Rego driver: %w", err)
	}
	c, err := client.NewClient(
		client.Targets(&target.K8sValidationTarget{}),
		client.Driver(driver),
		client.EnforcementPoints(util.WebhookEnforcementPoint))
	if err != nil {
		return nil, fmt.Errorf("making the constraint client: %w", err)
	}
	g := &gatekeeper{client: c, ids: map[string]string{}}
	for _, r := range rules {
		g.ids[r.kind()] = r.id
		text, err := templates.ReadFile("templates/" + r.id + ".rego")
		if err != nil {
			return nil, err
		}
		if err := g.add(ctx, r, string(text)); err != nil {
			return nil, fmt.Errorf("template %s: %w", r.id, err)
		}
	}
	return g, nil
}

func (g *gatekeeper) add(ctx context.Context, r rule, text string) error {
	manifest, err := yaml.Marshal(map[string]any{
		"apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate",
		"metadata": map[string]any{"name": strings.ToLower(r.kind())},
		"spec": map[string]any{
			"crd": map[string]any{"spec": map[string]any{
				"names": map[string]any{"kind": r.kind()},
				"validation": map[string]any{"openAPIV3Schema": map[string]any{
					"type": "object", "x-kubernetes-preserve-unknown-fields": true,
				}},
			}},
			"targets": []any{map[string]any{
				"target": target.Name,
				"code": []any{map[string]any{
					"engine": "Rego",
					"source": map[string]any{"version": "v1", "rego": text, "libs": []any{lib}},
				}},
			}},
		},
	})
	if err != nil {
		return err
	}
	versioned := &templatesv1.ConstraintTemplate{}
	if err := yaml.UnmarshalStrict(manifest, versioned); err != nil {
		return err
	}
	template, err := versioned.ToVersionless()
	if err != nil {
		return err
	}
	if _, err := g.client.AddTemplate(ctx, template); err != nil {
		return err
	}
	spec := map[string]any{"match": map[string]any{
		"kinds": []any{map[string]any{"apiGroups": []any{""}, "kinds": []any{"Pod"}}},
	}}
	if r.parameters != nil {
		spec["parameters"] = r.parameters
	}
	_, err = g.client.AddConstraint(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": r.kind(),
		"metadata": map[string]any{"name": r.id},
		"spec":     spec,
	}})
	return err
}

// review asks as Gatekeeper's webhook does.
func (g *gatekeeper) review(ctx context.Context, request *admissionv1.AdmissionRequest) (map[string]bool, error) {
	answer, err := g.client.Review(ctx, &target.AugmentedReview{AdmissionRequest: request, IsAdmission: true},
		reviews.EnforcementPoint(util.WebhookEnforcementPoint))
	if err != nil {
		return nil, err
	}
	var refused map[string]bool
	for _, result := range answer.Results() {
		if refused == nil {
			refused = map[string]bool{}
		}
		refused[g.ids[result.Constraint.GetKind()]] = true
	}
	return refused, nil
}
