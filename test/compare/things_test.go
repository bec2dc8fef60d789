package compare

import (
	"fmt"
	"strings"

	"github.com/debugsidecar/debugsidecar/test/node"
)

// thing is a case.
type thing struct {
	name     string // and its namespaces'
	what     string
	labels   []string // of the namespace
	manifest string
	image    string   // other than the debug image
	run      []string // other than the script
	plain    bool     // no container is named
	crashes  bool
	copies   bool
	again    bool // the same request a second time, while the first one goes on
	// tell says what a tool did, and check what ours should have done and did not.
	tell  func(*did, *thing) []string
	check func(*did, *thing) []string
}

func (c *thing) pod() string { return "app" }

func (c *thing) debugImage(l lab) string {
	if c.image != "" {
		return c.image
	}
	return l.image
}

func (c *thing) command() []string {
	if c.run != nil {
		return c.run
	}
	return []string{"bash", "-c", script}
}

// pod is a manifest of a pod whose container is called app.
func pod(spec, container string) string {
	return strings.NewReplacer("SPEC", spec, "CONTAINER", container, "IMAGE", node.AppImage).Replace(`
apiVersion: v1
kind: Pod
metadata: {name: app, labels: {app: app}}
spec:
  SPEC
  containers:
  - name: app
    image: IMAGE
    args: [work, --for=1h]
    CONTAINER
`)
}

const (
	user     = "securityContext: {runAsUser: 1000, runAsGroup: 1000, runAsNonRoot: true}"
	hardened = "securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}"
)

// went says what became of a debug container in the words of the table.
func went(d *did, c *thing) []string {
	var said []string
	switch {
	case d.in:
		said = append(said, "runs as uid "+uid(d))
		if d.has("files") {
			said = append(said, "the target's files are there")
		} else {
			said = append(said, "**the target's files can't be read**")
		}
	case !d.ended:
		said = append(said, "**waits without an end**")
	case strings.Contains(d.out, "violates PodSecurity"):
		said = append(said, "**denied** by Pod Security")
	case strings.Contains(d.out, "exceeded quota"):
		said = append(said, "**denied** by the quota")
	default:
		said = append(said, fmt.Sprintf("**status %d**: %s", d.status, firstLine(d.out)))
	}
	return said
}

func uid(d *did) string {
	_, rest, _ := strings.Cut(d.out, "in: uid ")
	id, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(id)
}

func firstLine(out string) string {
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line != "" {
			return strings.ReplaceAll(line, "|", "\\|")
		}
	}
	return "it says nothing"
}

// reached is what nearly all cases want.
func reached(d *did, _ *thing) []string {
	var wrong []string
	if !d.in {
		wrong = append(wrong, "the command did not run")
	}
	if !d.has("files") {
		wrong = append(wrong, "the target's files can't be read")
	}
	if d.status != 0 {
		wrong = append(wrong, fmt.Sprintf("status %d", d.status))
	}
	return wrong
}

var things = []thing{
	{
		name: "restricted", what: "namespace that enforces Pod Security `restricted`",
		labels: []string{"pod-security.kubernetes.io/enforce=restricted"}, manifest: pod(user, hardened),
		tell: went, check: reached,
	},
	{
		name: "nonroot", what: "`runAsNonRoot`, and an image whose user is root", image: rootImage, run: []string{"/usr/bin/app", "work", "--for=1s"},
		manifest: pod("securityContext: {runAsNonRoot: true}", "securityContext: {runAsUser: 1000}"),
		tell: func(d *did, _ *thing) []string {
			switch {
			case strings.Contains(d.out, "done"):
				return []string{"runs, as the target's user"}
			case strings.Contains(d.out, "runAsNonRoot"):
				return []string{fmt.Sprintf("**status %d** with the kubelet's reason", d.status)}
			case !d.ended:
				return []string{"**waits without an end** for a container that can't be made"}
			}
			return []string{fmt.Sprintf("**status %d**: %s", d.status, firstLine(d.out))}
		},
		check: func(d *did, _ *thing) []string {
			if !strings.Contains(d.out, "done") || d.status != 0 {
				return []string{"it did not run"}
			}
			return nil
		},
	},
	{
		name: "crash", what: "crash loop", crashes: true, copies: true,
		manifest: strings.Replace(pod(user, ""), "[work, --for=1h]", "[fail]", 1),
		tell: func(d *did, c *thing) []string {
			said := went(d, c)
			if len(d.leftover) > 0 {
				said = append(said, "**the copy stays**")
			} else if d.in {
				said = append(said, "the copy is gone with the session")
			}
			for _, p := range d.pods {
				if p.Name != c.pod() && p.Labels["app"] == "app" {
					said = append(said, "it keeps its labels, which nothing selects")
				}
			}
			return said
		},
		check: func(d *did, c *thing) []string {
			wrong := reached(d, c)
			if len(d.leftover) > 0 {
				wrong = append(wrong, "the copy stays: "+strings.Join(d.leftover, ", "))
			}
			return wrong
		},
	},
	{name: "distroless", what: "distroless: an image with one program, and a user of its own", manifest: pod("", "securityContext: {runAsUser: 1000}"), tell: went, check: reached},
	{name: "hostnetwork", what: "`hostNetwork`", manifest: pod("hostNetwork: true\n  "+user, ""), tell: went, check: reached},
	{
		name: "several", what: "several containers, none named", plain: true,
		manifest: pod(user, "") + "  - {name: second, image: " + node.AppImage + ", args: [work, --for=1h]}\n",
		tell: func(d *did, c *thing) []string {
			if d.has("processes 0") {
				return append(went(d, c), "**sees no process of any of them**")
			}
			return append(went(d, c), "sees the processes of the first one, and says so")
		},
		check: reached,
	},
	{
		name: "windows", what: `argument ` + "`C:\\video\\cam 1`", run: []string{"bash", "-c", `sleep 3; printf 'in: uid %s\n' "$(id -u)"; printf '<%s>\n' "$1"`, "bash", `C:\video\cam 1`},
		manifest: pod(user, ""),
		tell: func(d *did, _ *thing) []string {
			if d.has(`<C:\video\cam 1>`) {
				return []string{"arrives as it is"}
			}
			return []string{"**is changed**"}
		},
		check: func(d *did, _ *thing) []string {
			if !d.has(`<C:\video\cam 1>`) {
				return []string{"the argument is changed"}
			}
			return nil
		},
	},
	{
		name: "readonly", what: "read-only root", manifest: pod(user, "securityContext: {readOnlyRootFilesystem: true}"),
		tell: func(d *did, c *thing) []string {
			if d.has("writes") {
				return append(went(d, c), "may write to its own `/tmp`")
			}
			return append(went(d, c), "its own root is read-only, too")
		},
		check: reached,
	},
	{
		name: "quota", what: "quota that demands limits of each container",
		manifest: pod(user, "resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {cpu: 100m, memory: 64Mi}}") + `---
apiVersion: v1
kind: ResourceQuota
metadata: {name: all}
spec: {hard: {requests.cpu: 20m, limits.memory: 64Mi, pods: "1"}}
`,
		tell: went, check: reached,
	},
	{
		name: "again", what: "the same request a second time", again: true, manifest: pod(user, ""),
		run: []string{"sleep", "300"},
		tell: func(d *did, c *thing) []string {
			if n := len(d.debuggers(c.pod())); n != 1 {
				return []string{fmt.Sprintf("**%d debug containers** are in the pod", n)}
			}
			return []string{"finds back into the one that is there"}
		},
		check: func(d *did, c *thing) []string {
			if n := len(d.debuggers(c.pod())); n != 1 {
				return []string{fmt.Sprintf("%d debug containers", n)}
			}
			return nil
		},
	},
}
