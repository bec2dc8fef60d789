package probe

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/debugsidecar/debugsidecar/sidecar/guard"
	"github.com/debugsidecar/debugsidecar/sidecar/launch"
)

// Command is `sidecar video-probe`.
func Command(version string) *cobra.Command {
	var o Options
	c := &cobra.Command{
		Use:   "video-probe",
		Short: "Watch video streams and warn before viewers see a stall",
		Long: `Watches the RTP streams of its network namespace, and the stream that --source
names, and warns before viewers see a stall.

In a pod the profile sets all options by variables DEBUGSIDECAR_*. By hand it
prints where its page is; the link has the token in it.

What it can see depends on what it may do; "sidecar doctor" says so.`,
		Example: `  sidecar video-probe --source rtsp://user:password@camera/stream --open always --pictures
  sidecar video-probe --rtp-ports 5004,5006 --alertmanager http://alertmanager:9093`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Complete(); err != nil {
				return err
			}
			level, err := o.level()
			if err != nil {
				return err
			}
			log := slog.New(slog.NewJSONHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
			if o.Local {
				log = slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
			}
			g := guard.New(guard.Options{})
			g.Register()
			if o.WithTools {
				defer launch.ReapOrphans()()
			}
			err = Run(g, o, version, log, c.OutOrStdout())
			if stop := g.Stop("the probe ended"); err == nil && stop != nil {
				err = fmt.Errorf("ending: %w", stop)
			}
			return err
		},
	}
	o.BindFlags(c.Flags())
	return c
}
