package diagnose

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/diagnose/proc"
	"github.com/debugsidecar/debugsidecar/sidecar/diagnose/target"
)

// View is what is known of the session's target container.
type View struct {
	Name string `json:"name"` // of the container; empty: none was named
	// Target is nil where it was not found; WhyNot says why.
	Target *target.Target `json:"target"`
	WhyNot string         `json:"whyNot,omitempty"`
	// Root is nil where its root directory can't be read or is not a container's;
	// then RootWhyNot says what is missing.
	Root       *RootReport `json:"root"`
	RootWhyNot string      `json:"rootWhyNot,omitempty"`
}

// RootPath is where the target's files are, empty if it is not to be trusted.
func (v *View) RootPath() string {
	if v.Target == nil || v.Root == nil {
		return ""
	}
	return fmt.Sprintf("/proc/%d/root", v.Target.PID)
}

// OpenRoot opens the target's root directory, which was checked, as long as it is
// the same process's.
func (v *View) OpenRoot() (fd int, err error) {
	if v.RootPath() == "" {
		return -1, errors.New(cmp.Or(v.RootWhyNot, v.WhyNot, "there is none"))
	}
	p, err := openProcess(strconv.Itoa(v.Target.PID))
	if err != nil {
		return -1, err
	}
	defer p.close()
	if fd, err = p.openRoot(); err != nil {
		return -1, err
	}
	now, err := describe(fd, p)
	if err == nil && !now.same(v.Root.Root) {
		err = errors.New("the target has another root directory than before")
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// LookAtTarget finds the target of this container's session, and checks its root
// before anybody trusts it.
func LookAtTarget() *View {
	v := &View{Name: os.Getenv("DEBUGSIDECAR_TARGET_CONTAINER")}
	id, command := os.Getenv("DEBUGSIDECAR_TARGET_ID"), os.Getenv("DEBUGSIDECAR_TARGET_COMMAND")
	found, err := target.Find("/proc", id, os.Getpid())
	if id == "" && command != "" {
		found, err = target.Held("/proc", command, os.Getpid())
	}
	if err != nil {
		v.WhyNot = err.Error()
		return v
	}
	v.Target = found
	report, err := CheckRoot(strconv.Itoa(found.PID))
	if err != nil {
		v.RootWhyNot = err.Error()
		if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
			v.RootWhyNot = "it can't be read: " + missing(found.PID)
		}
		return v
	}
	// Between the two, its number may have become another process's.
	if now, err := proc.Read("/proc", found.PID); err != nil || now.Start != found.Start {
		v.Target, v.WhyNot = nil, "it ended while we looked at it"
		return v
	}
	if !report.ContainerRoot {
		v.RootWhyNot = report.Reason
		return v
	}
	v.Root = report
	return v
}

// missing says what we lack to look into a process, as the kernel judges it
// (ptrace(2), PTRACE_MODE_READ_FSCREDS).
func missing(pid int) string {
	theirs, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return explained(unix.ESRCH).Error()
	}
	ours, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return err.Error()
	}
	it, we := parseStatus(string(theirs)), parseStatus(string(ours))
	hex := func(fields map[string]string, name string) uint64 {
		n, _ := strconv.ParseUint(fields[name], 16, 64) // malformed is none
		return n
	}
	var lacks []string
	for _, id := range []struct{ name, field string }{{"uid", "Uid"}, {"gid", "Gid"}} {
		all, own := strings.Fields(it[id.field]), strings.Fields(we[id.field])
		if len(all) < 3 || len(own) < 4 {
			continue
		}
		for _, one := range all[:3] { // real, effective, saved; ours is the filesystem's
			if one != own[3] {
				lacks = append(lacks, fmt.Sprintf("its %s %s, while ours is %s", id.name, one, own[3]))
				break
			}
		}
	}
	if set := hex(it, "CapPrm") &^ hex(we, "CapEff"); set != 0 {
		lacks = append(lacks, "its capabilities "+strings.Join(namesOf(set), ", "))
	}
	if len(lacks) == 0 {
		return "it takes CAP_SYS_PTRACE, since the process is protected (its program changed its user or may not be read), or a security module refuses"
	}
	return "we lack " + strings.Join(lacks, "; ") + " (or CAP_SYS_PTRACE instead of all these)"
}
