package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// Command returns snapshot.
func Command(version string) *cobra.Command {
	o := options{version: version, proc: "/proc", partTime: partTime, allTime: allTime}
	var out string
	var list bool
	c := &cobra.Command{
		Use:   "snapshot [-o FILE|-]",
		Short: "Gather what there is to know of this pod into one archive",
		Long: `Gather what one always gathers of a pod that misbehaves into one tar.gz: processes,
sockets with queues and drops, the network's counters, what the kernel drops and
why, mounts, limits, control groups and their pressure, names of environment
variables, what the video probe says, and what doctor finds. What can't be had is
in its manifest.json, with the reason.

Secrets are masked, but read it before you give it to others. From outside:

    kubectl exec POD -c CONTAINER -- sidecar snapshot -o - > snapshot.tgz`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.progress = c.ErrOrStderr()
			if o.since <= 0 {
				return errors.New("--since must be more than 0")
			}
			if list {
				for _, p := range (&look{o: o}).parts() {
					fmt.Fprintf(c.OutOrStdout(), "%-32s %s\n", p.name, p.from)
				}
				return nil
			}
			return save(c.Context(), out, c.OutOrStdout(), o)
		},
	}
	runDir := os.Getenv("DEBUGSIDECAR_RUN_DIR")
	if runDir == "" {
		runDir = "/run/debugsidecar"
	}
	c.Flags().StringVarP(&out, "output", "o", "", "the archive, - for standard output (default snapshot-TIME.tgz in the temporary directory)")
	c.Flags().BoolVar(&list, "list", false, "list what would be gathered, and from where")
	c.Flags().DurationVar(&o.since, "since", 10*time.Minute, "how far back the probe's log goes; it keeps 10 minutes")
	c.Flags().StringVar(&o.runDir, "run-dir", runDir, "the directory of the probe's token")
	return c
}

func save(ctx context.Context, out string, stdout io.Writer, o options) (err error) {
	if ctx == nil {
		ctx = context.Background()
	}
	w := stdout
	if out == "" {
		out = fmt.Sprintf("%s/snapshot-%s.tgz", strings.TrimSuffix(os.TempDir(), "/"), time.Now().UTC().Format("20060102T150405Z"))
	}
	if f, ok := stdout.(*os.File); ok && out == "-" && isTerminal(f) {
		return errors.New("an archive is nothing for a terminal: redirect it, or name a file with -o")
	}
	if out != "-" {
		f, err := create(out)
		if err != nil {
			return err
		}
		defer func() {
			if err = errors.Join(err, f.Close()); err != nil {
				_ = os.Remove(out) // half an archive is none
			}
		}()
		w = f
	}
	m, err := write(ctx, w, o)
	if err != nil {
		return err
	}
	lacking := 0
	for _, e := range m.Parts {
		if e.Bytes == 0 {
			lacking++
		}
	}
	fmt.Fprintf(o.progress, "%s has %d parts; %d could not be had, manifest.json says why\n", out, len(m.Parts)-lacking, lacking)
	return nil
}

// oneLine is a text as a terminal may get it.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	const most = 160
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return text
}
