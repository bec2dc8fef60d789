package main

import (
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// fileCommand serves a video file over HTTP at the pace of a live stream.
func fileCommand() *cobra.Command {
	var (
		listen string
		lasts  time.Duration
	)
	c := &cobra.Command{
		Use: "file PATH", Short: "serve a video file at the pace of a live stream", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			data, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			h := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				w.Header().Set("Content-Type", "video/x-flv")
				const step = 50 * time.Millisecond
				chunk := max(1, int(float64(len(data))*float64(step)/float64(lasts)))
				for rest := data; len(rest) > 0 && q.Context().Err() == nil; rest = rest[min(chunk, len(rest)):] {
					if _, err := w.Write(rest[:min(chunk, len(rest))]); err != nil {
						return
					}
					_ = http.NewResponseController(w).Flush()
					time.Sleep(step)
				}
			})
			fmt.Println("serving", args[0], len(data), "bytes")
			return serveHTTP(c.Context(), listen, h)
		},
	}
	c.Flags().StringVar(&listen, "listen", ":8091", "address of HTTP")
	c.Flags().DurationVar(&lasts, "lasts", time.Minute, "how long the video is")
	return c
}
