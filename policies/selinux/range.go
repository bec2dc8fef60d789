// Package selinux reads what an SELinux context has for a level: a range of the
// kernel's multi-level security (MLS), whose categories keep containers apart
// (MCS).
//
//	range      = level [ "-" level ]          s0-s0:c0.c1023
//	level      = sensitivity [ ":" categories ]
//	categories = item { "," item }            c1,c5.c9
//	item       = category [ "." category ]    the second is the higher one
//
// That is what the kernel reads (security/selinux/ss/mls.c, mls_context_to_sid).
// Names that a policy gives to levels, such as SystemHigh, are not read: the
// kernel does not know them either, and what can't be read can't be compared.
//
// A level dominates another if its sensitivity is no lower and it has all of the
// other's categories. A process may read what its level dominates, so a category
// more is more power, and none at all is the least.
package selinux

import (
	"fmt"
	"strconv"
	"strings"
)

// Limits of the reference policy, from which all distributions' are built
// (MLS_SENS, MLS_CATS and MCS_CATS in its build.conf).
const (
	sensitivities = 16
	categories    = 1024
)

// Level is a sensitivity with categories. Levels compare with ==.
type Level struct {
	sensitivity uint8
	categories  set
}

// Range is what a context has for a level: the lowest, which is that of what
// a process makes, and the highest, its clearance. Both are the same for most.
// The zero value is s0. Ranges compare with ==.
type Range struct{ Low, High Level }

// ParseRange reads a level or a range of levels. An error says what is wrong in
// it, and is one line.
func ParseRange(text string) (Range, error) {
	low, high, isRange := strings.Cut(text, "-")
	var r Range
	var err error
	if r.Low, err = parseLevel(low); err != nil {
		return Range{}, err
	}
	r.High = r.Low
	if isRange {
		if r.High, err = parseLevel(high); err != nil {
			return Range{}, err
		}
	}
	if !r.High.Dominates(r.Low) {
		return Range{}, fmt.Errorf("the second level, %s, does not dominate the first, %s", r.High, r.Low)
	}
	return r, nil
}

func parseLevel(text string) (Level, error) {
	name, list, hasCategories := strings.Cut(text, ":")
	n, err := parseNumber(name, 's', sensitivities)
	if err != nil {
		return Level{}, err
	}
	l := Level{sensitivity: uint8(n)}
	for hasCategories {
		var item string
		item, list, hasCategories = strings.Cut(list, ",")
		if err := l.categories.parseItem(item); err != nil {
			return Level{}, err
		}
	}
	return l, nil
}

func (s *set) parseItem(item string) error {
	from, to, isRange := strings.Cut(item, ".")
	first, err := parseNumber(from, 'c', categories)
	if err != nil {
		return err
	}
	last := first
	if isRange {
		if last, err = parseNumber(to, 'c', categories); err != nil {
			return err
		}
		if last <= first {
			return fmt.Errorf("%s: the second category has to be higher than the first", item)
		}
	}
	s.add(first, last)
	return nil
}

// parseNumber reads a letter and a number below limit, written as the kernel
// does: c01 is no category.
func parseNumber(text string, letter byte, limit int) (int, error) {
	if len(text) >= 2 && len(text) <= 5 && text[0] == letter {
		digits := text[1:]
		n, err := strconv.ParseUint(digits, 10, 16)
		if err == nil && int(n) < limit && (digits[0] != '0' || digits == "0") {
			return int(n), nil
		}
	}
	what := "a sensitivity"
	if letter == 'c' {
		what = "a category"
	}
	if len(text) > 20 {
		text = strings.ToValidUTF8(text[:20], "") + "…"
	}
	return 0, fmt.Errorf("%q is not %s from %c0 to %c%d", text, what, letter, letter, limit-1)
}

// Dominates says whether l may read what is at the level other.
func (l Level) Dominates(other Level) bool {
	return l.sensitivity >= other.sensitivity && l.categories.contains(&other.categories)
}

// Contains says whether all of other lies within r: it reaches neither above r's
// highest level nor below its lowest.
func (r Range) Contains(other Range) bool {
	return other.Low.Dominates(r.Low) && r.High.Dominates(other.High)
}

// String writes the level as the kernel does.
func (l Level) String() string { return string(l.append(nil)) }

// String writes the range as the kernel does, in one canonical form: categories
// rise, three or more neighbours are written as the first and the last, and the
// highest level is left out where it is the lowest.
func (r Range) String() string {
	b := r.Low.append(nil)
	if r.High != r.Low {
		b = r.High.append(append(b, '-'))
	}
	return string(b)
}

func (l Level) append(b []byte) []byte {
	b = strconv.AppendUint(append(b, 's'), uint64(l.sensitivity), 10)
	separator := byte(':')
	for first, last := range l.categories.runs {
		b = strconv.AppendInt(append(b, separator, 'c'), int64(first), 10)
		separator = ','
		if last > first {
			between := byte('.')
			if last == first+1 {
				between = ','
			}
			b = strconv.AppendInt(append(b, between, 'c'), int64(last), 10)
		}
	}
	return b
}
