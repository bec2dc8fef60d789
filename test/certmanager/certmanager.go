// Package certmanager runs cert-manager's controllers beside a test cluster: the
// code that issues, renews and injects in a real installation, as a process of
// this machine with the administrator's kubeconfig.
//
// Certificates, CertificateRequests and Issuers of the kinds CA and self-signed
// work, and the injection of CAs into webhook configurations. Nothing validates
// or defaults cert-manager's objects but their schemas: its own webhook isn't
// there.
package certmanager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cert-manager/cert-manager/pkg/client/clientset/versioned"

	"github.com/debugsidecar/debugsidecar/test/cluster"
	"github.com/debugsidecar/debugsidecar/test/cluster/build"
)

// patience is how long each step may take: a start, an issuance.
const patience = time.Minute

// Manager is cert-manager while it runs.
type Manager struct {
	client  versioned.Interface
	process *process
	log     func(line string)
}

// Start installs cert-manager's CRDs and starts its controllers, which live no
// longer than this process. It returns when they have issued a certificate. It
// builds them first if the cache hasn't got them. log gets lines that tell what
// is done, and may be nil.
func Start(ctx context.Context, c *cluster.Cluster, log func(line string)) (*Manager, error) {
	if log == nil {
		log = func(string) {}
	}
	binary, err := build.CertManager(ctx, log)
	if err != nil {
		return nil, err
	}
	client, err := versioned.NewForConfig(c.Config)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := installCRDs(ctx, c); err != nil {
		return nil, fmt.Errorf("installing cert-manager's CRDs: %w", err)
	}
	established := time.Now()
	p, err := startProcess(binary, "--kubeconfig="+c.Kubeconfig)
	if err != nil {
		return nil, err
	}
	m := &Manager{client, p, log}
	issued, err := m.tryOut(ctx, c)
	if err != nil {
		_ = m.Stop() // its error is in err
		return nil, fmt.Errorf("waiting for cert-manager to issue its first certificate: %w", err)
	}
	log(fmt.Sprintf("cert-manager: CRDs after %.1f s, controllers work %.1f s later; a Certificate took %.2f s to be Ready",
		established.Sub(begin).Seconds(), time.Since(established).Seconds(), issued.Seconds()))
	return m, nil
}

// Stop ends the controllers; what they made stays in the cluster. If they had
// ended by themselves, the error says so, with the end of their log. Calling it
// again does nothing more.
func (m *Manager) Stop() error {
	err := m.process.end()
	return errors.Join(err, os.RemoveAll(m.process.dir))
}
