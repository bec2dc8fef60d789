package server

import (
	"fmt"

	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/debugsidecar/debugsidecar/webhook/admit"
	"github.com/debugsidecar/debugsidecar/webhook/audit"
)

// audits adds the audit of what runs already, if there is to be one.
func (o *options) audits(mgr ctrl.Manager, restConfig *rest.Config, deps admit.Deps) error {
	if o.auditInterval == 0 {
		return nil
	}
	client, err := audit.NewClient(restConfig)
	if err != nil {
		return err
	}
	a := &audit.Auditor{
		Every: o.auditInterval, Client: client, Judge: deps.JudgeRunning,
		Namespaces: mgr.GetCache(), Config: deps.Config, Webhook: o.cert.Configuration, Log: o.log,
	}
	if o.auditReports != "" {
		a.Reports = &audit.Reports{Client: client, Name: o.auditReports, Owner: o.auditOwner}
	}
	a.Register(metrics.Registry)
	if err := mgr.Add(a); err != nil {
		return fmt.Errorf("setting up the audit: %w", err)
	}
	return nil
}
