package profile

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestParameterIsReadBackLiterally(t *testing.T) {
	p := carelessProfile(t)
	rapid.Check(t, func(t *rapid.T) { checkLiteral(t, p, genText.Draw(t, "text")) })
	for _, text := range nasty {
		checkLiteral(t, p, text)
	}
}

// checkLiteral gives the text as a parameter, and reads it as the program would,
// after the kubelet.
func checkLiteral(t failer, p *Profile, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		return // JSON, in which the API server sends pods, has no such text
	}
	encoded, err := toYAML(map[string]any{"text": text, "list": []string{text, "b"}})
	if err != nil {
		t.Fatalf("%v", err)
	}
	params, err := p.Params(encoded)
	if strings.Contains(text, "\x00") || len(encoded) > maxParameters {
		if err == nil {
			t.Fatalf("%q was taken", text)
		}
		return
	}
	if err != nil {
		t.Fatalf("%q was refused: %v", text, err)
	}
	s, err := p.Render(Input{Variant: Variant{User, Native}, Params: params, Port: 9400})
	if err != nil {
		t.Fatalf("%q was refused: %v", text, err)
	}
	variables := map[string]string{"HOME": "evil", "P_TEXT": "evil", "id": "evil"}
	for _, e := range s.Container.Env {
		want := map[string]string{"P_TEXT": text, "P_LIST": text + ",b"}
		if want, ok := want[e.Name]; ok && expand(e.Value, variables) != want {
			t.Fatalf("%s is %q, want %q", e.Name, expand(e.Value, variables), want)
		}
	}
	if got := expand(s.Container.Args[1], variables); got != text {
		t.Fatalf("the argument is %q, want %q", got, text)
	}
}

// expand replaces $(NAME), and $$ by $, as the API documents for env values and
// arguments (core/v1, EnvVar.value and Container.args).
func expand(s string, variables map[string]string) string {
	var out strings.Builder
	for len(s) > 0 {
		before, rest, found := strings.Cut(s, "$")
		out.WriteString(before)
		if !found {
			break
		}
		name, after, closed := strings.Cut(strings.TrimPrefix(rest, "("), ")")
		switch {
		case strings.HasPrefix(rest, "$"):
			out.WriteString("$")
			s = rest[1:]
		case strings.HasPrefix(rest, "(") && closed:
			value, ok := variables[name]
			if !ok {
				value = "$(" + name + ")"
			}
			out.WriteString(value)
			s = after
		default:
			out.WriteString("$")
			s = rest
		}
	}
	return out.String()
}
