package inject

import (
	"encoding/json"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

const podSecurityContextPath = "/spec/securityContext"

// fillLevel gives a pod the SELinux range of its namespace, where the
// administrator wants that for the namespace. It returns the level that the pod
// itself has then; containers that set nothing of their own have it, too.
//
//	the pod                             is
//	is for Windows nodes                left as it is: the API refuses the field
//	names a level anywhere              left: its owner chose, and the rules judge it
//	mounts a PersistentVolumeClaim      left: the kubelet would label all of its files
//	                                    anew, for this pod and against those that
//	                                    had them before
//	anything else                       filled in
//
// A pod that was filled in names its level, so doing it twice is doing it once.
// A volume that is made for the pod (ephemeral) has no files yet, and is none of
// those.
func (d *Decision) fillLevel(f Facts) string {
	own := ""
	if o := seLinuxOptions(f.Pod); o != nil {
		own = o.Level
	}
	if !f.SELinux.Fill {
		return own
	}
	const check = "selinux"
	switch where, claim := namedLevel(f.Pod), claimOf(f); {
	case f.SELinux.Range == nil:
		d.Steps = append(d.Steps, Step{check, false, "no SELinux level to fill in: " + f.SELinux.Source})
	case isWindows(f.Pod):
		d.ok(check, "no SELinux level is filled in: the pod is for Windows nodes")
	case where != "":
		d.ok(check, "no SELinux level is filled in: "+where+" names one")
	case claim != "":
		d.gaveUp(check, "no SELinux level is filled in: the pod mounts PersistentVolumeClaim "+claim+", whose files would all get it")
	default:
		d.Level = f.SELinux.Range.String()
		d.writeLevel(f.Pod)
		d.ok(check, "the pod gets SELinux level "+d.Level+", from "+f.SELinux.Source)
		d.warn("set SELinux level " + d.Level + " (" + f.SELinux.Source + ")")
		return d.Level
	}
	return own
}

func seLinuxOptions(pod podOf) *corev1.SELinuxOptions {
	if pod.Spec.SecurityContext == nil {
		return nil
	}
	return pod.Spec.SecurityContext.SELinuxOptions
}

// namedLevel says where the pod names a level; empty if nowhere. Containers of
// ours don't count: their options follow the pod's.
func namedLevel(pod podOf) (where string) {
	if o := seLinuxOptions(pod); o != nil && o.Level != "" {
		return "the pod"
	}
	eachOptions(pod, func(_ string, _ int, c *containerOf, o *corev1.SELinuxOptions) {
		if o.Level != "" && where == "" {
			where = "container " + c.Name
		}
	})
	return where
}

// eachOptions calls visit for each container of the pod's owner that has SELinux
// options of its own. A new pod has no ephemeral containers.
func eachOptions(pod podOf, visit func(path string, index int, c *containerOf, o *corev1.SELinuxOptions)) {
	for _, l := range [...]struct {
		path string
		list []containerOf
	}{
		{initContainersPath, pod.Spec.InitContainers},
		{containersPath, pod.Spec.Containers},
	} {
		for i := range l.list {
			c := &l.list[i]
			if c.SecurityContext != nil && c.SecurityContext.SELinuxOptions != nil && !strings.HasPrefix(c.Name, profile.NamePrefix) {
				visit(l.path, i, c, c.SecurityContext.SELinuxOptions)
			}
		}
	}
}

// claimOf returns the name of a PersistentVolumeClaim that the pod mounts. What an
// older sidecar left behind, and nobody else mounts, is about to go.
func claimOf(f Facts) string {
	for i := range f.Pod.Spec.Volumes {
		v := &f.Pod.Spec.Volumes[i]
		if v.PersistentVolumeClaim == nil {
			continue
		}
		if strings.HasPrefix(v.Name, profile.NamePrefix) {
			if e, err := find(f); err == nil && !e.mountedByOthers(v.Name) {
				continue
			}
		}
		return quote(v.PersistentVolumeClaim.ClaimName)
	}
	return ""
}

// writeLevel writes the level into the pod's options, and into those of each
// container that has its own: they stand in for the pod's as a whole, so that
// without a level there the runtime would choose one.
func (d *Decision) writeLevel(pod podOf) {
	level, _ := json.Marshal(d.Level)
	options := json.RawMessage(`{"level":` + string(level) + `}`)
	add := func(path string, value json.RawMessage) {
		d.podPatch = append(d.podPatch, Operation{Op: "add", Path: path, Value: value})
	}
	switch {
	case pod.Spec.SecurityContext == nil:
		add(podSecurityContextPath, json.RawMessage(`{"seLinuxOptions":`+string(options)+`}`))
	case pod.Spec.SecurityContext.SELinuxOptions == nil:
		add(podSecurityContextPath+"/seLinuxOptions", options)
	default:
		add(podSecurityContextPath+"/seLinuxOptions/level", level)
	}
	eachOptions(pod, func(path string, index int, _ *containerOf, _ *corev1.SELinuxOptions) {
		add(path+"/"+strconv.Itoa(index)+"/securityContext/seLinuxOptions/level", level)
	})
}
