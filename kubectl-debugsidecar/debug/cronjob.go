package debug

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// controllerUID is a label that Kubernetes gives to a Job's pods (batch/v1,
	// ControllerUidLabel).
	controllerUID = "batch.kubernetes.io/controller-uid"
	// maxJobs is how many of a CronJob's Jobs are looked at, the newest ones.
	maxJobs = 20
)

// podsOfJobs returns the selector of the pods of a CronJob: it has none itself, and
// owns Jobs.
func (c *client) podsOfJobs(ctx context.Context, namespace string, cronJob []byte) (string, error) {
	var owner metav1.PartialObjectMetadata
	if err := json.Unmarshal(cronJob, &owner); err != nil {
		return "", fmt.Errorf("reading it: %w", err)
	}
	data, err := c.core.RESTClient().Get().AbsPath("/apis/batch/v1/namespaces", namespace, "jobs").
		SetHeader("Accept", "application/json").Param("limit", "500").Do(ctx).Raw()
	if apierrors.IsForbidden(err) {
		return "", fmt.Errorf("you may not list jobs in namespace %s: name the job or the pod itself", namespace)
	}
	if err != nil {
		return "", fmt.Errorf("listing its jobs: %w", err)
	}
	var jobs metav1.PartialObjectMetadataList
	if err := json.Unmarshal(data, &jobs); err != nil {
		return "", fmt.Errorf("reading its jobs: %w", err)
	}
	own := slices.DeleteFunc(jobs.Items, func(j metav1.PartialObjectMetadata) bool { return !metav1.IsControlledBy(&j, &owner) })
	if len(own) == 0 {
		return "", fmt.Errorf("it has no job now; `kubectl create job --from=cronjob/%s` starts one", owner.Name)
	}
	slices.SortFunc(own, func(a, b metav1.PartialObjectMetadata) int {
		return b.CreationTimestamp.Compare(a.CreationTimestamp.Time)
	})
	var uids []string
	for i := range own[:min(len(own), maxJobs)] {
		uids = append(uids, string(own[i].UID))
	}
	return controllerUID + " in (" + strings.Join(uids, ",") + ")", nil
}
