package manifest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func read(t *testing.T, input string) []*Document {
	t.Helper()
	docs, err := Read(Sources{Names: []string{"-"}, Stdin: strings.NewReader(input)})
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

func writeYAML(t *testing.T, docs []*Document) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteYAML(&b, docs); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: []}\n"

var untouched = map[string]string{
	"one document":                   pod,
	"no newline at the end":          strings.TrimSuffix(pod, "\n"),
	"markers before and after":       "---\n" + pod + "---\n",
	"a header":                       "# Copyright\n\n---\n" + pod + "--- # next\n" + pod,
	"a directive":                    "%YAML 1.1\n---\n" + pod,
	"a document on its marker":       "--- {apiVersion: v1, kind: Pod}\n---\n" + pod,
	"ends of documents":              pod + "...\n---\n" + pod + "...\n# the end\n",
	"empty and null documents":       "---\n---\nnull\n---\n# nothing\n---\n~\n---\n" + pod,
	"only a comment":                 "# nothing\n",
	"Windows line ends":              strings.ReplaceAll("---\n"+pod+"---\n"+pod, "\n", "\r\n"),
	"a marker's look-alikes":         "apiVersion: v1\nkind: ConfigMap\ndata:\n  a: |\n    ---\n    ...\n  ---b: c\n",
	"comments, anchors, odd spacing": "apiVersion:   v1 # here\nkind: Pod\nmetadata: &m {name: a}\nx: *m\n\n\n",
}

func TestDocumentsThatNobodyChanged_ComeOutByteForByte(t *testing.T) {
	for name, input := range untouched {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(input, writeYAML(t, read(t, input))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAChangedDocument_KeepsItsNeighboursAndItsHeader(t *testing.T) {
	input := "# Copyright\n---\n# a\n" + pod + "...\n---   # b\n" + pod + "--- {apiVersion: v1, kind: Pod}\n"
	docs := read(t, input)
	for _, i := range []int{0, 2} {
		docs[i].Root["changed"] = true
		docs[i].Changed = true
	}
	want := "# Copyright\n---\napiVersion: v1\nchanged: true\nkind: Pod\nmetadata:\n  name: a\nspec:\n  containers: []\n...\n" +
		"---   # b\n" + pod + "---\napiVersion: v1\nchanged: true\nkind: Pod\n"
	if diff := cmp.Diff(want, writeYAML(t, docs)); diff != "" {
		t.Error(diff)
	}
}

// kubectl does not know the marker "...": what follows it would go unread.
func TestADocumentWithoutAMarker_GetsOne(t *testing.T) {
	if diff := cmp.Diff(pod+"...\n---\n"+pod, writeYAML(t, read(t, pod+"...\n"+pod))); diff != "" {
		t.Error(diff)
	}
}

func TestFiles_AreJoinedIntoOneStream(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.json")
	write(t, a, strings.TrimSuffix(pod, "\n"))
	write(t, b, "{\n\t\"apiVersion\": \"v1\", \"kind\": \"Pod\",\n\t\"x\": \"\\ud83d\\ude00<\\/b>\", \"n\": 12345678901234567890\n}\n{\"apiVersion\": \"v1\", \"kind\": \"Pod\"}")
	docs, err := Read(Sources{Names: []string{a, b}})
	if err != nil {
		t.Fatal(err)
	}
	want := pod + "---\napiVersion: v1\nkind: Pod\n\"n\": 12345678901234567890\nx: \"\\U0001F600</b>\"\n---\napiVersion: v1\nkind: Pod\n"
	if diff := cmp.Diff(want, writeYAML(t, docs)); diff != "" {
		t.Error(diff)
	}
	var out bytes.Buffer
	if err := WriteJSON(&out, docs); err != nil {
		t.Fatal(err)
	}
	again := read(t, out.String())
	for i := range docs {
		if diff := cmp.Diff(docs[i].Root, again[i].Root); diff != "" {
			t.Error(diff)
		}
	}
}

func TestADirectory_GivesItsManifests(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.yml", "a.YAML", "c.json", "notes.txt", "deeper/d.yaml"} {
		write(t, filepath.Join(dir, name), pod)
	}
	count := func(recursive bool) (names []string) {
		docs, err := Read(Sources{Names: []string{dir}, Recursive: recursive})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range docs {
			name, _ := filepath.Rel(dir, d.Source)
			names = append(names, name)
		}
		return names
	}
	if diff := cmp.Diff([]string{"a.YAML", "b.yml", "c.json"}, count(false)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a.YAML", "b.yml", "c.json", "deeper/d.yaml"}, count(true)); diff != "" {
		t.Error(diff)
	}
}

func TestBadInput_IsNamedWithItsPlace(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		prev := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+prev+",", 10), ",") + "]\n"
	}
	for name, c := range map[string]struct{ input, want string }{
		"a list":                 {pod + "---\n- a\n", "standard input, document 2: is a list; want a mapping"},
		"a value":                {"hello\n", "document 1: is a single value; want a mapping"},
		"a duplicate key":        {pod + "---\nkind: Pod\nkind: Job\n", `document 2: line 7: key "kind" already set in map`},
		"a duplicate JSON key":   {`{"kind": "Pod", "spec": {"a": 1, "a": 2}}`, `document 1: duplicate field "spec.a"`},
		"broken YAML":            {pod + "---\n# why\nspec:\n  a: b: c\n", "document 2: line 8: mapping values are not allowed"},
		"broken JSON":            {"{\"kind\": \"Pod\"}\n{\"kind\": \"Pod\",\n oops}", "document 2: near line 2: invalid character 'o'"},
		"an alias bomb":          {bomb, "document 1: document contains excessive aliasing"},
		"a deep document":        {"a: " + strings.Repeat("[", 20000), "document 1: exceeded max depth"},
		"binary":                 {"\xff\xfe\x00", "standard input: is not UTF-8 text"},
		"a hidden document":      {"kind: Pod\r---\rkind: Job\n", "document 1: another document begins"},
		"a large file":           {strings.Repeat("#", MaxSource+1), "standard input: is larger than 16 MiB"},
		"a second thing is told": {"- a\n---\n- b\n", "standard input, document 2: is a list"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(Sources{Names: []string{"-"}, Stdin: strings.NewReader(c.input)})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("have %v\nwant %s", err, c.want)
			}
		})
	}
	if _, err := Read(Sources{Names: []string{filepath.Join(t.TempDir(), "none.yaml")}}); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("a missing file is not named: %v", err)
	}
}

func TestObjects_AreFoundInLists(t *testing.T) {
	docs := read(t, `
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x}}
- apiVersion: apps/v1
  kind: DeploymentList
  items:
  - metadata: {generateName: b-}
- {apiVersion: example.org/v1, kind: AllowList, items: [a]}
`)
	objects, err := docs[0].Objects()
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, o := range objects {
		have = append(have, o.At+": "+o.String())
	}
	want := []string{
		"standard input, document 1, item 1: Pod x/a",
		"standard input, document 1, item 2, item 1: Deployment b-…",
		"standard input, document 1, item 3: AllowList (no name)",
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
}

func TestObjects_NamesWhatIsNone(t *testing.T) {
	docs := read(t, "apiVersion: v1\nkind: List\nitems:\n- a\n- {kind: Pod}\n- {apiVersion: v1}\n")
	_, err := docs[0].Objects()
	for _, want := range []string{"item 1: is not a mapping", "item 2: is no Kubernetes object: apiVersion", "item 3: is no Kubernetes object: kind"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("have %v\nwant %s", err, want)
		}
	}
}

func TestPod_IsFoundInEveryWorkload(t *testing.T) {
	for _, c := range []struct{ apiVersion, kind, content, fieldPath, problem string }{
		{"v1", "Pod", `{"spec":{}}`, "spec", ""},
		{"apps/v1", "Deployment", `{"spec":{"template":{"spec":{}}}}`, "spec.template.spec", ""},
		{"apps/v1", "ReplicaSet", `{"spec":{"template":{"spec":{}}}}`, "spec.template.spec", ""},
		{"apps/v1", "StatefulSet", `{"spec":{"template":{"spec":{}}}}`, "spec.template.spec", ""},
		{"apps/v1", "DaemonSet", `{"spec":{"template":{"spec":{}}}}`, "spec.template.spec", ""},
		{"batch/v1", "Job", `{"spec":{"template":{"spec":{}}}}`, "spec.template.spec", ""},
		{"batch/v1", "CronJob", `{"spec":{"jobTemplate":{"spec":{"template":{"spec":{}}}}}}`, "spec.jobTemplate.spec.template.spec", ""},
		{"v1", "ReplicationController", `{"spec":{"template":{"spec":{}}}}`, "spec.template.spec", ""},
		{"v1", "Service", `{"spec":{}}`, "", ""},
		{"example.org/v1", "Deployment", `{"spec":{"template":{"spec":{}}}}`, "", ""},
		{"v1", "Pod", `{"spec":[]}`, "", "spec is not a mapping"},
		{"apps/v1", "Deployment", `{"spec":{"template":null}}`, "", "spec.template is not a mapping"},
		{"batch/v1", "CronJob", `{"spec":{"jobTemplate":7}}`, "", "spec.jobTemplate is not a mapping"},
	} {
		o := Object{APIVersion: c.apiVersion, Kind: c.kind}
		if err := json.Unmarshal([]byte(c.content), &o.Content); err != nil {
			t.Fatal(err)
		}
		p, err := o.Pod()
		switch {
		case c.problem != "":
			if err == nil || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("%s: have %v, want %s", c.kind, err, c.problem)
			}
		case err != nil:
			t.Errorf("%s: %v", c.kind, err)
		case p == nil && c.fieldPath != "" || p != nil && p.FieldPath != c.fieldPath:
			t.Errorf("%s %s: have %v, want %q", c.apiVersion, c.kind, p, c.fieldPath)
		}
	}
}

// FuzzRead seeks text that makes reading panic, or that does not come out as it
// went in.
func FuzzRead(f *testing.F) {
	for _, input := range untouched {
		f.Add(input)
	}
	f.Fuzz(func(t *testing.T, input string) {
		docs, err := Read(Sources{Names: []string{"-"}, Stdin: strings.NewReader(input)})
		if err != nil {
			return
		}
		for _, d := range docs {
			objects, _ := d.Objects() //nolint:errcheck // that it returns is enough
			for i := range objects {
				objects[i].Pod() //nolint:errcheck
			}
			if d.isJSON || len(d.text.tail) > 0 {
				return
			}
		}
		if have := writeYAML(t, docs); have != strings.TrimPrefix(input, "\uFEFF") {
			t.Errorf("have %q\nwant %q", have, input)
		}
	})
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
