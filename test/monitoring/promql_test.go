package monitoring

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNamesOfExpressions(t *testing.T) {
	for expr, want := range map[string]expression{
		`up`:       {selectors: []selector{{metric: "up"}}},
		`1 + 2`:    {},
		`-up{} ^2`: {selectors: []selector{{metric: "up"}}},
		`sum by (a, b) (rate(x_total{c="d", e!~'f'}[5m])) > 0`: {
			selectors: []selector{{"x_total", []string{"c", "e"}}}, labels: []string{"a", "b"}},
		`sum(x) BY (a)`:      {selectors: []selector{{metric: "x"}}, labels: []string{"a"}},
		`sum without () (x)`: {selectors: []selector{{metric: "x"}}},
		`a * on (i) group_left (n) b{c="}{", d=~"x\"y"}`: {
			selectors: []selector{{metric: "a"}, {"b", []string{"c", "d"}}}, labels: []string{"i", "n"}},
		"a{b=`\\`} or c unless ignoring(d) e offset 5m": {
			selectors: []selector{{"a", []string{"b"}}, {metric: "c"}, {metric: "e"}}, labels: []string{"d"}},
		"x # sum(y)\n and z":                 {selectors: []selector{{metric: "x"}, {metric: "z"}}},
		`max_over_time(x[1h:5m] @ end())`:    {selectors: []selector{{metric: "x"}}},
		`rate(x[$__rate_interval])`:          {selectors: []selector{{metric: "x"}}},
		`a:b:rate5m{c="d",} == bool 1e3`:     {selectors: []selector{{"a:b:rate5m", []string{"c"}}}},
		`time() - by_host > Inf`:             {selectors: []selector{{metric: "by_host"}}},
		`histogram_quantile(0.99, x) or NaN`: {selectors: []selector{{metric: "x"}}},
		`count_values("version", build)`:     {selectors: []selector{{metric: "build"}}},
		`topk(10, sum by (a) (x) > bool 0)`:  {selectors: []selector{{metric: "x"}}, labels: []string{"a"}},
	} {
		got, err := namesOf(expr)
		if err != nil {
			t.Error(err)
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(expression{}, selector{})); d != "" {
			t.Errorf("%s: %s", expr, d)
		}
	}
}

func TestExpressionsThatCantBeReadAreRefused(t *testing.T) {
	for _, expr := range []string{
		`{job="x"}`, `sum({a="b"})`, `x{__name__="y"}`, `x{a="b"`, `x{a=b}`, `x{"a"="b"}`, `sum by (a`, `sum by (a + b) (x)`, `x{a="b}`, `x ? y`, `x; y`,
	} {
		if got, err := namesOf(expr); err == nil {
			t.Errorf("%s: read as %v", expr, got)
		}
	}
}
