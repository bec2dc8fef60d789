package debug

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// completionTime is how long a shell waits for what could be meant.
const completionTime = 3 * time.Second

type completer = func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective)

func (o *options) completions(c *cobra.Command) {
	c.ValidArgsFunction = func(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return o.pods(c.Context()), cobra.ShellCompDirectiveNoFileComp
	}
	fixed := func(values ...string) completer {
		return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
	}
	asked := func(values func(*cobra.Command, []string) []string) completer {
		return func(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return values(c, args), cobra.ShellCompDirectiveNoFileComp
		}
	}
	for flag, complete := range map[string]completer{
		"profile":           fixed(profiles()...),
		"dry-run":           fixed("client", "server"),
		"output":            fixed("json", "yaml"),
		"image-pull-policy": fixed("Always", "IfNotPresent", "Never"),
		"context":           asked(func(*cobra.Command, []string) []string { return o.kube.Contexts() }),
		"pod":               asked(func(c *cobra.Command, _ []string) []string { return o.pods(c.Context()) }),
		"namespace":         asked(func(c *cobra.Command, _ []string) []string { return o.namespaces(c.Context()) }),
		"container":         asked(func(c *cobra.Command, args []string) []string { return o.containers(c.Context(), args) }),
	} {
		c.RegisterFlagCompletionFunc(flag, complete) //nolint:errcheck // the flags exist
	}
}

// ask gives completions that take a cluster; none if it does not answer.
func (o *options) ask(ctx context.Context, answer func(context.Context, *client, string) []string) []string {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	config, err1 := o.kube.Config().ClientConfig()
	namespace, _, err2 := o.kube.Config().Namespace()
	if err1 != nil || err2 != nil {
		return nil
	}
	c, err := newClient(config)
	if err != nil {
		return nil
	}
	return answer(ctx, c, namespace)
}

func (o *options) pods(ctx context.Context) []string {
	return o.ask(ctx, func(ctx context.Context, c *client, namespace string) (out []string) {
		list, err := c.core.Pods(namespace).List(ctx, metav1.ListOptions{Limit: maxPods})
		if err != nil {
			return nil
		}
		for i := range list.Items {
			out = append(out, list.Items[i].Name)
		}
		return out
	})
}

func (o *options) namespaces(ctx context.Context) []string {
	return o.ask(ctx, func(ctx context.Context, c *client, _ string) (out []string) {
		list, err := c.core.Namespaces().List(ctx, metav1.ListOptions{Limit: maxPods})
		if err != nil {
			return nil
		}
		for i := range list.Items {
			out = append(out, list.Items[i].Name)
		}
		return out
	})
}

func (o *options) containers(ctx context.Context, args []string) []string {
	name := o.pod
	if len(args) > 0 && !strings.Contains(args[0], "/") {
		name = args[0]
	}
	if name == "" {
		return nil
	}
	return o.ask(ctx, func(ctx context.Context, c *client, namespace string) (out []string) {
		pod, err := c.core.Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil
		}
		for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
			for i := range list {
				out = append(out, list[i].Name)
			}
		}
		return out
	})
}
