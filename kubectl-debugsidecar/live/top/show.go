package top

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"
)

// model is the screen as Bubble Tea wants it, which has the terminal: raw mode, the
// second screen, sizes, and giving all of it back on each way out.
type model struct {
	w *watcher
	s *screen
}

// refresh is how often the screen is made anew: ages grow between answers, too.
const refresh = 500 * time.Millisecond

type tick time.Time

func next() tea.Cmd {
	return tea.Tick(refresh, func(t time.Time) tea.Msg { return tick(t) })
}

// Init is tea.Model's.
func (m *model) Init() tea.Cmd {
	m.take(time.Now())
	return next()
}

func (m *model) take(now time.Time) {
	m.s.rows, m.s.problem, m.s.now = m.w.rows(now), m.w.problem(), now
}

// Update is tea.Model's.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tick:
		m.take(time.Time(msg))
		return m, next()
	case tea.WindowSizeMsg:
		m.s.width, m.s.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		if msg.String() == "ctrl+z" {
			return m, tea.Suspend
		}
		if m.s.press(msg.String(), msg.Key().Text) {
			return m, tea.Quit
		}
	}
	return m, nil
}

// View is tea.Model's.
func (m *model) View() tea.View {
	v := tea.NewView(m.s.view())
	v.AltScreen = true
	return v
}

// show shows the screen until the user has seen enough.
func show(ctx context.Context, w *watcher, in, out *os.File) error {
	m := &model{w: w, s: &screen{where: w.where(), namespaces: w.namespace == ""}}
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithFPS(20)).Run()
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, tea.ErrInterrupted):
		return nil
	}
	return fmt.Errorf("the terminal: %w", err)
}
