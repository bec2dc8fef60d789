package diagnose

import (
	"fmt"

	"github.com/debugsidecar/debugsidecar/sidecar/diagnose/inroot"
)

// Verdict says whose root directory /proc/PID/root is.
type Verdict string

const (
	// ContainerRoot is that of another container.
	ContainerRoot Verdict = "container"
	// OwnRoot is ours: the process is in this container.
	OwnRoot Verdict = "own"
	// NodeRoot is the node's, or a way to all of it.
	NodeRoot Verdict = "node"
	// Directory is one within a container or the node, as after chroot.
	Directory Verdict = "directory"
)

// judge says whose root it is. node is nil if the node's root can't be seen from
// here. The reasons are in the order of what would do most harm if missed.
func judge(target, own, node *Root) (verdict Verdict, reason string) {
	switch {
	case target.same(node):
		if target.MountID == node.MountID {
			return NodeRoot, "it is the node's root directory, not a container's"
		}
		return NodeRoot, "it is the node's root directory, mounted a second time"
	case target.MountNamespace == initialMountNamespace:
		return NodeRoot, "the process is in the node's mount namespace: its root is a directory of the node (chroot)"
	case node != nil && target.MountNamespace == node.MountNamespace:
		return NodeRoot, "the process is in the node's mount namespace: its root is a directory of the node (chroot)"
	case target.same(own):
		return OwnRoot, "it is our own root directory: the process is in this container"
	case target.MountNamespace == own.MountNamespace:
		return Directory, "the process is in our own mount namespace: its root is a directory of this container (chroot)"
	case !target.MountRoot:
		return Directory, "it is not the top of a mount: the process has changed its root to a directory (chroot)"
	}
	reason = fmt.Sprintf("mount %d in mount namespace %d is the top of a %s that is neither ours", target.MountID, target.MountNamespace, target.Filesystem)
	switch {
	case node == nil:
		return ContainerRoot, reason + "; the node's root can't be seen from here to compare (that takes hostPID)"
	case target.Device == node.Device && target.FSID == node.FSID:
		return ContainerRoot, reason + " nor the node's root, but on the node's filesystem"
	}
	return ContainerRoot, reason + " nor the node's"
}

// The numbers of the initial namespaces (include/uapi/linux/nsfs.h); that of
// mounts since Linux 6.18.
const (
	initialMountNamespace = 0xEFFFFFF8
	initialPIDNamespace   = 0xEFFFFFFC
)

// nodeRoot returns the node's root directory, nil if it can't be seen: process
// 1 has it if this is the node's PID namespace, and we do if we are in no
// container.
func nodeRoot(own *Root) *Root {
	if own.MountNamespace == initialMountNamespace {
		return own
	}
	self, err := openProcess("self")
	if err != nil {
		return nil
	}
	defer self.close()
	if ns, err := self.namespace("pid"); err != nil || ns != initialPIDNamespace {
		return nil
	}
	first, err := openProcess("1")
	if err != nil {
		return nil
	}
	defer first.close()
	root, err := first.root()
	if err != nil {
		return nil
	}
	return root
}

// release returns the name in /etc/os-release below a root directory.
func release(root int) string {
	text, _, err := inroot.Read(root, "etc/os-release", 4096, 0)
	if err != nil {
		return ""
	}
	return prettyName(string(text))
}
