package open

import (
	"context"
	"io"
	"os"
	"runtime"

	"github.com/cli/browser"
)

// hasScreen says whether a browser would have a window. Without one, some systems
// start a browser in the terminal.
func hasScreen() bool {
	switch runtime.GOOS {
	case "windows", "darwin":
		return true
	}
	for _, name := range []string{"DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"} {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return false
}

// show shows a link to the person: in a browser, or as text where there is none.
func (o *opener) show(ctx context.Context, link string) {
	if o.browse && hasScreen() {
		if once, err := handOver(ctx, link); err == nil {
			browser.Stdout, browser.Stderr = io.Discard, io.Discard
			go func() {
				if browser.OpenURL(once) != nil { // it may last as long as the browser
					o.print(link)
				}
			}()
			return
		}
	}
	o.print(link)
}
