package profile

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// checkVolumes returns the volumes' names, or what is wrong with one.
func (p *Profile) checkVolumes(volumes []corev1.Volume) ([]string, *problem) {
	var names []string
	for i := range volumes {
		v := &volumes[i]
		path := fmt.Sprintf("volumes[%d]", i)
		if v.Name != p.ContainerName() && !strings.HasPrefix(v.Name, p.ContainerName()+"-") {
			return nil, problemAt(path+".name", "%q has to be %q or to start with it and a dash", v.Name, p.ContainerName())
		}
		if problems := validation.IsDNS1123Label(v.Name); len(problems) > 0 {
			return nil, problemAt(path+".name", "%q: %s", v.Name, problems[0])
		}
		if slices.Contains(names, v.Name) {
			return nil, problemAt(path+".name", "there are two volumes %q", v.Name)
		}
		names = append(names, v.Name)
		if text := volumeProblem(v); text != "" {
			return nil, problemAt(path, "%s", text)
		}
	}
	return names, nil
}

func volumeProblem(v *corev1.Volume) string {
	sources := 0
	for _, there := range []bool{v.EmptyDir != nil, v.Secret != nil, v.ConfigMap != nil, v.DownwardAPI != nil} {
		if there {
			sources++
		}
	}
	switch {
	case sources != 1:
		return "has to have one source: only emptyDir, secret, configMap and downwardAPI can't hold up or open up a pod"
	case v.Secret != nil && isFalse(v.Secret.Optional), v.ConfigMap != nil && isFalse(v.ConfigMap.Optional):
		return mustBeOptional
	case v.EmptyDir != nil && v.EmptyDir.Medium != "" && v.EmptyDir.Medium != corev1.StorageMediumMemory:
		return fmt.Sprintf("emptyDir.medium: %q is neither empty nor Memory", v.EmptyDir.Medium)
	case v.EmptyDir != nil && v.EmptyDir.SizeLimit != nil && v.EmptyDir.SizeLimit.Sign() < 0:
		return "emptyDir.sizeLimit: is negative"
	}
	return ""
}
