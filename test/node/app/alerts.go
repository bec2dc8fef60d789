package main

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// received is an alert as it was pushed, and when it came.
type received struct {
	At    time.Time       `json:"at"`
	Alert json.RawMessage `json:"alert"`
}

// alertsCommand is a receiver of pushed alerts that keeps them all.
func alertsCommand() *cobra.Command {
	var listen string
	c := &cobra.Command{
		Use: "alerts", Short: "keep the alerts that are posted; GET / lists them", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var (
				mu  sync.Mutex
				all = []received{}
			)
			h := http.NewServeMux()
			h.HandleFunc("POST /", func(w http.ResponseWriter, q *http.Request) {
				now := time.Now()
				var batch []json.RawMessage
				if err := json.NewDecoder(http.MaxBytesReader(w, q.Body, 1<<20)).Decode(&batch); err != nil {
					http.Error(w, err.Error(), http.StatusBadRequest)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				for _, a := range batch {
					all = append(all, received{now, a})
				}
			})
			h.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				answer(w, all)
			})
			return serveHTTP(c.Context(), listen, h)
		},
	}
	c.Flags().StringVar(&listen, "listen", ":8092", "address of HTTP")
	return c
}
