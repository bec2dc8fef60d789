package profile

import (
	"strings"
	"testing"
)

// A careless schema lets these pass; the API server would refuse the pod.
func TestParametersThatWouldBreakThePodAreRefused(t *testing.T) {
	p := carelessProfile(t)
	cases := []struct{ name, params, want string }{
		{"negative", "resources: {requests: {cpu: '-1'}}", "cpu is negative"},
		{"too fine", "resources: {requests: {cpu: 1u}}", "finer than a thousandth"},
		{"no quantity", "resources: {requests: {cpu: much}}", "quantities must match"},
		{"no list", "resources: {requests: [1]}", "requests"},
		{"GPU", "resources: {limits: {nvidia.com/gpu: 1}}", "nvidia.com/gpu can't be set"},
		{"huge pages", "resources: {limits: {hugepages-2Mi: 2Mi}}", "hugepages-2Mi can't be set"},
		{"request above the limit", "resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}", "request 2Gi is above its limit 1Gi"},
		{"claims", "resources: {claims: [{name: gpu}]}", "claims can't be set"},
		{"unknown field of resources", "resources: {request: {}}", `unknown field "containers[0].resources.request"`},
		{"Secret without a name", "secret: {key: a}", "the Secret's name"},
		{"Secret's name", "secret: {name: A_b, key: a}", "the Secret's name"},
		{"Secret's key", "secret: {name: a, key: a/b}", "the Secret's key"},
		{"Secret's unknown field", "secret: {name: a, key: b, namespace: other}", "unknown field"},
		{"too long", "text: " + strings.Repeat("x", maxParameters), "bytes, at most"},
		{"too long by aliases", "list: [&a " + strings.Repeat("x", 3000) + strings.Repeat(", *a", 20) + "]", "bytes with everything in it"},
		{"NUL", `text: "a\0b"`, "NUL"},
		{"NUL in a name", `object: {"a\0b": c}`, "NUL"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			params, err := p.Params(c.params)
			if err == nil {
				_, err = p.Render(Input{Variant: Variant{User, Native}, Params: params, Port: 9400})
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
		})
	}
}

func TestLongParametersAreNotKept(t *testing.T) {
	p := carelessProfile(t)
	for i := range 3 * cacheSize {
		text := "text: " + strings.Repeat("x", cacheKeyBytes+i)
		if i%2 == 0 {
			text = "text: " + strings.Repeat("x", i+1)
		}
		params, err := p.Params(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Render(Input{Variant: Variant{User, Native}, Params: params, Port: 9400}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(p.cache.entries); n > cacheSize {
		t.Errorf("%d sidecars are kept", n)
	}
	for key := range p.cache.entries {
		if len(key.params) > cacheKeyBytes {
			t.Errorf("a key of %d bytes is kept", len(key.params))
		}
	}
	for key := range p.params.checked.entries {
		if len(key) > cacheKeyBytes {
			t.Errorf("a text of %d bytes is kept", len(key))
		}
	}
}
