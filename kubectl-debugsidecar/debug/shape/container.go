package shape

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// container is what all profiles have in common.
func container(t *target, o *Options) corev1.EphemeralContainer {
	c := corev1.EphemeralContainer{}
	if !t.isNew {
		c.TargetContainerName = t.Name
	}
	c.Name, c.Image, c.ImagePullPolicy = o.Name, o.Image, o.PullPolicy
	c.Stdin, c.TTY = o.Stdin, o.TTY
	// Not FallbackToLogsOnError: what stood in the terminal last would become part
	// of the pod's status, which more people can read.
	c.TerminationMessagePolicy = corev1.TerminationMessageReadFile
	c.Command, c.Args = Command(o.Foreign, o.Command)
	c.Env = append(Record(o), corev1.EnvVar{Name: session.TargetContainerVar, Value: t.Name})
	if t.ID != "" {
		c.Env = append(c.Env, corev1.EnvVar{Name: session.TargetIDVar, Value: t.ID})
	}
	c.Env = append(c.Env, corev1.EnvVar{Name: session.PodVar, Value: t.pod.Namespace + "/" + t.pod.Name})
	return c
}

// Record is what is asked for of a session, as the container's environment has
// it. The webhook adds who asked.
func Record(o *Options) []corev1.EnvVar {
	env := []corev1.EnvVar{{Name: session.TTLVar, Value: o.TTL.String()}}
	if o.Reason != "" {
		env = append(env, corev1.EnvVar{Name: session.ReasonVar, Value: o.Reason})
	}
	if o.Ticket != "" {
		env = append(env, corev1.EnvVar{Name: session.TicketVar, Value: o.Ticket})
	}
	return env
}

// Command is a container's command and arguments: of our image, whose entrypoint
// is `sidecar`, or of a foreign one.
func Command(foreign bool, run []string) (command, args []string) {
	var verbatim []string
	for _, arg := range run {
		verbatim = append(verbatim, escape(arg))
	}
	switch {
	case foreign:
		return verbatim, nil
	case len(run) == 0:
		return nil, []string{"debug"}
	}
	return nil, append([]string{"debug", "--"}, verbatim...)
}

// escape keeps Kubernetes from expanding $(VAR) and from taking $$ for $: a
// program gets the text that was typed.
func escape(arg string) string {
	if !strings.Contains(arg, "$(") && !strings.Contains(arg, "$$") {
		return arg
	}
	return strings.ReplaceAll(arg, "$", "$$")
}
