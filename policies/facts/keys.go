package facts

import (
	"slices"
	"strings"
)

// Keys returns the names that the document's keys may have, in order.
func Keys() []string {
	keys := append(kindNames[:], windowsKey, userNamespaceKey, levelsWithinKey, parametersKey)
	slices.Sort(keys)
	return keys
}

// Size returns how many facts there are, and the length in bytes of the longest
// text among their values.
func (f *Facts) Size() (facts, longest int) {
	for i := range f.entries {
		v := f.entries[i].value
		if v.sort != list {
			longest = max(longest, len(v.text))
			continue
		}
		for member := range strings.SplitSeq(v.text, "\x00") {
			longest = max(longest, len(member))
		}
	}
	return len(f.entries), longest
}
