package facts

// Kind is one sort of fact: the name of its set in the document that the rules
// read as `input.<name>`.
type Kind uint8

// The kinds of fact. What a value of each looks like stands behind it.
const (
	Privileged               Kind = iota // true, false
	CapabilitiesAdd                      // a capability that neither a grant nor the image lifts
	CapabilitiesGranted                  // a capability that a grant lifts for its container
	CapabilitiesOfImage                  // a capability that the parameter capabilities.images lifts for its container's image
	CapabilitiesDrop                     // the set of all capabilities that one container drops
	SELinuxType                          // a type, never empty
	SELinuxUser                          // a user, never empty
	SELinuxRole                          // a role, never empty
	SELinuxLevel                         // a level or a range of levels as it is written, never empty
	HostNamespaces                       // "hostNetwork", "hostPID", "hostIPC": those that are shared
	VolumeTypes                          // a volume source's name in the API, or "unknown"
	HostPorts                            // a port, never 0
	Sysctls                              // a sysctl's name
	AppArmorTypes                        // a profile's type
	AppArmorAnnotations                  // the value of a beta annotation
	AllowPrivilegeEscalation             // true, false, null where unset
	RunAsNonRoot                         // true, false, null where neither container nor pod set it
	RunAsUser                            // a user's number
	SeccompTypes                         // a profile's type, null where neither container nor pod set one
	ProcMount                            // a proc mount type
	HostProcess                          // true, false
	ProbeHosts                           // the host of a probe or lifecycle handler, never empty
	ReservedNames                        // the name of a container that isn't ours and bears our prefix

	kinds int = iota
)

// ReservedPrefix is how the name of every container begins that the webhook
// injects. Nobody else's may.
const ReservedPrefix = "debugsidecar-"

var kindNames = [kinds]string{
	Privileged:               "privileged",
	CapabilitiesAdd:          "capabilitiesAdd",
	CapabilitiesGranted:      "capabilitiesGranted",
	CapabilitiesOfImage:      "capabilitiesOfImage",
	CapabilitiesDrop:         "capabilitiesDrop",
	SELinuxType:              "selinuxType",
	SELinuxUser:              "selinuxUser",
	SELinuxRole:              "selinuxRole",
	SELinuxLevel:             "selinuxLevel",
	HostNamespaces:           "hostNamespaces",
	VolumeTypes:              "volumeTypes",
	HostPorts:                "hostPorts",
	Sysctls:                  "sysctls",
	AppArmorTypes:            "appArmorTypes",
	AppArmorAnnotations:      "appArmorAnnotations",
	AllowPrivilegeEscalation: "allowPrivilegeEscalation",
	RunAsNonRoot:             "runAsNonRoot",
	RunAsUser:                "runAsUser",
	SeccompTypes:             "seccompTypes",
	ProcMount:                "procMount",
	HostProcess:              "hostProcess",
	ProbeHosts:               "probeHosts",
	ReservedNames:            "reservedNames",
}

// String returns the kind's name in the document.
func (k Kind) String() string { return kindNames[k] }

// Kinds returns all kinds in their order.
func Kinds() []Kind {
	all := make([]Kind, kinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// KindOf returns the kind with the given name in the document.
func KindOf(name string) (Kind, bool) {
	for k, n := range kindNames {
		if n == name {
			return Kind(k), true
		}
	}
	return 0, false
}
