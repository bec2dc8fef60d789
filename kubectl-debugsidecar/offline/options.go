package offline

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/kubeconfig"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/manifest"
	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

// options are the flags that all commands have.
type options struct {
	streams           genericiooptions.IOStreams
	kube              kubeconfig.Flags
	sources           manifest.Sources
	profile           string
	podSecurity       string
	kubernetesVersion string
	paths             config.Paths
	level             string // of our policies; a flag of check only

	nativeSidecars bool // from kubernetesVersion
}

func newOptions(streams genericiooptions.IOStreams) *options {
	return &options{
		streams: streams,
		sources: manifest.Sources{Stdin: streams.In},
	}
}

func (o *options) addFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringSliceVarP(&o.sources.Names, "filename", "f", nil, "file or directory with manifests; - is standard input; may be repeated")
	f.BoolVarP(&o.sources.Recursive, "recursive", "R", false, "read the directories in a directory, too")
	f.StringVar(&o.profile, "profile", "", "decide as if each pod had the label "+inject.Label+" with this profile; pods with the label "+inject.Disabled+" stay as they are")
	f.StringVar(&o.podSecurity, "pod-security", "", "Pod Security level that the namespaces enforce: restricted, baseline or privileged")
	f.StringVar(&o.kubernetesVersion, "kubernetes-version", "", "version of the cluster, such as 1.28 (default: the newest)")
	f.StringVar(&o.paths.Config, "config", "", "the webhook's configuration (config.yaml)")
	f.StringVar(&o.paths.PolicyParameters, "policy-parameters", "", "parameters of the policies (policy.yaml)")
	f.StringVar(&o.paths.Profiles, "profiles", "", "directory with profiles beside the embedded ones")
	o.kube.AddTo(f, "namespace of objects that name none")

	c.MarkFlagFilename("filename", "yaml", "yml", "json")  //nolint:errcheck // the flags exist
	c.MarkFlagFilename("config", "yaml", "yml")            //nolint:errcheck
	c.MarkFlagFilename("policy-parameters", "yaml", "yml") //nolint:errcheck
	c.MarkFlagDirname("profiles")                          //nolint:errcheck
	completeValues(c, "pod-security", "restricted", "baseline", "privileged")
	complete(c, "profile", o.profileNames)
	complete(c, "context", o.kube.Contexts)
}

// nativeSidecarsSince is the first version with native sidecars on by default
// (KEP-753).
var nativeSidecarsSince = version.MustParseGeneric("1.29.0")

// check finds mistakes in how the command was called.
func (o *options) check() error {
	var errs []error
	if len(o.sources.Names) == 0 {
		errs = append(errs, errors.New("-f is missing: name a file or a directory, or - for standard input"))
	}
	if first := slices.Index(o.sources.Names, "-"); first >= 0 && slices.Contains(o.sources.Names[first+1:], "-") {
		errs = append(errs, errors.New("-f: standard input can be read only once"))
	}
	errs = append(errs, oneOf("pod-security", o.podSecurity, "restricted", "baseline", "privileged"))
	o.nativeSidecars = true
	if o.kubernetesVersion != "" {
		v, err := version.ParseGeneric(o.kubernetesVersion)
		if err != nil {
			errs = append(errs, fmt.Errorf("--kubernetes-version: %q is no version such as 1.28", o.kubernetesVersion))
		} else {
			o.nativeSidecars = v.AtLeast(nativeSidecarsSince)
		}
	}
	return errors.Join(errs...)
}

// configuration loads what the webhook would load. There, files may be absent
// that a chart did not write; here, somebody named them.
func (o *options) configuration() (*config.Snapshot, error) {
	var errs []error
	for _, name := range []string{o.paths.Config, o.paths.PolicyParameters, o.paths.Profiles, o.paths.Rules} {
		if name == "" {
			continue
		}
		if _, err := os.Stat(name); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return config.Load(o.paths)
}

func (o *options) profileNames() []string {
	if s, err := o.configuration(); err == nil {
		return s.Profiles.Names()
	}
	return nil
}

// complete says what a shell can offer as a flag's value.
func complete(c *cobra.Command, flag string, values func() []string) {
	err := c.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return values(), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // there is no such flag
	}
}

func completeValues(c *cobra.Command, flag string, values ...string) {
	complete(c, flag, func() []string { return values })
}
