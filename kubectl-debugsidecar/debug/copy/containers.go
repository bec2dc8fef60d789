package copy

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug/shape"
	"github.com/debugsidecar/debugsidecar/policies/facts"
)

const (
	// holdName is what brings the program that keeps the target alive, and the
	// volume for it.
	holdName = "debugger-hold"
	// HoldPath is that program in the target: `HoldPath debug -- CMD` runs CMD there,
	// whatever the image has.
	HoldPath    = "/.debugger/sidecar"
	holdDir     = "/.debugger"
	holdProgram = "/usr/bin/sidecar" // in our image
)

// containers fills in the target, which is kept alive without its program, and
// what runs before it. The target is a native sidecar: so the pod ends with its
// debug container.
func (m *maker) containers() {
	spec := &m.pod.Spec
	always := corev1.ContainerRestartPolicyAlways
	target := m.bare(m.find())
	target.RestartPolicy = &always
	target.Args = nil
	if m.options.HoldImage == "" {
		target.Command = []string{"sleep", "2147483647"}
		m.note("%s is kept alive by sleep, which its image has to have", target.Name)
	} else {
		target.Command = []string{HoldPath, "debug"}
		target.VolumeMounts = slices.DeleteFunc(target.VolumeMounts, func(v corev1.VolumeMount) bool {
			is := path.Clean(v.MountPath) == holdDir
			if is {
				m.without("volume %s is not at %s in the copy, which has its own there", v.Name, holdDir)
			}
			return is
		})
		m.note("%s is the process %s in the copy, with its files under that process's /proc/PID/root; its own program does not run, but may by: kubectl exec -n %s -it %s -c %s -- %s debug -- COMMAND",
			target.Name, HoldPath, m.pod.Namespace, m.pod.Name, target.Name, HoldPath)
		target.VolumeMounts = append(target.VolumeMounts, corev1.VolumeMount{Name: holdName, MountPath: holdDir, ReadOnly: true})
		spec.InitContainers = append(spec.InitContainers, m.hold())
	}
	if m.options.RunInit {
		for i := range m.original.Spec.InitContainers {
			c := &m.original.Spec.InitContainers[i]
			if c.Name == target.Name {
				break
			}
			if isOurs(c.Name) {
				continue
			}
			init := m.bare(c)
			if c.RestartPolicy != nil && *c.RestartPolicy == always {
				init.RestartPolicy = &always
			}
			spec.InitContainers = append(spec.InitContainers, *init)
		}
	}
	spec.InitContainers = append(spec.InitContainers, *target)
	m.tellOthers()
}

// held is the command that keeps the target alive.
func (m *maker) held() string {
	target := &m.pod.Spec.InitContainers[len(m.pod.Spec.InitContainers)-1]
	return strings.Join(target.Command, " ")
}

func (m *maker) find() *corev1.Container {
	for _, list := range [][]corev1.Container{m.original.Spec.Containers, m.original.Spec.InitContainers} {
		for i := range list {
			if list[i].Name == m.options.Target {
				return &list[i]
			}
		}
	}
	return nil
}

// bare is a container without what ties it to its pod's life and to the network.
func (m *maker) bare(c *corev1.Container) *corev1.Container {
	out := c.DeepCopy()
	out.LivenessProbe, out.ReadinessProbe, out.StartupProbe, out.Lifecycle = nil, nil, nil, nil
	out.RestartPolicy, out.RestartPolicyRules, out.ResizePolicy = nil, nil, nil
	out.Ports = nil
	out.Stdin, out.StdinOnce, out.TTY = false, false, false
	// A session's record is the debug container's alone.
	out.Env = slices.DeleteFunc(out.Env, func(e corev1.EnvVar) bool { return strings.HasPrefix(e.Name, "DEBUGSIDECAR_") })
	m.withoutDevices(out)
	return out
}

// withoutDevices takes out what the original holds, such as a GPU: the copy would
// wait for another one.
func (m *maker) withoutDevices(c *corev1.Container) {
	var gone []string
	for _, list := range []corev1.ResourceList{c.Resources.Requests, c.Resources.Limits} {
		for name := range list {
			if strings.Contains(string(name), "/") {
				delete(list, name)
				gone = append(gone, string(name))
			}
		}
	}
	for _, claim := range c.Resources.Claims {
		gone = append(gone, claim.Name)
	}
	c.Resources.Claims = nil
	if len(gone) > 0 {
		slices.Sort(gone)
		m.without("%s has no %s in the copy: the pod has it", c.Name, strings.Join(slices.Compact(gone), ", "))
	}
}

// hold brings the program that keeps the target alive.
func (m *maker) hold() corev1.Container {
	c := corev1.Container{
		Name: holdName, Image: m.options.HoldImage, ImagePullPolicy: m.options.PullPolicy,
		Command:                  []string{"/usr/bin/cp", holdProgram, HoldPath},
		VolumeMounts:             []corev1.VolumeMount{{Name: holdName, MountPath: holdDir}},
		SecurityContext:          shape.Hardened(m.original),
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
	if m.original.Spec.Resources == nil {
		c.Resources = resources()
	}
	return c
}

// resources are what a container of ours takes. Where a ResourceQuota counts them
// a pod without would be refused.
func resources() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("32Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")},
	}
}

func isOurs(name string) bool { return strings.HasPrefix(name, facts.ReservedPrefix) }

// tellOthers says which containers the copy has not.
func (m *maker) tellOthers() {
	var others, inits []string
	for i := range m.original.Spec.Containers {
		if name := m.original.Spec.Containers[i].Name; name != m.options.Target {
			others = append(others, name)
		}
	}
	for i := range m.original.Spec.InitContainers {
		name := m.original.Spec.InitContainers[i].Name
		in := slices.ContainsFunc(m.pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == name })
		if !in {
			inits = append(inits, name)
		}
	}
	if len(inits) > 0 {
		m.without("the init containers %s don't run: what they prepare is not there", list(inits))
	}
	if len(others) > 0 {
		m.without("the copy has no %s: only %s and the debug container are in it", list(others), m.options.Target)
	}
}

// list names at most a few.
func list(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + " and others"
}
