// Command app plays the workloads of a cluster that streams video: a camera, the
// network behind it, a receiver that knows what its viewers saw, and a job.
//
// Each part that can be asked or told something does so over HTTP, in JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c := &cobra.Command{Use: "app", Short: "workloads of a cluster that streams video", SilenceUsage: true}
	c.AddCommand(receiveCommand(), cameraCommand(), relayCommand(), workCommand(), fileCommand(), alertsCommand())
	if err := c.ExecuteContext(ctx); err != nil {
		os.Exit(1)
	}
}

// workCommand is a job: it takes some time, and then it is done.
func workCommand() *cobra.Command {
	var d time.Duration
	c := &cobra.Command{
		Use: "work", Short: "take some time, and end", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			fmt.Println("working since", time.Now().UTC().Format(time.RFC3339Nano))
			select {
			case <-time.After(d):
				fmt.Println("done")
				return nil
			case <-c.Context().Done():
				return fmt.Errorf("interrupted before it was done")
			}
		},
	}
	c.Flags().DurationVar(&d, "for", time.Second, "how long")
	return c
}

// serveHTTP serves until ctx ends.
func serveHTTP(ctx context.Context, address string, h http.Handler) error {
	s := &http.Server{Addr: address, Handler: h, ReadHeaderTimeout: 5 * time.Second}
	stopped := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stopped()
	if err := s.ListenAndServe(); ctx.Err() == nil {
		return err
	}
	return nil
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}
