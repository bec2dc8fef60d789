// Package kubeconfig has kubectl's flags that say which cluster and namespace is
// meant, and finds the kubeconfig as kubectl does.
package kubeconfig

import (
	"slices"

	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/clientcmd"
)

// Flags are those of kubectl's flags that matter here. They are not
// cli-runtime's ConfigFlags, because these come with kustomize and the clients:
// a tenth of what is to be compiled, and nothing of it is used.
type Flags struct {
	Kubeconfig, Context, Namespace string
}

// AddTo adds the flags; namespace says what -n means, and without it there is no
// such flag.
func (k *Flags) AddTo(f *pflag.FlagSet, namespace string) {
	f.StringVar(&k.Kubeconfig, "kubeconfig", "", "path to the kubeconfig file")
	f.StringVar(&k.Context, "context", "", "the kubeconfig's context to use")
	if namespace == "" {
		return
	}
	f.StringVarP(&k.Namespace, "namespace", "n", "", namespace)
}

// Config reads the kubeconfig, as kubectl finds it, when it is asked.
func (k *Flags) Config() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = k.Kubeconfig
	// With the defaults, to have no kubeconfig is no error.
	overrides := &clientcmd.ConfigOverrides{ClusterDefaults: clientcmd.ClusterDefaults, CurrentContext: k.Context}
	overrides.Context.Namespace = k.Namespace
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
}

// Contexts are the names of the kubeconfig's contexts, for completion.
func (k *Flags) Contexts() []string {
	c, err := k.Config().RawConfig()
	if err != nil {
		return nil
	}
	var names []string
	for name := range c.Contexts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
