// Command webhook is debugsidecar's admission server.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/debugsidecar/debugsidecar/webhook/server"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	ctrl.SetLogger(logr.FromSlogHandler(log.Handler()))
	// The handler is registered once; a second signal ends the program at once.
	if err := server.Command(log).ExecuteContext(ctrl.SetupSignalHandler()); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "webhook:", err)
		os.Exit(1)
	}
}
