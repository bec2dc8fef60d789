package diagnose

import (
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pseudoTerminal returns both ends of one, the program's last.
func pseudoTerminal(t *testing.T) (*os.File, *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	end, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end.Close() })
	return master, end
}

func TestNothingIsSaidBeforeSomebodyLooksAtTheTerminal(t *testing.T) {
	const most = 10 * time.Second
	for _, c := range []struct {
		name string
		come func(master *os.File) error
	}{
		{"a size", func(master *os.File) error {
			return unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
		}},
		{"a line", func(master *os.File) error { _, err := master.WriteString("id\n"); return err }},
	} {
		t.Run(c.name, func(t *testing.T) {
			master, end := pseudoTerminal(t)
			seen := make(chan struct{})
			go func() { awaitSight(end, most); close(seen) }()
			select {
			case <-seen:
				t.Fatal("it did not wait")
			case <-time.After(200 * time.Millisecond):
			}
			if err := c.come(master); err != nil {
				t.Fatal(err)
			}
			select {
			case <-seen:
			case <-time.After(most / 2):
				t.Error("it waits on")
			}
		})
	}
	_, end := pseudoTerminal(t)
	begin := time.Now()
	if awaitSight(end, 300*time.Millisecond); time.Since(begin) < 250*time.Millisecond || time.Since(begin) > 5*time.Second {
		t.Errorf("at a terminal at which nobody looks it waited for %s", time.Since(begin))
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	begin = time.Now()
	if awaitSight(null, most); time.Since(begin) > most/2 {
		t.Error("it waited where there is no terminal")
	}
}
