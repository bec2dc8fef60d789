package selinux

import (
	"strings"
	"testing"
)

// readable are ranges and their canonical form. They seed the fuzz target, too.
var readable = map[string]string{
	"s0":                       "s0",
	"s15":                      "s15",
	"s0-s0":                    "s0",
	"s0-s3":                    "s0-s3",
	"s0:c0":                    "s0:c0",
	"s0:c123,c456":             "s0:c123,c456",
	"s0:c456,c123":             "s0:c123,c456",
	"s0:c26,c5":                "s0:c5,c26",
	"s0:c1,c1,c1":              "s0:c1",
	"s0:c1,c2":                 "s0:c1,c2",
	"s0:c1,c2,c3":              "s0:c1.c3",
	"s0:c3,c1,c2,c9":           "s0:c1.c3,c9",
	"s0:c1.c2":                 "s0:c1,c2",
	"s0:c1.c5,c3.c9":           "s0:c1.c9",
	"s0:c0.c1023":              "s0:c0.c1023",
	"s0-s0:c0.c1023":           "s0-s0:c0.c1023",
	"s0:c63,c64":               "s0:c63,c64",
	"s0:c63.c65":               "s0:c63.c65",
	"s0:c62.c128,c192":         "s0:c62.c128,c192",
	"s0:c1023":                 "s0:c1023",
	"s0:c0.c63,c128.c191":      "s0:c0.c63,c128.c191",
	"s1:c1-s2:c1,c2":           "s1:c1-s2:c1,c2",
	"s0:c1,c2-s0:c2,c1":        "s0:c1,c2",
	"s0:c0,c2,c4-s15:c0.c1023": "s0:c0,c2,c4-s15:c0.c1023",
}

// unreadable are texts that are no range, and a part of what is said of them.
var unreadable = map[string]string{
	"":                       `"" is not a sensitivity`,
	"0":                      "not a sensitivity",
	"s":                      "not a sensitivity",
	"s16":                    `"s16" is not a sensitivity from s0 to s15`,
	"s00":                    "not a sensitivity",
	"S0":                     "not a sensitivity",
	"s+1":                    "not a sensitivity",
	"s-1":                    "not a sensitivity",
	" s0":                    "not a sensitivity",
	"s0 ":                    "not a sensitivity",
	"s0\n":                   "not a sensitivity",
	"SystemLow-SystemHigh":   "not a sensitivity",
	"c1,c2":                  "not a sensitivity",
	"s0:":                    `"" is not a category`,
	"s0:c":                   "not a category",
	"s0:c1,":                 `"" is not a category`,
	"s0:,c1":                 "not a category",
	"s0:c1 ,c2":              "not a category",
	"s0:c1024":               `"c1024" is not a category from c0 to c1023`,
	"s0:c99999":              "not a category",
	"s0:c01":                 "not a category",
	"s0:c1-c3":               "not a sensitivity", // a dash parts levels, not categories
	"s0:c1.c1":               "c1.c1: the second category has to be higher",
	"s0:c3.c1":               "c3.c1: the second category has to be higher",
	"s0:c1.":                 "not a category",
	"s0:c1.c2.c3":            "not a category",
	"s0:c1:c2":               "not a category",
	"s0:s1":                  "not a category",
	"s0-":                    "not a sensitivity",
	"-s0":                    "not a sensitivity",
	"s0-s1-s2":               "not a sensitivity",
	"s1-s0":                  "the second level, s0, does not dominate the first, s1",
	"s0:c1-s0":               "the second level, s0, does not dominate the first, s0:c1",
	"s0:c1-s5:c2":            "does not dominate",
	"s0:c1,c2-s0:c1":         "does not dominate",
	"s0:\u0663":              "not a category",
	strings.Repeat("s", 900): "sssssssssssssssssss…",
}

func parsed(t testing.TB, text string) Range {
	t.Helper()
	r, err := ParseRange(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return r
}

func TestRangesAreWrittenInOneForm(t *testing.T) {
	for text, want := range readable {
		if got := parsed(t, text).String(); got != want {
			t.Errorf("%s is written as %s, want %s", text, got, want)
		}
		if parsed(t, text) != parsed(t, want) {
			t.Errorf("%s and %s differ", text, want)
		}
	}
}

func TestWhatIsNoRangeIsRefusedWithWhatIsWrong(t *testing.T) {
	for text, want := range unreadable {
		r, err := ParseRange(text)
		switch {
		case err == nil:
			t.Errorf("%q is read as %s", text, r)
		case !strings.Contains(err.Error(), want):
			t.Errorf("%q: the error is %q, want %q in it", text, err, want)
		case len(err.Error()) > 200 || strings.Contains(err.Error(), "\n"):
			t.Errorf("%q: the error is not one short line: %q", text, err)
		case r != Range{}:
			t.Errorf("%q: there is a range beside the error: %s", text, r)
		}
	}
}

func TestARangeContainsWhatReachesNeitherAboveNorBelow(t *testing.T) {
	for _, c := range []struct {
		outer, inner string
		want         bool
	}{
		{"s0:c1,c2", "s0:c2,c1", true},
		{"s0:c1,c2", "s0:c1", false}, // below: what it makes, others could read
		{"s0:c1,c2", "s0", false},
		{"s0:c1,c2", "s0:c1.c3", false},
		{"s0:c1,c2", "s0:c3,c4", false},
		{"s0:c1,c2", "s0-s0:c1,c2", false},
		{"s0:c1,c2", "s1:c1,c2", false},
		{"s0-s0:c1,c2", "s0", true},
		{"s0-s0:c1,c2", "s0:c1", true},
		{"s0-s0:c1,c2", "s0:c1,c2", true},
		{"s0-s0:c1,c2", "s0-s0:c1", true},
		{"s0-s0:c1,c2", "s0:c1-s0:c1,c2", true},
		{"s0-s0:c1,c2", "s0:c1,c3", false},
		{"s0-s0:c0.c99", "s0:c5,c7", true},
		{"s0-s0:c0.c99", "s0:c5,c100", false},
		{"s0-s0:c0.c1023", "s0:c512", true},
		{"s0-s0:c0.c1023", "s1", false},
		{"s1-s3:c4", "s2:c4", true},
		{"s1-s3:c4", "s2-s3:c4", true},
		{"s1-s3:c4", "s0-s3:c4", false},
		{"s1-s3:c4", "s2-s4:c4", false},
		{"s0", "s0", true},
		{"s0", "s0:c0", false},
	} {
		if got := parsed(t, c.outer).Contains(parsed(t, c.inner)); got != c.want {
			t.Errorf("%s contains %s: %t, want %t", c.outer, c.inner, got, c.want)
		}
	}
}

func TestNamesOfUsersRolesAndTypes(t *testing.T) {
	for _, name := range []string{"container_t", "system_u", "object_r", "t", "A1", "a-b.c"} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q is refused: %v", name, err)
		}
	}
	for _, name := range []string{"", "1a", "_a", "a b", "a:b", "a,b", "é", "a\x00", "a\n", "*", strings.Repeat("a", maxName+1)} {
		if CheckName(name) == nil {
			t.Errorf("%q is accepted", name)
		}
	}
}
