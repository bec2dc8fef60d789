// Package live has the plugin's commands that look at probes while they run: top
// watches all of a namespace, open shows one's page.
package live

import (
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/open"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/top"
)

// Commands returns the commands.
func Commands(streams genericiooptions.IOStreams) []*cobra.Command {
	return []*cobra.Command{top.Command(streams), open.Command(streams)}
}
