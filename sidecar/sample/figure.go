package sample

import (
	"encoding/json"
	"math"
)

// Figure is a number that may not be available, which is not 0. The zero value
// is not available.
type Figure struct {
	value float64
	known bool
	why   string
}

// Of returns a figure that is known.
func Of(value float64) Figure { return Figure{value: value, known: true} }

// Unavailable returns a figure that can't be had, and why: "needs CAP_NET_RAW".
func Unavailable(why string) Figure { return Figure{why: why} }

// Get returns the number and whether there is one.
func (f Figure) Get() (value float64, known bool) { return f.value, f.known }

// Or returns the number, or another where there is none.
func (f Figure) Or(other float64) float64 {
	if f.known {
		return f.value
	}
	return other
}

// Why says why there is no number; empty if there is one or nobody said.
func (f Figure) Why() string { return f.why }

// MarshalJSON gives the number, or null where there is none.
func (f Figure) MarshalJSON() ([]byte, error) {
	// JSON has no NaN and no infinity; one figure must not spoil a document.
	if !f.known || math.IsNaN(f.value) || math.IsInf(f.value, 0) {
		return []byte("null"), nil
	}
	return json.Marshal(f.value)
}

// UnmarshalJSON reads what MarshalJSON wrote; why it was null is gone.
func (f *Figure) UnmarshalJSON(b []byte) error {
	var value *float64
	if err := json.Unmarshal(b, &value); err != nil {
		return err
	}
	*f = Figure{}
	if value != nil {
		*f = Of(*value)
	}
	return nil
}
