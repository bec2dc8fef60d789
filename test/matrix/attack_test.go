package matrix

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	node "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func quantity(text string) resource.Quantity { return resource.MustParse(text) }

const ownVolume = injectedName + "-run"

// attacks are what someone tries who wants what the grant gives, by a webhook
// that runs after ours. None may be admitted with a capability of the grant.
var attacks = map[string]func(*corev1.Pod){
	"LD_PRELOAD": onSidecar(func(c *corev1.Container) {
		c.Env = append(c.Env, corev1.EnvVar{Name: "LD_PRELOAD", Value: "/run/debugsidecar/evil.so"})
	}),
	"PATH": onSidecar(func(c *corev1.Container) {
		c.Env = append([]corev1.EnvVar{{Name: "PATH", Value: "/run/debugsidecar"}}, c.Env...)
	}),
	"a variable twice": onSidecar(func(c *corev1.Container) {
		c.Env = append(c.Env, corev1.EnvVar{Name: "DEBUGSIDECAR_ALERT_WEBHOOKS", Value: "http://attacker.example/"})
	}),
	"envFrom": onSidecar(func(c *corev1.Container) {
		c.EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "evil"}}}}
	}),
	"a shell":       onSidecar(func(c *corev1.Container) { c.Command = []string{"/bin/sh"} }),
	"an argument":   onSidecar(func(c *corev1.Container) { c.Args = append(c.Args, "--listen=0.0.0.0:1") }),
	"another image": onSidecar(func(c *corev1.Container) { c.Image = "registry.example/evil:1" }),
	"another tag":   onSidecar(func(c *corev1.Container) { c.Image = "debugsidecar/sidecar:evil" }),
	"a digest of another repository": onSidecar(func(c *corev1.Container) {
		c.Image = "debugsidecar/sidecar/evil@sha256:" + strings.Repeat("0", 64)
	}),
	"a digest of another registry": onSidecar(func(c *corev1.Container) {
		c.Image = "registry.example/debugsidecar/sidecar@sha256:" + strings.Repeat("0", 64)
	}),
	"a handler that runs something": onSidecar(func(c *corev1.Container) {
		c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"/run/debugsidecar/evil"}}}}
	}),
	"a probe that runs something": onSidecar(func(c *corev1.Container) {
		c.LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/run/debugsidecar/evil"}}}}
	}),
	"a terminal": onSidecar(func(c *corev1.Container) { c.Stdin, c.TTY = true, true }),
	"a device": onSidecar(func(c *corev1.Container) {
		list := corev1.ResourceList{"example.com/mem": quantity("1")}
		c.Resources = corev1.ResourceRequirements{Requests: list, Limits: list}
	}),
	"one more capability": onSidecar(func(c *corev1.Container) {
		c.SecurityContext.Capabilities.Add = append(c.SecurityContext.Capabilities.Add, "SYS_PTRACE")
	}),
	"a writable root": onSidecar(func(c *corev1.Container) { c.SecurityContext.ReadOnlyRootFilesystem = nil }),
	"an ordinary container": func(p *corev1.Pod) {
		last := len(p.Spec.InitContainers) - 1
		c := p.Spec.InitContainers[last]
		c.RestartPolicy = nil
		p.Spec.InitContainers, p.Spec.Containers = p.Spec.InitContainers[:last], append(p.Spec.Containers, c)
	},

	"a tenant's volume under our mount": func(p *corev1.Pod) {
		volumeOf(p, ownVolume).VolumeSource = corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "evil"}}}
	},
	"a claim under our mount": func(p *corev1.Pod) {
		volumeOf(p, ownVolume).VolumeSource = corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "evil"}}
	},
	"our volume under another name": func(p *corev1.Pod) {
		volumeOf(p, ownVolume).Name = "own"
		sidecarOf(p).VolumeMounts[0].Name = "own"
	},
	"a part of a volume":   onSidecar(func(c *corev1.Container) { c.VolumeMounts[0].SubPath = "evil" }),
	"a part by expression": onSidecar(func(c *corev1.Container) { c.VolumeMounts[0].SubPathExpr = "$(DEBUGSIDECAR_POD)" }),
	"mount propagation": onSidecar(func(c *corev1.Container) {
		c.VolumeMounts[0].MountPropagation = new(corev1.MountPropagationHostToContainer)
	}),
	"a volume over the program": func(p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, evilVolume("evil"))
		c := sidecarOf(p)
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "evil", MountPath: "/usr/bin"})
	},
	"a volume where the token is": func(p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, evilVolume("kube-api-access-evil"))
		sidecarOf(p).VolumeMounts[1].Name = "kube-api-access-evil"
	},
	"a token for someone else": func(p *corev1.Pod) {
		for i := range p.Spec.Volumes {
			if v := &p.Spec.Volumes[i]; v.Projected != nil {
				v.Projected.Sources[0].ServiceAccountToken.Audience = "attacker.example"
			}
		}
	},
	"a token with more beside it": func(p *corev1.Pod) {
		for i := range p.Spec.Volumes {
			if v := &p.Spec.Volumes[i]; v.Projected != nil {
				v.Projected.Sources = append(v.Projected.Sources, corev1.VolumeProjection{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "evil"}}})
			}
		}
	},
	"a part of the token's volume": onSidecar(func(c *corev1.Container) { c.VolumeMounts[1].SubPath = "namespace" }),
	"our volume in the app": func(p *corev1.Pod) {
		c := &p.Spec.Containers[0]
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: ownVolume, MountPath: "/theirs"})
	},

	"a name without our prefix":           onSidecar(func(c *corev1.Container) { c.Name = "helper" }),
	"the name of another profile":         onSidecar(func(c *corev1.Container) { c.Name = "debugsidecar-full" }),
	"the name of no profile":              onSidecar(func(c *corev1.Container) { c.Name = "debugsidecar-nobody" }),
	"a second one of another profile":     second("debugsidecar-full"),
	"a second one without our prefix":     second("helper"),
	"shared processes":                    func(p *corev1.Pod) { p.Spec.ShareProcessNamespace = new(true) },
	"the node's processes":                func(p *corev1.Pod) { p.Spec.HostPID = true },
	"the node's IPC":                      func(p *corev1.Pod) { p.Spec.HostIPC = true },
	"the node's network":                  func(p *corev1.Pod) { p.Spec.HostNetwork = true },
	"a user namespace":                    func(p *corev1.Pod) { p.Spec.HostUsers = new(false) },
	"another runtime":                     func(p *corev1.Pod) { p.Spec.RuntimeClassName = new("gvisor") },
	"no AppArmor for the whole pod":       func(p *corev1.Pod) { p.Spec.SecurityContext.AppArmorProfile = appArmor("Unconfined") },
	"an SELinux type for the whole pod":   func(p *corev1.Pod) { p.Spec.SecurityContext.SELinuxOptions = &corev1.SELinuxOptions{Type: "spc_t"} },
	"resources of the pod that it breaks": func(p *corev1.Pod) { sidecarOf(p).Resources.Claims = []corev1.ResourceClaim{{Name: "gpu"}} },
}

func onSidecar(change func(*corev1.Container)) func(*corev1.Pod) {
	return func(p *corev1.Pod) { change(sidecarOf(p)) }
}

func volumeOf(p *corev1.Pod, name string) *corev1.Volume {
	for i := range p.Spec.Volumes {
		if p.Spec.Volumes[i].Name == name {
			return &p.Spec.Volumes[i]
		}
	}
	return nil
}

func evilVolume(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "evil"}}}}
}

func second(name string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		c := sidecarOf(p).DeepCopy()
		c.Name, c.Ports = name, nil
		p.Spec.InitContainers = append(p.Spec.InitContainers, *c)
	}
}

func TestNoAttackGetsWhatAGrantGives(t *testing.T) {
	api := newAPI(t)
	needGranted(t)
	startMutator(t, api)
	if err := api.Create(t.Context(), &node.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "gvisor"}, Handler: "runsc"}); err != nil {
		t.Fatal(err)
	}
	base, err := injectedPod(t.Context(), api, nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range attacks {
		names = append(names, name)
	}
	parallel(len(names), func(i int) {
		forged := base.DeepCopy()
		attacks[names[i]](forged)
		ctx, said := listen(t.Context())
		// By the API server's own validation only what no pod can have.
		if _, err := attacked(ctx, api, forged, true); !isOurs(err) && !strings.Contains(names[i], "that it breaks") || err == nil {
			t.Errorf("%s: %v, warned of %q", names[i], err, said())
		}
	})
	t.Run("without a label, with all that we write", func(t *testing.T) {
		if _, err := attacked(t.Context(), api, base, false); !isOurs(err) {
			t.Errorf("it is not denied: %v", err)
		}
	})
	t.Run("without the other webhook it is repaired", func(t *testing.T) {
		forged := wanting("forged")
		forged.Annotations = map[string]string{"debugsidecar.io/status": `{"profile":"video-probe","tier":"kernel"}`}
		forged.Spec = *base.Spec.DeepCopy()
		attacks["LD_PRELOAD"](forged)
		attacks["a shell"](forged)
		got, err := injectedPod(t.Context(), api, func(p *corev1.Pod) { p.Spec, p.Annotations = forged.Spec, forged.Annotations })
		if err != nil {
			t.Fatal(err)
		}
		if c := sidecarOf(got); len(c.Command) > 0 || strings.Contains(got.Annotations["debugsidecar.io/status"], `{"profile":"video-probe","tier":"kernel"}`) || !identify(t, got)[injectedName].Ours {
			t.Errorf("it is %+v, its status %s", c, got.Annotations["debugsidecar.io/status"])
		}
	})
	t.Run("a digest of the same repository is no attack", func(t *testing.T) {
		digest := base.DeepCopy()
		sidecarOf(digest).Image = "debugsidecar/sidecar@sha256:" + strings.Repeat("0", 64)
		if got, err := attacked(t.Context(), api, digest, true); err != nil || !hasGrantedCapability(got) {
			t.Errorf("it is refused: %v", err)
		}
	})
}
