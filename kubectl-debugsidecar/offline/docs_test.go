package offline

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

func TestDocumentation_NamesEveryFlagAndNoOther(t *testing.T) {
	text := readFile(t, "../../docs/cli.md")
	known := []string{"all-namespaces"} // kubectl's
	for _, c := range newCommand(genericiooptions.IOStreams{}).Commands() {
		if !strings.Contains(text, "kubectl debugsidecar "+c.Name()) {
			t.Errorf("the command %s is not in docs/cli.md", c.Name())
		}
		for _, one := range append(c.Commands(), c) {
			known = append(known, undocumented(t, one, text)...)
		}
	}
	for _, m := range regexp.MustCompile(`--([a-z][a-z-]+)`).FindAllStringSubmatch(text, -1) {
		if !slices.Contains(known, m[1]) {
			t.Errorf("docs/cli.md names the flag --%s, which there is not", m[1])
		}
	}
}

// undocumented reports a command's flags that the text lacks, and returns all.
func undocumented(t *testing.T, c *cobra.Command, text string) (names []string) {
	t.Helper()
	c.Flags().VisitAll(func(f *pflag.Flag) {
		names = append(names, f.Name)
		if !strings.Contains(text, "--"+f.Name) && (f.Shorthand == "" || !strings.Contains(text, "`-"+f.Shorthand)) {
			t.Errorf("the flag --%s of %s is not in docs/cli.md", f.Name, c.Name())
		}
	})
	return names
}
