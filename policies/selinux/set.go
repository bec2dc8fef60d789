package selinux

import "math/bits"

const wordBits = 64

// set is a set of categories: a bit for each.
type set [categories / wordBits]uint64

// add adds the categories from first to last.
func (s *set) add(first, last int) {
	for word := first / wordBits; word <= last/wordBits; word++ {
		mask := ^uint64(0)
		if word == first/wordBits {
			mask &= ^uint64(0) << (first % wordBits)
		}
		if word == last/wordBits {
			mask &= ^uint64(0) >> (wordBits - 1 - last%wordBits)
		}
		s[word] |= mask
	}
}

func (s *set) contains(other *set) bool {
	for word := range s {
		if other[word]&^s[word] != 0 {
			return false
		}
	}
	return true
}

// runs calls yield with the first and the last of each run of neighbours.
func (s *set) runs(yield func(first, last int) bool) {
	for first := s.next(0, true); first < categories; {
		end := s.next(first, false)
		if !yield(first, end-1) {
			return
		}
		first = s.next(end, true)
	}
}

// next returns the first category from n on that is in the set, or is not; or
// one more than there are.
func (s *set) next(n int, in bool) int {
	for n < categories {
		word := s[n/wordBits]
		if !in {
			word = ^word
		}
		if word >>= n % wordBits; word != 0 {
			return n + bits.TrailingZeros64(word)
		}
		n += wordBits - n%wordBits
	}
	return categories
}
