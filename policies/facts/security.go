package facts

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Fields that several places name, below a container or the pod spec.
const (
	seLinuxTypeField  = "securityContext.seLinuxOptions.type"
	seLinuxUserField  = "securityContext.seLinuxOptions.user"
	seLinuxRoleField  = "securityContext.seLinuxOptions.role"
	seLinuxLevelField = "securityContext.seLinuxOptions.level"
	appArmorField     = "securityContext.appArmorProfile.type"
	runAsNonRootField = "securityContext.runAsNonRoot"
	runAsUserField    = "securityContext.runAsUser"
	seccompField      = "securityContext.seccompProfile.type"
	hostProcessField  = "securityContext.windowsOptions.hostProcess"
)

// addPod adds what the pod spec itself says.
func (f *Facts) addPod(spec *PodSpec, env *Environment) {
	at := func(suffix string) place { return place{container: onPod, suffix: suffix} }
	if spec.HostNetwork {
		f.add(HostNamespaces, stringValue("hostNetwork"), at("hostNetwork"))
	}
	if spec.HostPID {
		f.add(HostNamespaces, stringValue("hostPID"), at("hostPID"))
	}
	if spec.HostIPC {
		f.add(HostNamespaces, stringValue("hostIPC"), at("hostIPC"))
	}
	for i := range spec.Volumes {
		sourcesOf(&spec.Volumes[i], func(s *volumeSource) {
			f.add(VolumeTypes, s.value, place{container: onPod, suffix: s.suffix, item: i})
		})
	}
	context := spec.SecurityContext
	if context == nil {
		return
	}
	for i := range context.Sysctls {
		f.add(Sysctls, stringValue(context.Sysctls[i].Name),
			place{container: onPod, suffix: "securityContext.sysctls[*].name", item: i})
	}
	f.addSELinux(onPod, context.SELinuxOptions, "", env)
	if context.AppArmorProfile != nil {
		f.add(AppArmorTypes, stringValue(string(context.AppArmorProfile.Type)), at(appArmorField))
	}
	if context.RunAsNonRoot != nil {
		f.add(RunAsNonRoot, boolValue(*context.RunAsNonRoot), at(runAsNonRootField))
	}
	if context.RunAsUser != nil {
		f.add(RunAsUser, numberValue(*context.RunAsUser), at(runAsUserField))
	}
	if context.SeccompProfile != nil {
		f.add(SeccompTypes, stringValue(string(context.SeccompProfile.Type)), at(seccompField))
	}
	f.addHostProcess(onPod, context.WindowsOptions)
}

// addContainer adds what the container with the given index says; pod is the
// pod's security context, nil where it has none.
func (f *Facts) addContainer(index int, c *Container, pod *corev1.PodSecurityContext, env *Environment) {
	at := func(suffix string) place { return place{container: index, suffix: suffix} }
	var granted []corev1.Capability
	var grantedType string
	if strings.HasPrefix(c.Name, ReservedPrefix) {
		ours := false
		if env.Identify != nil {
			ours, granted = env.Identify(c.Name)
		}
		if ours && env.GrantedType != nil {
			grantedType = env.GrantedType(c.Name)
		}
		if !ours {
			granted = nil
			f.add(ReservedNames, stringValue(c.Name), at("name"))
		}
	}
	for i := range c.Ports {
		if port := c.Ports[i].HostPort; port != 0 {
			f.add(HostPorts, numberValue(int64(port)), place{container: index, suffix: "ports[*].hostPort", item: i})
		}
	}
	f.addProbeHosts(index, c)

	context := c.SecurityContext
	if context == nil {
		context = &corev1.SecurityContext{}
	}
	if context.Privileged != nil {
		f.add(Privileged, boolValue(*context.Privileged), at("securityContext.privileged"))
	}
	f.addCapabilities(index, context.Capabilities, granted, c.Image, env)
	f.addSELinux(index, context.SELinuxOptions, grantedType, env)
	if context.AppArmorProfile != nil {
		f.add(AppArmorTypes, stringValue(string(context.AppArmorProfile.Type)), at(appArmorField))
	}
	f.add(AllowPrivilegeEscalation, optional(context.AllowPrivilegeEscalation), at("securityContext.allowPrivilegeEscalation"))
	if context.RunAsNonRoot != nil || pod == nil || pod.RunAsNonRoot == nil {
		f.add(RunAsNonRoot, optional(context.RunAsNonRoot), at(runAsNonRootField))
	}
	if context.RunAsUser != nil {
		f.add(RunAsUser, numberValue(*context.RunAsUser), at(runAsUserField))
	}
	switch {
	case context.SeccompProfile != nil:
		f.add(SeccompTypes, stringValue(string(context.SeccompProfile.Type)), at(seccompField))
	case pod == nil || pod.SeccompProfile == nil:
		f.add(SeccompTypes, Value{}, at(seccompField))
	}
	if context.ProcMount != nil {
		f.add(ProcMount, stringValue(string(*context.ProcMount)), at("securityContext.procMount"))
	}
	f.addHostProcess(index, context.WindowsOptions)
}

func (f *Facts) addCapabilities(index int, c *corev1.Capabilities, granted []corev1.Capability, image string, env *Environment) {
	if c == nil {
		c = &corev1.Capabilities{}
	}
	var ofImage []corev1.Capability
	if len(c.Add) > 0 && env.OfImage != nil {
		ofImage = env.OfImage(image)
	}
	for _, name := range c.Add {
		kind := CapabilitiesAdd
		switch {
		case slices.Contains(granted, name):
			kind = CapabilitiesGranted
		case slices.Contains(ofImage, name):
			kind = CapabilitiesOfImage
		}
		f.add(kind, stringValue(string(name)), place{container: index, suffix: "securityContext.capabilities.add"})
	}
	f.add(CapabilitiesDrop, listValue(c.Drop), place{container: index, suffix: "securityContext.capabilities.drop"})
}

// addSELinux adds what the options say, but for a type that a grant lifts: the
// grant's capabilities and uid 0 are what the level restricted refuses there.
func (f *Facts) addSELinux(container int, o *corev1.SELinuxOptions, grantedType string, env *Environment) {
	if o == nil {
		return
	}
	if o.Type != "" && o.Type != grantedType {
		f.add(SELinuxType, stringValue(o.Type), place{container: container, suffix: seLinuxTypeField})
	}
	if o.User != "" {
		f.add(SELinuxUser, stringValue(o.User), place{container: container, suffix: seLinuxUserField})
	}
	if o.Role != "" {
		f.add(SELinuxRole, stringValue(o.Role), place{container: container, suffix: seLinuxRoleField})
	}
	if o.Level != "" {
		level := stringValue(o.Level)
		f.add(SELinuxLevel, level, place{container: container, suffix: seLinuxLevelField})
		if env.Within == nil || env.Within(o.Level) {
			f.levelsWithin = append(f.levelsWithin, level)
		}
	}
}

func (f *Facts) addHostProcess(container int, o *corev1.WindowsSecurityContextOptions) {
	if o != nil && o.HostProcess != nil {
		f.add(HostProcess, boolValue(*o.HostProcess), place{container: container, suffix: hostProcessField})
	}
}

func (f *Facts) addProbeHosts(index int, c *Container) {
	handler := func(h *Handler, httpGet, tcpSocket string) {
		if h == nil {
			return
		}
		if h.HTTPGet != nil && h.HTTPGet.Host != "" {
			f.add(ProbeHosts, stringValue(h.HTTPGet.Host), place{container: index, suffix: httpGet})
		}
		if h.TCPSocket != nil && h.TCPSocket.Host != "" {
			f.add(ProbeHosts, stringValue(h.TCPSocket.Host), place{container: index, suffix: tcpSocket})
		}
	}
	handler(c.LivenessProbe, "livenessProbe.httpGet.host", "livenessProbe.tcpSocket.host")
	handler(c.ReadinessProbe, "readinessProbe.httpGet.host", "readinessProbe.tcpSocket.host")
	handler(c.StartupProbe, "startupProbe.httpGet.host", "startupProbe.tcpSocket.host")
	if c.Lifecycle != nil {
		handler(c.Lifecycle.PostStart, "lifecycle.postStart.httpGet.host", "lifecycle.postStart.tcpSocket.host")
		handler(c.Lifecycle.PreStop, "lifecycle.preStop.httpGet.host", "lifecycle.preStop.tcpSocket.host")
	}
}
