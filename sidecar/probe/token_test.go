package probe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheTokenIsPrintedWithTheAddress(t *testing.T) {
	dir := t.TempDir()
	ask := func() (string, error) {
		var out strings.Builder
		c := TokenCommand()
		c.SetArgs([]string{"--run-dir", dir})
		c.SetOut(&out)
		c.SilenceErrors, c.SilenceUsage = true, true
		err := c.Execute()
		return out.String(), err
	}
	if out, err := ask(); err == nil || !strings.Contains(err.Error(), "no video-probe has started") {
		t.Errorf("without a probe: %q, %v", out, err)
	}
	for name, text := range map[string]string{"token": "secret\n", "inside": "127.0.0.1:9402\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := ask()
	if want := `{"address":"127.0.0.1:9402","token":"secret"}` + "\n"; err != nil || out != want {
		t.Errorf("got %q, %v; want %q", out, err, want)
	}
}
