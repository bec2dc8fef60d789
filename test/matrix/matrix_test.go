package matrix

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var update = flag.Bool("update", false, "write docs/matrix.md anew")

// outcome is what was seen in a cell.
type outcome struct {
	word   string
	reason string // why it is not possible, in the API server's words
}

const (
	denied     = "denied"
	warned     = "warned"
	impossible = "-"
	passes     = "passes"
)

// dropped is what the API server does without a word.
const dropped = "The API server takes over nothing else here: what it gave back is what was there."

// way is one way in. try returns whether the violation is in what the API server
// gave back, if it said nothing. It returns errNoPod where no pod can break the
// clause there.
type way struct {
	name string
	try  func(ctx context.Context, r *row) (changed bool, err error)
}

var errNoPod = errors.New("no pod can break it: see CREATE")

func ways(t *testing.T, api client.Client) []way {
	sub := func(name string) func(context.Context, *row) (bool, error) {
		return func(ctx context.Context, r *row) (bool, error) {
			next := r.broken(r.clean)
			err := api.SubResource(name).Update(ctx, next, opts())
			return differs(r.clean, next), err
		}
	}
	connect := func(way string) func(context.Context, *row) (bool, error) {
		return func(ctx context.Context, r *row) (bool, error) {
			if r.bad == nil {
				return false, errNoPod
			}
			container := r.at(r.bad).Name
			if r.place == inEphemeral {
				container = r.bad.Spec.EphemeralContainers[0].Name
			}
			if r.granted { // into that one not everybody may
				container = "app"
			}
			return true, enter(ctx, env.client, way, r.bad, container)
		}
	}
	all := []way{
		{"CREATE", func(ctx context.Context, r *row) (bool, error) {
			next := r.broken(r.base("new"))
			if r.granted {
				next.Spec, next.Annotations = *r.bad.Spec.DeepCopy(), r.bad.Annotations
			}
			return true, api.Create(ctx, next, client.DryRunAll)
		}},
		{"UPDATE", func(ctx context.Context, r *row) (bool, error) {
			next := r.broken(r.clean)
			if r.granted {
				next.Spec = *r.bad.Spec.DeepCopy()
			}
			err := api.Update(ctx, next, client.DryRunAll)
			return differs(r.clean, next), err
		}},
		{"UPDATE, new image", func(ctx context.Context, r *row) (bool, error) {
			if r.bad == nil {
				return false, errNoPod
			}
			next := r.bad.DeepCopy()
			switch {
			case r.granted: // of the app: with another image, the sidecar is not ours
				next.Spec.Containers[0].Image = "registry.example/app:2"
			case r.place == inEphemeral:
				next.Spec.EphemeralContainers[0].Image = "registry.example/app:2"
			default:
				r.at(next).Image = "registry.example/app:2"
			}
			err := api.Update(ctx, next, client.DryRunAll)
			return differs(r.bad, next), err
		}},
		{"ephemeral\u00adcontainers", sub("ephemeralcontainers")},
		{"resize", sub("resize")},
		{"exec", connect("exec")},
		{"attach", connect("attach")},
	}
	// What kubectl debugsidecar inject would write.
	pod := func(r *row) *corev1.Pod {
		p := r.broken(r.base("x"))
		if r.granted {
			p.Spec = *r.bad.Spec.DeepCopy()
		}
		return p
	}
	for _, kind := range workloadKinds {
		all = append(all, way{kind + " CREATE", func(ctx context.Context, r *row) (bool, error) {
			return true, api.Create(ctx, workload(kind, "new", pod(r)), client.DryRunAll)
		}})
	}
	for _, kind := range workloadKinds {
		all = append(all, way{kind + " UPDATE", func(ctx context.Context, r *row) (bool, error) {
			next, err := updatedWorkload(t, api, kind, pod(r))
			if err != nil {
				return false, err
			}
			return true, api.Update(ctx, next, client.DryRunAll)
		}})
	}
	return all
}

// differs says whether two pods differ in what a request can change.
func differs(a, b *corev1.Pod) bool {
	return !equality.Semantic.DeepEqual(a.Spec, b.Spec) || !equality.Semantic.DeepEqual(a.Annotations, b.Annotations)
}

// TestMatrix tries each clause in each place at each way in. What the API server
// takes has to be denied or warned about; what it does not take, it has to refuse
// itself.
func TestMatrix(t *testing.T) {
	api := newAPI(t)
	needGranted(t)
	all := rows(t)
	makeRows(t, api, all)
	if t.Failed() {
		t.FailNow()
	}
	in := ways(t, api)
	cells := make([][]outcome, len(all))
	for i := range cells {
		cells[i] = make([]outcome, len(in))
	}
	var mu sync.Mutex
	fires := map[string]bool{}
	clauseFires := map[clause]bool{}
	parallel(len(all)*len(in), func(n int) {
		r, w := all[n/len(in)], in[n%len(in)]
		got, err := look(t.Context(), r, w)
		// Entries for workloads are Ignore: a webhook that is late is not heard.
		for end := time.Now().Add(30 * time.Second); err != nil && got.word == passes && n%len(in) >= len(in)-2*len(workloadKinds) && time.Now().Before(end); {
			got, err = look(t.Context(), r, w)
		}
		if err != nil {
			t.Errorf("%s, in %s, %s: %v", r.clause, r.place, w.name, err)
		}
		mu.Lock()
		defer mu.Unlock()
		cells[n/len(in)][n%len(in)] = got
		if got.word == denied || got.word == warned {
			fires[r.rule], clauseFires[r.clause] = true, true
		}
	})
	for _, r := range all {
		switch {
		case !fires[r.rule]:
			t.Errorf("rule %s fires in no cell", r.rule)
		case !clauseFires[r.clause] && r.nowhere == "":
			t.Errorf("%s fires in no cell; if the API admits no such pod, say so in its example's nowhere", r.clause)
		case clauseFires[r.clause] && r.nowhere != "":
			t.Errorf("%s fires, and its example says that it can't: %s", r.clause, r.nowhere)
		}
	}
	if !t.Failed() {
		compareTable(t, render(all, in, cells))
	}
	t.Run("no poisoned pods", func(t *testing.T) { checkPoison(t, api, all) })
	t.Run("an update that changes nothing that the rules read passes, and so does the end", func(t *testing.T) { checkPasses(t, api, all) })
}

// look tries one cell. An error is what must not be.
func look(ctx context.Context, r *row, w way) (outcome, error) {
	ctx, said := listen(ctx)
	changed, err := w.try(ctx, r)
	var status *apierrors.StatusError
	connecting := w.name == "exec" || w.name == "attach"
	switch {
	case errors.Is(err, errNoPod):
		return outcome{impossible, "No pod can break it: see CREATE."}, nil
	case err == nil && r.evidence().MatchString(said()):
		return outcome{word: warned}, nil
	case err == nil && !changed:
		return outcome{impossible, dropped}, nil
	case err == nil:
		return outcome{word: passes}, fmt.Errorf("it passes without a word that matches %s; warned of %q", r.evidence(), said())
	case isOurs(err) && r.evidence().MatchString(err.Error()):
		return outcome{word: denied}, nil
	case isOurs(err):
		return outcome{}, fmt.Errorf("it is denied for another reason: %w", err)
	case connecting && admitted(err):
		return outcome{word: passes}, nil
	case errors.As(err, &status) && (status.ErrStatus.Code == http.StatusUnprocessableEntity || status.ErrStatus.Code == http.StatusBadRequest):
		return outcome{impossible, reason(status)}, nil
	}
	return outcome{}, err
}

var (
	indexes = regexp.MustCompile(`\[\d+\]`)
	below   = regexp.MustCompile(`^(spec|metadata)(\.template\.spec|\.jobTemplate\.spec\.template\.spec)?\.`)
	quoted  = regexp.MustCompile(`(Invalid|Unsupported) value: (\S*\{.*\}|"[^"]*"|\S+): `)
)

// reason is why the API server refuses, without what is this pod's alone.
func reason(s *apierrors.StatusError) string {
	text, field := s.ErrStatus.Message, ""
	if s.ErrStatus.Details != nil && len(s.ErrStatus.Details.Causes) > 0 {
		text, field = s.ErrStatus.Details.Causes[0].Message, s.ErrStatus.Details.Causes[0].Field
	}
	text, _, _ = strings.Cut(text, "\n")
	text, _, _ = strings.Cut(text, ": core.")
	field = below.ReplaceAllString(indexes.ReplaceAllString(field, "[*]"), "")
	if i := strings.LastIndex(field, "]."); i >= 0 {
		field = field[i+2:]
	}
	if field == "" || field == "[]" {
		return quoted.ReplaceAllString(text, "$1 value: ")
	}
	return strings.TrimSpace("`" + field + "`: " + quoted.ReplaceAllString(text, "$1 value: "))
}

const (
	page  = "../../docs/matrix.md"
	start = "<!-- matrix: made by `go test ./test/matrix -run TestMatrix -update` -->\n"
	end   = "<!-- /matrix -->\n"
)

func compareTable(t *testing.T, table string) {
	t.Helper()
	old, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(old), start)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no marks for the table", page)
	}
	now := head + start + table + end + tail
	if now == string(old) {
		return
	}
	if !*update {
		t.Fatalf("%s is stale; run: go test ./test/matrix -run TestMatrix -update\n%s", page, firstDifference(string(old), now))
	}
	if err := os.WriteFile(page, []byte(now), 0o644); err != nil {
		t.Fatal(err)
	}
}

func firstDifference(old, now string) string {
	a, b := strings.Split(old, "\n"), strings.Split(now, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return "it has:  " + a[i] + "\nit is:   " + b[i]
		}
	}
	return fmt.Sprintf("it has %d lines, now there are %d", len(a), len(b))
}

// render writes the table. Ways that all rows take alike are one column, and the
// reasons stand below it.
func render(all []*row, in []way, cells [][]outcome) string {
	var reasons []string
	mark := func(o outcome) string {
		if o.word != impossible {
			return o.word
		}
		i := slices.Index(reasons, o.reason)
		if i < 0 {
			i, reasons = len(reasons), append(reasons, o.reason)
		}
		return fmt.Sprintf("– <sup>%d</sup>", i+1)
	}
	pods := len(in) - 2*len(workloadKinds)
	var b strings.Builder
	b.WriteString("| rule, level, fact | in |")
	for _, w := range in[:pods] {
		b.WriteString(" " + w.name + " |")
	}
	b.WriteString(" templates CREATE | templates UPDATE |\n|" + strings.Repeat("---|", pods+4) + "\n")
	last := clause{}
	for i, r := range all {
		name := ""
		if r.clause != last {
			name, last = fmt.Sprintf("`%s`, %s, `%s`", r.rule, r.level, r.kind), r.clause
		}
		fmt.Fprintf(&b, "| %s | %s |", name, r.place)
		for j := range pods {
			b.WriteString(" " + mark(cells[i][j]) + " |")
		}
		for _, half := range [2]int{pods, pods + len(workloadKinds)} {
			b.WriteString(" " + templates(cells[i][half:half+len(workloadKinds)], mark) + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\nWhy something is not possible:\n\n")
	for i, reason := range reasons {
		fmt.Fprintf(&b, "%d. %s\n", i+1, reason)
	}
	return b.String()
}

// templates puts the outcomes of all kinds of workload into one cell: what most
// have, and then the others by name.
func templates(cells []outcome, mark func(outcome) string) string {
	marks := make([]string, len(cells))
	count := map[string]int{}
	for i, c := range cells {
		marks[i] = mark(c)
		count[marks[i]]++
	}
	most := marks[0]
	for _, m := range marks {
		if count[m] > count[most] {
			most = m
		}
	}
	text := most
	for i, m := range marks {
		if m != most {
			text += "; " + workloadKinds[i] + ": " + m
		}
	}
	return text
}
