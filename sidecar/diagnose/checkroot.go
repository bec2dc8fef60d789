package diagnose

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// RootReport is what check-root found.
type RootReport struct {
	PID           int     `json:"pid"`
	ContainerRoot bool    `json:"containerRoot"`
	Verdict       Verdict `json:"verdict"`
	Reason        string  `json:"reason"`
	// OS is what /etc/os-release in it says, which proves nothing.
	OS   string `json:"os,omitempty"`
	Root *Root  `json:"root"`
	Own  *Root  `json:"own"`
	// Node is null where the node's root can't be seen.
	Node *Root `json:"node"`
}

// notAContainer is check-root's status if the root is not a container's.
const notAContainer = exitStatus(3)

// CheckRootCommand returns check-root.
func CheckRootCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "check-root PID",
		Short: "Tell whether /proc/PID/root is a container's root",
		Long: `Tell whether /proc/PID/root is the root directory of another container, and not
the node's, our own, or some directory: before you copy from it or chroot into it.

Mount id, device, inode, fsid and mount namespace are compared with our own and,
where it can be seen, the node's. Status 0: it is a container's; 3: it is not;
1: it can't be told.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := CheckRoot(args[0])
			if err != nil {
				return fmt.Errorf("the root of process %s can't be told: %w", args[0], err)
			}
			if err := r.write(c.OutOrStdout(), asJSON); err != nil {
				return err
			}
			if !r.ContainerRoot {
				return notAContainer
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// CheckRoot judges the root directory of a process.
func CheckRoot(pid string) (*RootReport, error) {
	target, err := openProcess(pid)
	if err != nil {
		return nil, err
	}
	defer target.close()
	fd, err := target.openRoot()
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	r := &RootReport{OS: release(fd)}
	if r.PID, err = strconv.Atoi(pid); err != nil {
		return nil, fmt.Errorf("%q is not a process id", pid)
	}
	if r.Root, err = describe(fd, target); err != nil {
		return nil, err
	}
	self, err := openProcess("self")
	if err != nil {
		return nil, err
	}
	defer self.close()
	if r.Own, err = self.root(); err != nil {
		return nil, fmt.Errorf("our own root: %w", err)
	}
	r.Node = nodeRoot(r.Own)
	r.Verdict, r.Reason = judge(r.Root, r.Own, r.Node)
	r.ContainerRoot = r.Verdict == ContainerRoot
	return r, nil
}

func (r *RootReport) write(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	word := "NO"
	if r.ContainerRoot {
		word = "yes"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "/proc/%d/root is a container's root: %s\n%s\n", r.PID, word, r.Reason)
	if r.OS != "" {
		fmt.Fprintf(&b, "it says it is %s\n", r.OS)
	}
	fmt.Fprintf(&b, "\n%-6s %9s %8s %12s %18s %-10s %-5s %s\n", "", "mount id", "device", "inode", "fsid", "type", "top", "mount namespace")
	for _, line := range []struct {
		name string
		root *Root
	}{{"it", r.Root}, {"ours", r.Own}, {"node's", r.Node}} {
		if line.root == nil {
			fmt.Fprintf(&b, "%-6s can't be seen from here\n", line.name)
			continue
		}
		top := "no"
		if line.root.MountRoot {
			top = "yes"
		}
		fmt.Fprintf(&b, "%-6s %9d %8s %12d %18s %-10s %-5s %d\n", line.name, line.root.MountID, line.root.Device,
			line.root.Inode, line.root.FSID, line.root.Filesystem, top, line.root.MountNamespace)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// prettyName returns PRETTY_NAME of an os-release file, in printable letters: it
// goes to a person's terminal.
func prettyName(text string) string {
	for line := range strings.Lines(text) {
		value, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME=")
		if !ok {
			continue
		}
		value = strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) {
				return -1
			}
			return r
		}, strings.Trim(value, `"'`))
		if runes := []rune(value); len(runes) > 80 {
			return string(runes[:80])
		}
		return value
	}
	return ""
}
