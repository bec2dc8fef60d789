package debug

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ErrNoTerminal says that tmux, in which commands are driven, is not there.
var ErrNoTerminal = errors.New("tmux is not installed (test/tools/deps.sh debug)")

// Terminal is one in which a shell runs, as a person would use it.
type Terminal struct {
	socket string
	env    []string
}

// NewTerminal begins one of this size, in an own tmux server in dir. Its shell has
// these variables besides, as in "KUBECONFIG=...", and "$ " as its prompt.
func NewTerminal(ctx context.Context, dir string, columns, rows int, env ...string) (*Terminal, error) {
	if _, err := exec.LookPath("tmux"); err != nil {
		return nil, ErrNoTerminal
	}
	t := &Terminal{socket: filepath.Join(dir, "tmux"), env: append(os.Environ(), append(env, "PS1=local$ ", "TERM=screen", "TMUX=")...)}
	_, err := t.tmux(ctx, "-f", os.DevNull, "new-session", "-d", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(rows), "bash", "--norc", "--noprofile")
	if err != nil {
		return nil, err
	}
	return t, t.Shows(ctx, 10*time.Second, "local$")
}

func (t *Terminal) tmux(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "tmux", append([]string{"-S", t.socket}, args...)...)
	cmd.Env = t.env
	var failure bytes.Buffer
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("tmux %s: %w: %s", strings.Join(args, " "), err, failure.String())
	}
	return string(out), nil
}

// Close ends it and all in it.
func (t *Terminal) Close(ctx context.Context) error {
	_, err := t.tmux(ctx, "kill-server")
	return err
}

// Line types a line.
func (t *Terminal) Line(ctx context.Context, text string) error {
	if _, err := t.tmux(ctx, "send-keys", "-l", text); err != nil {
		return err
	}
	return t.Key(ctx, "Enter")
}

// Key presses a key, by tmux's name: C-c.
func (t *Terminal) Key(ctx context.Context, name string) error {
	_, err := t.tmux(ctx, "send-keys", name)
	return err
}

// Resize gives it another size.
func (t *Terminal) Resize(ctx context.Context, columns, rows int) error {
	_, err := t.tmux(ctx, "resize-window", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(rows))
	return err
}

// Clear empties the screen and what was scrolled out of it.
func (t *Terminal) Clear(ctx context.Context) error {
	if err := t.Key(ctx, "C-l"); err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond)
	_, err := t.tmux(ctx, "clear-history")
	return err
}

// Screen is what is to be seen, and what was, with broken lines joined.
func (t *Terminal) Screen(ctx context.Context) (string, error) {
	return t.tmux(ctx, "capture-pane", "-p", "-J", "-S", "-500")
}

// Shows waits until the screen has all of these texts.
func (t *Terminal) Shows(ctx context.Context, most time.Duration, texts ...string) error {
	var screen string
	for end := time.Now().Add(most); ; {
		var err error
		if screen, err = t.Screen(ctx); err != nil {
			return err
		}
		missing := ""
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				missing = text
			}
		}
		if missing == "" {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the screen has no %q after %s:\n%s", missing, most, strings.TrimSpace(screen))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
