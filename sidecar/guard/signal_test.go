package guard_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/debugsidecar/debugsidecar/sidecar/guard"
)

// TestMain is also the program that TestProcess sends signals to.
func TestMain(m *testing.M) {
	if how := os.Getenv("GUARD_TEST_PROGRAM"); how != "" {
		program(how)
		return
	}
	goleak.VerifyTestMain(m)
}

// program stops at a signal; with "hangs", its clean-up takes for ever.
func program(how string) {
	g := guard.New(guard.Options{StopTimeout: time.Minute})
	g.Register()
	_ = g.OnStop("the test", func(context.Context) error {
		fmt.Println("cleaning up")
		if how == "hangs" {
			select {}
		}
		return nil
	})
	fmt.Println("up")
	<-g.Context().Done()
	_ = g.Stop("")
	_, why := g.State()
	fmt.Println(why)
}

func TestProcessEndsAsSignalsTell(t *testing.T) {
	for _, c := range []struct {
		name, how string
		signals   []syscall.Signal
		status    int
		says      string
	}{
		{"TERM stops it in order", "ends", []syscall.Signal{syscall.SIGTERM}, 0, "up,cleaning up,signal: terminated"},
		{"INT stops it in order", "ends", []syscall.Signal{syscall.SIGINT}, 0, "up,cleaning up,signal: interrupt"},
		{"a second TERM exits at once", "hangs", []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM}, 143, "up,cleaning up"},
		{"INT after TERM exits at once", "hangs", []syscall.Signal{syscall.SIGTERM, syscall.SIGINT}, 130, "up,cleaning up"},
	} {
		t.Run(c.name, func(t *testing.T) {
			exe, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, exe)
			cmd.Env = append(os.Environ(), "GUARD_TEST_PROGRAM="+c.how)
			runtime.LockOSThread() // Pdeathsig is about the thread
			defer runtime.UnlockOSThread()
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var said []string
			lines := bufio.NewScanner(out)
			for lines.Scan() {
				// "up" and "cleaning up" are when the next signal may come.
				said = append(said, lines.Text())
				if n := len(said); n <= len(c.signals) {
					if err := cmd.Process.Signal(c.signals[n-1]); err != nil {
						t.Fatal(err)
					}
				}
			}
			err = cmd.Wait()
			status := 0
			if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
				status = exit.ExitCode()
			}
			if got := strings.Join(said, ","); status != c.status || got != c.says {
				t.Errorf("status %d, said %q; want %d, %q", status, got, c.status, c.says)
			}
		})
	}
}

// own sends a signal to this process and waits until it was delivered.
func own(t *testing.T, s syscall.Signal) {
	t.Helper()
	seen := make(chan os.Signal, 1)
	signal.Notify(seen, s)
	defer signal.Stop(seen)
	if err := syscall.Kill(os.Getpid(), s); err != nil {
		t.Fatal(err)
	}
	<-seen
}

// expectHandlers waits until so many goroutines of signal handlers are there.
func expectHandlers(t *testing.T, want int) {
	t.Helper()
	var got int
	for range 1000 {
		buf := make([]byte, 1<<22)
		got = strings.Count(string(buf[:runtime.Stack(buf, true)]), "created by github.com/debugsidecar/debugsidecar/sidecar/guard.(*Guard).Register")
		if got == want {
			return
		}
		time.Sleep(5 * time.Millisecond) // one that ends may still be listed
	}
	t.Fatalf("%d goroutines wait for signals, not %d", got, want)
}

func TestManyRegistrationsAreOneHandlerAndOneCleanUp(t *testing.T) {
	defer goleak.VerifyNone(t)
	var exits, cleanUps atomic.Int32
	exited := make(chan int, 100)
	g := guard.New(guard.Options{Signals: []os.Signal{syscall.SIGUSR1}, Exit: func(status int) {
		exits.Add(1)
		exited <- status
	}})
	release := make(chan struct{})
	_ = g.OnStop("it", func(context.Context) error { cleanUps.Add(1); <-release; return nil })
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 20 {
				g.Register()
			}
		})
	}
	wg.Wait()
	expectHandlers(t, 1)
	own(t, syscall.SIGUSR1)
	<-g.Context().Done()
	own(t, syscall.SIGUSR1)
	if status := <-exited; status != 128+int(syscall.SIGUSR1) {
		t.Error("status", status)
	}
	close(release)
	for range 50 {
		wg.Go(func() { _ = g.Stop(""); g.Unregister() })
	}
	wg.Wait()
	if exits.Load() != 1 || cleanUps.Load() != 1 {
		t.Errorf("%d exits, %d clean-ups", exits.Load(), cleanUps.Load())
	}
	expectHandlers(t, 0)
	g.Register()
	expectHandlers(t, 0) // a stopped guard waits for none
}

func TestRegisterAndUnregisterAtOnceLeaveNothing(t *testing.T) {
	defer goleak.VerifyNone(t)
	// Whoever has SIGUSR2 after the guard let it go.
	kept := make(chan os.Signal, 1)
	signal.Notify(kept, syscall.SIGUSR2)
	defer signal.Stop(kept)
	g := guard.New(guard.Options{Signals: []os.Signal{syscall.SIGUSR2}})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for range 20 {
				if i%2 == 0 {
					g.Register()
				} else {
					g.Unregister()
				}
			}
		})
	}
	wg.Wait()
	g.Unregister()
	expectHandlers(t, 0)
	own(t, syscall.SIGUSR2)
	<-kept
	if state, _ := g.State(); state != guard.Initializing {
		t.Errorf("a signal after Unregister led to %v", state)
	}
	g.Register() // and it can be had again
	own(t, syscall.SIGUSR2)
	<-g.Context().Done()
	if err := g.Stop(""); err != nil {
		t.Error(err)
	}
}
