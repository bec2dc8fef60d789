package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// Reports keeps one PolicyReport in each namespace that is audited.
type Reports struct {
	Client *Client
	// Name is the reports', and the value of their label.
	Name string
	// Owner names a ClusterRole that the chart makes where the audit is on. When it
	// goes, Kubernetes removes all reports.
	Owner string
}

const (
	reportsRoot = "/apis/" + reportVersion
	ownersRoot  = "/apis/rbac.authorization.k8s.io/v1/clusterroles/"
)

// outcome is what became of a report.
type outcome string

const (
	written   outcome = "written"
	unchanged outcome = "unchanged"
	removed   outcome = "removed"
	failed    outcome = "failed"
)

// Available says whether the cluster knows the kind of the reports.
func Available(ctx context.Context, c *Client) (bool, error) {
	var resources metav1.APIResourceList
	err := c.get(ctx, reportsRoot, &resources)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking for the API %s: %w", reportVersion, err)
	}
	for i := range resources.APIResources {
		if resources.APIResources[i].Kind == reportKind {
			return true, nil
		}
	}
	return false, nil
}

// owner is the reference to the reports' owner. Without one they are removed by
// the leader alone.
func (r *Reports) owner(ctx context.Context) ([]metav1.OwnerReference, error) {
	if r.Owner == "" {
		return nil, nil
	}
	var role metav1.PartialObjectMetadata
	if err := r.Client.get(ctx, ownersRoot+url.PathEscape(r.Owner), &role); err != nil {
		return nil, fmt.Errorf("reading the reports' owner, ClusterRole %s: %w", r.Owner, err)
	}
	return []metav1.OwnerReference{{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole", Name: r.Owner, UID: role.UID}}, nil
}

// write makes a namespace's report say what was found.
func (r *Reports) write(ctx context.Context, f *Findings, owner []metav1.OwnerReference, now time.Time) (outcome, error) {
	for try := 1; ; try++ {
		did, err := r.writeOnce(ctx, f, owner, now)
		if err != nil && try < tries && (apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)) {
			continue // somebody wrote meanwhile
		}
		return did, err
	}
}

func (r *Reports) writeOnce(ctx context.Context, f *Findings, owner []metav1.OwnerReference, now time.Time) (outcome, error) {
	report := reportOf(f, now)
	report.TypeMeta = metav1.TypeMeta{APIVersion: reportVersion, Kind: reportKind}
	report.Name, report.Namespace, report.OwnerReferences = r.Name, f.Namespace, owner
	report.Labels = map[string]string{label: r.Name, "app.kubernetes.io/managed-by": source}

	var before Report
	err := r.Client.get(ctx, r.path(f.Namespace)+"/"+r.Name, &before)
	switch {
	case apierrors.IsNotFound(err):
		return written, r.Client.send(ctx, "POST", r.path(f.Namespace), report)
	case err != nil:
		return failed, err
	case before.Labels[label] != r.Name:
		return failed, fmt.Errorf("there is a PolicyReport %s/%s already that is not ours; remove it", f.Namespace, r.Name)
	case report.keepTimes(&before):
		return unchanged, nil
	}
	report.ResourceVersion, report.UID = before.ResourceVersion, before.UID
	for key, value := range before.Labels {
		if _, ours := report.Labels[key]; !ours {
			report.Labels[key] = value
		}
	}
	for key, value := range before.Annotations {
		if _, ours := report.Annotations[key]; !ours {
			report.Annotations[key] = value
		}
	}
	return written, r.Client.send(ctx, "PUT", r.path(f.Namespace)+"/"+r.Name, report)
}

// prune removes our reports in the namespaces that are not to have one.
func (r *Reports) prune(ctx context.Context, has func(namespace string) bool) (int, error) {
	var stale []types.NamespacedName
	ours := list{path: reportsRoot + "/policyreports", labels: label + "=" + r.Name, metadata: true}
	err := r.Client.each(ctx, ours, func(object json.RawMessage) error {
		var report metav1.PartialObjectMetadata
		if err := json.Unmarshal(object, &report); err != nil {
			return err
		}
		if !has(report.Namespace) {
			stale = append(stale, types.NamespacedName{Namespace: report.Namespace, Name: report.Name})
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("listing the reports: %w", err)
	}
	for i, s := range stale {
		err := r.Client.rest.Delete().AbsPath(r.path(s.Namespace) + "/" + url.PathEscape(s.Name)).Do(ctx).Error()
		if err != nil && !apierrors.IsNotFound(err) {
			return i, fmt.Errorf("removing PolicyReport %s: %w", s, err)
		}
	}
	return len(stale), nil
}

func (r *Reports) path(namespace string) string {
	return reportsRoot + "/namespaces/" + namespace + "/policyreports"
}

func (c *Client) get(ctx context.Context, path string, into any) error {
	data, err := c.rest.Get().AbsPath(path).Do(ctx).Raw()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, verb, path string, object any) error {
	data, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", path, err)
	}
	return c.rest.Verb(verb).AbsPath(path).SetHeader("Content-Type", runtime.ContentTypeJSON).Body(data).Do(ctx).Error()
}

// ReadReports calls visit for each PolicyReport of any installation of ours, in
// one namespace, or in all if it is empty.
func ReadReports(ctx context.Context, c *Client, namespace string, visit func(*Report)) error {
	l := list{path: reportsRoot + "/policyreports", labels: label}
	if namespace != "" {
		l.path = reportsRoot + "/namespaces/" + namespace + "/policyreports"
	}
	return c.each(ctx, l, func(object json.RawMessage) error {
		var report Report
		if err := json.Unmarshal(object, &report); err != nil {
			return err
		}
		visit(&report)
		return nil
	})
}
