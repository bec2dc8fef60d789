package top

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// sample is a line of -o json.
type sample struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	At         time.Time `json:"at"`
	// Problem says why pods may be missing.
	Problem string `json:"problem,omitempty"`
	Items   []row  `json:"items"`
}

// print writes a table, or a line.
func (o *options) print(w *watcher) error {
	now := time.Now()
	all := w.rows(now)
	if o.output == "json" {
		e := json.NewEncoder(o.streams.Out)
		e.SetEscapeHTML(false)
		if all == nil {
			all = []row{}
		}
		return e.Encode(sample{"debugsidecar.io/v1alpha1", "ProbeSample", now.UTC(), w.problem(), all})
	}
	text := table(w.where(), w.problem(), all, o.all, now)
	if !o.once {
		text += "\n"
	}
	_, err := fmt.Fprint(o.streams.Out, text)
	return err
}

// table is all rows, of which nothing is cut.
func table(where, problem string, all []row, namespaces bool, now time.Time) string {
	var b strings.Builder
	fmt.Fprintln(&b, summary(where, all, now))
	if problem != "" {
		fmt.Fprintln(&b, problem)
	}
	if len(all) == 0 {
		fmt.Fprintln(&b, "no pod here has a probe")
		return b.String()
	}
	l := newLayout(unlimited, namespaces, all)
	fmt.Fprintln(&b, l.head())
	for i := range all {
		fmt.Fprintln(&b, strings.TrimRight(l.line(&all[i]), " "))
	}
	return b.String()
}
