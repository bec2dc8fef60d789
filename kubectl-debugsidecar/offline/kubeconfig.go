package offline

import (
	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/clientcmd"
)

// kubeFlags are those of kubectl's flags that matter without a cluster. They
// are not cli-runtime's ConfigFlags, because these come with kustomize and the
// clients: a tenth of what is to be compiled, and nothing of it is used.
type kubeFlags struct {
	kubeconfig, context, namespace string
}

func (k *kubeFlags) addTo(f *pflag.FlagSet) {
	f.StringVar(&k.kubeconfig, "kubeconfig", "", "path to the kubeconfig file")
	f.StringVar(&k.context, "context", "", "the kubeconfig's context to use")
	f.StringVarP(&k.namespace, "namespace", "n", "", "namespace of objects that name none")
}

// config reads the kubeconfig, as kubectl finds it, when it is asked.
func (k *kubeFlags) config() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = k.kubeconfig
	// With the defaults, to have no kubeconfig is no error.
	overrides := &clientcmd.ConfigOverrides{ClusterDefaults: clientcmd.ClusterDefaults, CurrentContext: k.context}
	overrides.Context.Namespace = k.namespace
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
}
