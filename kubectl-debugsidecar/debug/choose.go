package debug

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxShown is how many are listed to choose from.
const maxShown = 50

// choice is what can be chosen, and its line for people.
type choice struct{ name, line string }

// choose lets a person choose on a terminal; elsewhere it is an error that lists
// what there is. How says by which flag to choose.
func (o *options) choose(ctx context.Context, what, how string, all []choice) (int, error) {
	if len(all) == 1 {
		return 0, nil
	}
	var list strings.Builder
	for i, c := range all {
		if i == maxShown {
			fmt.Fprintf(&list, "  and %d more\n", len(all)-maxShown)
			break
		}
		if o.terminal.is {
			fmt.Fprintf(&list, "%4d  %s\n", i+1, c.line)
		} else {
			fmt.Fprintf(&list, "  %s\n", c.line)
		}
	}
	if !o.terminal.is {
		return 0, fmt.Errorf("%s; choose one with %s:\n%s", what, how, strings.TrimRight(list.String(), "\n"))
	}
	fmt.Fprintf(o.streams.ErrOut, "%s:\n%s", what, list.String())
	lines := bufio.NewReader(onlyLines{o.keyboard.during(ctx)})
	for {
		fmt.Fprintf(o.streams.ErrOut, "Which one (1 to %d, or its name)? ", len(all))
		line, err := lines.ReadString('\n')
		if line = strings.TrimSpace(line); line != "" {
			if n, err := strconv.Atoi(line); err == nil && n >= 1 && n <= len(all) {
				return n - 1, nil
			}
			for i, c := range all {
				if c.name == line {
					return i, nil
				}
			}
			fmt.Fprintf(o.streams.ErrOut, "%q is none of them.\n", line)
		}
		if err != nil {
			fmt.Fprintln(o.streams.ErrOut)
			return 0, errors.New("nothing was chosen")
		}
	}
}

// onlyLines reads a byte at a time, so that what was typed after the line is left
// for the session.
type onlyLines struct{ io.Reader }

func (r onlyLines) Read(p []byte) (int, error) {
	if len(p) > 1 {
		p = p[:1]
	}
	return r.Reader.Read(p)
}
