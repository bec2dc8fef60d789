package open

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"net"
	"net/http"
	"sync"
	"time"
)

// handoverTime is how long a browser may take to start.
const handoverTime = 2 * time.Minute

// handOver serves a link that leads to another one, once. A browser is started with
// its link as an argument, which other users of the machine can read; this one is
// worth nothing to them once it was used.
func handOver(ctx context.Context, link string) (once string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	path := "/" + rand.Text()
	var mu sync.Mutex
	used := false
	server := &http.Server{
		ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Referrer-Policy", "no-referrer")
			switch {
			case r.Host != l.Addr().String() || r.Method != http.MethodGet || subtle.ConstantTimeCompare([]byte(r.URL.Path), []byte(path)) != 1:
				http.Error(w, "there is nothing here", http.StatusNotFound)
			case used:
				http.Error(w, "this link was used already: run kubectl debugsidecar open again", http.StatusGone)
			default:
				used = true
				w.Header().Set("Location", link)
				w.WriteHeader(http.StatusSeeOther)
			}
		}),
	}
	ctx, cancel := context.WithTimeout(ctx, handoverTime)
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() {
		defer cancel()
		_ = server.Serve(l) // ends with ctx
	}()
	return "http://" + l.Addr().String() + path, nil
}
