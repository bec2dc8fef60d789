package offline

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestExitCodes_AreTwoForAWrongCall(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"inject"}, "-f is missing"},
		{[]string{"injekt"}, `unknown command "injekt"`},
		{[]string{"inject", "file.yaml"}, `unknown command "file.yaml"`},
		{[]string{"inject", "--nonsense"}, "unknown flag: --nonsense"},
		{[]string{"inject", "-f", "-", "-f", "-"}, "standard input can be read only once"},
		{[]string{"inject", "-f", "-", "-o", "xml"}, `--output: "xml" is none of yaml, json`},
		{[]string{"explain", "-f", "-", "-o", "yaml"}, `--output: "yaml" is none of json`},
		{[]string{"check", "-f", "-", "--level", "off"}, `--level: "off" is none of baseline, restricted`},
		{[]string{"check", "-f", "-", "--pod-security", "none"}, `--pod-security: "none" is none of`},
		{[]string{"check", "-f", "-", "--kubernetes-version", "new"}, `--kubernetes-version: "new" is no version`},
		{[]string{"check", "-f", "-"}, "no level is known"},
	} {
		r := run(plainPod, c.args...)
		if r.code != exitUsage || !strings.Contains(r.err, "error: ") || !strings.Contains(r.err, c.want) || r.out != "" {
			t.Errorf("%v: status %d, want 2 and %q\n%s%s", c.args, r.code, c.want, r.out, r.err)
		}
	}
}

func TestEveryMistakeInACall_IsNamedAtOnce(t *testing.T) {
	r := run("", "check", "-o", "x", "--level", "y", "--pod-security", "z")
	for _, want := range []string{"-f is missing", "--output", "--level", "--pod-security"} {
		if !strings.Contains(r.err, want) {
			t.Errorf("%s is not named:\n%s", want, r.err)
		}
	}
}

func TestExitCodes_AreOneForWhatFails(t *testing.T) {
	for name, c := range map[string]struct {
		input string
		args  []string
		want  string
	}{
		"a missing file":            {"", []string{"inject", "-f", "none.yaml"}, "none.yaml"},
		"a missing configuration":   {plainPod, []string{"inject", "-f", "-", "--config", "none.yaml"}, "none.yaml"},
		"missing parameters":        {plainPod, []string{"inject", "-f", "-", "--policy-parameters", "none.yaml"}, "none.yaml"},
		"a missing directory":       {plainPod, []string{"inject", "-f", "-", "--profiles", "none"}, "none"},
		"nothing":                   {"", []string{"inject", "-f", "-"}, "there are no objects"},
		"only comments":             {"# nothing\n", []string{"explain", "-f", "-"}, "there are no objects"},
		"a pod without a spec":      {"apiVersion: v1\nkind: Pod\n", []string{"check", "-f", "-", "--level", "baseline"}, "Pod (no name) has no pod: spec is not a mapping"},
		"a pod of the wrong type":   {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: 7}\n", []string{"inject", "-f", "-"}, "document 1: Pod default/a can't be read"},
		"a broken quota":            {"apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q}\nspec: {hard: {cpu: many}}\n", []string{"inject", "-f", "-"}, "ResourceQuota q can't be read"},
		"a namespace not in sight":  {"apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n---\n" + plainPod, []string{"check", "-f", "-"}, "no level is known: the input has no Namespace cameras"},
		"an object without a kind":  {"apiVersion: v1\nmetadata: {}\n", []string{"inject", "-f", "-"}, "kind is missing"},
		"a web address":             {"", []string{"inject", "-f", "https://example.org/pod.yaml"}, "https://example.org/pod.yaml: is a web address"},
		"several things, all named": {"- a\n---\n{}\n---\nx: y: z\n", []string{"check", "-f", "-", "--level", "baseline"}, "document 3: line 5"},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(c.input, c.args...)
			if r.code != exitFailed || !strings.Contains(r.err, "error: ") || !strings.Contains(r.err, c.want) || r.out != "" {
				t.Errorf("status %d, want 1 and %q\n%s%s", r.code, c.want, r.out, r.err)
			}
		})
	}
}

func TestEveryProblem_IsALine(t *testing.T) {
	r := run("- a\n---\n"+plainPod+"---\nx: y: z\n", "check", "-f", "-")
	if r.code != exitUsage || strings.Count(r.err, "error: ") != 3 {
		t.Errorf("status %d, want 2 and three errors:\n%s", r.code, r.err)
	}
}

func TestHelp_IsNoError(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"inject", "--help"}, {"help", "check"}} {
		if r := run("", args...); r.code != exitFine || !strings.Contains(r.out, "kubectl debugsidecar") {
			t.Errorf("%v: status %d\n%s%s", args, r.code, r.out, r.err)
		}
	}
}

func TestCompletion_OffersValues(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "config")
	writeFile(t, kubeconfig, "apiVersion: v1\nkind: Config\ncontexts: [{name: edge, context: {cluster: c}}]\n")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"check", "--level", ""}, "baseline\nrestricted\n"},
		{[]string{"inject", "--profile", ""}, "debug\nfull\nvideo-probe\n"},
		{[]string{"inject", "--pod-security", ""}, "restricted\nbaseline\nprivileged\n"},
		{[]string{"explain", "-o", ""}, "json\n"},
		{[]string{"explain", "--kubeconfig", kubeconfig, "--context", ""}, "edge\n"},
	} {
		if r := run("", append([]string{"__complete"}, c.args...)...); !strings.HasPrefix(r.out, c.want) {
			t.Errorf("%v: have %q, want %q", c.args, r.out, c.want)
		}
	}
}
