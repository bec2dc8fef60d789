package probe

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// TokenCommand is `sidecar token`: in images without a shell it is how the command
// line gets to the page.
func TokenCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "token",
		Short: "Print where the probe's page is, and the token that it takes",
		Long: `Prints a line of JSON: {"address":"127.0.0.1:9401","token":"…"}. The token is a
secret. kubectl debugsidecar open runs this in the probe's container.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var said struct {
				Address string `json:"address"`
				Token   string `json:"token"`
			}
			for name, to := range map[string]*string{"inside": &said.Address, "token": &said.Token} {
				text, err := readLine(filepath.Join(dir, name))
				if errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("there is no %s: no video-probe has started here", filepath.Join(dir, name))
				}
				if err != nil {
					return err
				}
				*to = text
			}
			return json.NewEncoder(c.OutOrStdout()).Encode(said)
		},
	}
	c.Flags().StringVar(&dir, "run-dir", cmp.Or(os.Getenv("DEBUGSIDECAR_RUN_DIR"), "/run/debugsidecar"), "directory that video-probe was given")
	return c
}

// readLine reads a small file of one line.
func readLine(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 4<<10))
	return strings.TrimSpace(string(text)), err
}
