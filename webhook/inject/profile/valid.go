package profile

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// checkParameterised refuses values, allowed by a careless schema, with which
// the API server would refuse the pod.
func checkParameterised(c *corev1.Container) error {
	for _, list := range []corev1.ResourceList{c.Resources.Requests, c.Resources.Limits} {
		for name, q := range list {
			switch name {
			case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
			default:
				return fmt.Errorf("resources: %s can't be set for a sidecar", name)
			}
			if q.Sign() < 0 {
				return fmt.Errorf("resources: %s is negative: %s", name, q.String())
			}
			if rounded := q.DeepCopy(); !rounded.RoundUp(resource.Milli) {
				return fmt.Errorf("resources: %s %s is finer than a thousandth", name, q.String())
			}
		}
	}
	for name, request := range c.Resources.Requests {
		if limit, ok := c.Resources.Limits[name]; ok && request.Cmp(limit) > 0 {
			return fmt.Errorf("resources: the %s request %s is above its limit %s", name, request.String(), limit.String())
		}
	}
	if len(c.Resources.Claims) > 0 {
		return errors.New("resources: claims can't be set for a sidecar")
	}
	for _, e := range c.Env {
		if e.ValueFrom == nil || e.ValueFrom.SecretKeyRef == nil {
			continue
		}
		ref := e.ValueFrom.SecretKeyRef
		if problems := validation.IsDNS1123Subdomain(ref.Name); len(problems) > 0 {
			return fmt.Errorf("%s: the Secret's name: %s", e.Name, problems[0])
		}
		if problems := validation.IsConfigMapKey(ref.Key); len(problems) > 0 {
			return fmt.Errorf("%s: the Secret's key: %s", e.Name, problems[0])
		}
	}
	return nil
}
