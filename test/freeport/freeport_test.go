package freeport

import (
	"slices"
	"testing"
)

func TestFreePortsDiffer(t *testing.T) {
	free, err := Find(100)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(free)
	if n := len(slices.Compact(free)); n != 100 {
		t.Errorf("%d of 100 ports differ", n)
	}
}
